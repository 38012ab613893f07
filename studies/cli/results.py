"""What a study found: `studies export` and `report`."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from studies import names
from studies.cli.options import PAGE, Pick, StorageUrl, StudyName, Trial, read, say, settings_of
from studies.errors import WrongInput
from studies.files import kind_of
from studies.registry import EXPORTERS
from studies.words import plural

PLACE = 5  # in the help
STDOUT = Path("-")

app = typer.Typer()


@app.command()
def export(
    name: StudyName,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(EXPORTERS),
            help="Or module:Name of your own (default: what the file's name ends in, or yaml).",
        ),
    ] = "",
    curves: Annotated[bool, typer.Option("--curves", help="One row an epoch instead of one a trial.")] = False,
    trial: Trial = None,
    pick: Pick = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file (default: stdout).")] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="Log the study to this MLflow tracking server instead.")
    ] = None,
    storage: StorageUrl = None,
) -> None:
    """Write the best parameters as YAML, or all trials in a file.

    Formats are CSV, Parquet and JSON; --mlflow logs the study to MLflow.
    """
    from studies.exporters import export as rendered
    from studies.exporters import exporter_of

    kind = format or _kind_of(output, EXPORTERS, "yaml")
    exporter_of(kind, curves=curves)
    record = read(name, settings_of(storage), trial, pick)
    if mlflow is not None:
        from studies.exporters.mlflow import log_study

        n_new = log_study(record, mlflow)
        say(f"{name}: {plural(n_new, 'trial')} logged; what was there already stays as it is.", err=True)
        return
    content = rendered(record, kind, curves=curves)
    if output is not None or isinstance(content, str):
        _give(output or STDOUT, content)
    else:
        raise WrongInput(reason=f"{kind} is not text; expected a file, such as -o {name}.{kind}.")


@app.command("report")
def report_page(
    name: StudyName,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|DIR/",
            help="The file (default: NAME.report.html), or a directory for the page and every figure as PNG.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="html|md", help="md goes to stdout unless -o is given.")
    ] = "",
    storage: StorageUrl = None,
) -> None:
    """Write the study as one page to read. It has the answer, how sure it is, and what it rests on."""
    # numpy's threads, which it has not started yet, would wait for each other longer than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from studies.files import write_all
    from studies.report.page import FORMATS, files, render

    if output == "":
        raise WrongInput(reason=f"-o is empty; expected a file, such as -o {name}{PAGE}.")
    is_directory = output is not None and (output.endswith("/") or Path(output).is_dir())
    kind = format or _kind_of(None if is_directory else output, FORMATS, "html")
    if kind not in FORMATS:
        raise WrongInput(reason=f"--format is {kind!r}; expected one of {', '.join(FORMATS)}.")
    found = read(name, settings_of(storage))
    names.refuse_confirmation(name, found.spec.name, "report")
    if output is not None and is_directory:
        n_files = write_all(Path(output), files(found))
        say(f"Written: {n_files} files in {output}", err=True)
        return
    usual = STDOUT if kind == "md" else Path(name + PAGE)
    _give(usual if output is None else Path(output), render(found, kind))


def _give(file: Path, content: str | bytes) -> None:
    from studies.files import write_file

    if file == STDOUT:
        typer.echo(content, nl=False)
    else:
        write_file(file, content)
        say(f"Written: {file}", err=True)


def _kind_of(file: str | Path | None, kinds: Collection[str], usual: str) -> str:
    return kind_of(file, kinds, usual, "-o", f", or say what it holds, such as --format {usual}")
