"""What a study found: `studies export`, `report` and `dashboard`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from studies import names
from studies.cli.options import StorageUrl, StudyName, read, settings_of
from studies.errors import IsConfirmation, WrongInput

app = typer.Typer()


@app.command()
def export(
    name: StudyName,
    format: Annotated[str, typer.Option("--format", metavar="yaml|csv|parquet|json")] = "yaml",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file; stdout without it.")] = None,
    storage: StorageUrl = None,
) -> None:
    """Write the best parameters as YAML, or every trial as CSV, Parquet or JSON."""
    from studies.exporters import EXPORTERS, write_whole
    from studies.exporters import export as rendered

    if format not in EXPORTERS:
        raise WrongInput(reason=f"--format is {format!r}; expected one of {', '.join(EXPORTERS)}.")
    content = rendered(read(name, settings_of(storage)), format)
    if output is not None:
        write_whole(output, content)
        typer.echo(f"Written: {output}", err=True)
    elif isinstance(content, str):
        typer.echo(content, nl=False)
    else:
        raise WrongInput(reason=f"{format} is not text; expected a file, such as -o {name}.{format}.")


@app.command()
def report(
    name: StudyName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; NAME.report.html without it.")
    ] = None,
    format: Annotated[str, typer.Option("--format", metavar="html|md", help="md goes to stdout without -o.")] = "",
    storage: StorageUrl = None,
) -> None:
    """Write the study as one page to read: the answer, how sure it is, and what it rests on."""
    from studies.exporters import write_whole
    from studies.report.page import FORMATS, render

    kind = format or ("md" if output is not None and output.suffix == ".md" else "html")
    if kind not in FORMATS:
        raise WrongInput(reason=f"--format is {kind!r}; expected one of {', '.join(FORMATS)}.")
    found = read(name, settings_of(storage))
    if (study := names.confirmed(name)) is not None:
        raise IsConfirmation(name=found.spec.name, study=study, command=f"report {study}")
    page = render(found, kind)
    if output is None and kind == "md":
        typer.echo(page, nl=False)
        return
    file = output or Path(f"{name}.report.html")
    write_whole(file, page)
    typer.echo(f"Written: {file}", err=True)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    storage: StorageUrl = None,
) -> None:
    """Serve optuna-dashboard on the storage, for this machine alone unless --host says otherwise."""
    from studies.storage import open_storage
    from studies.web.dashboard import serve

    with (
        open_storage(settings_of(storage)) as opened,
        suppress(KeyboardInterrupt),
    ):
        serve(
            opened,
            host,
            port,
            lambda url: typer.echo(f"The dashboard is at {url} ; Ctrl-C ends it.", err=True),
        )
