"""The best few under fresh seeds: `studies confirm`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studies.cli.options import StorageUrl, StudyName, Where, Workers, check_workers, settings_of
from studies.errors import WrongInput

app = typer.Typer()


@app.command()
def confirm(
    name: StudyName,
    top: Annotated[int, typer.Option(help="How many of the best settings, and the published one beside them.")] = 5,
    seeds: Annotated[int, typer.Option(help="Under how many fresh seeds, the same for each.")] = 5,
    workers: Workers = 1,
    on: Where = "local",
    storage: StorageUrl = None,
) -> None:
    """Run the best few again under fresh seeds and tell which is best, and how sure; it goes to NAME.best.yaml."""
    from studies import tables
    from studies.confirm.confirm import confirm as run
    from studies.exporters import export, write_whole
    from studies.view import make_view

    check_workers(workers, on)
    if top < 1:
        raise WrongInput(reason=f"--top is {top}; expected 1 or more, such as --top 5.")
    if seeds < 2:
        raise WrongInput(reason=f"--seeds is {seeds}; expected 2 or more, such as --seeds 5: one seed has no spread.")
    with make_view() as view:
        report = run(name, settings_of(storage), workers, on, view, top, seeds)
    typer.echo(tables.confirmation(report))
    file = Path(f"{report.spec.name}.best.yaml")
    write_whole(file, export(report, "yaml"))
    typer.echo(f"Written: {file}. `studies report {report.spec.name}` has the whole picture.", err=True)
