"""The data sets: `studies data list`, `fetch` and `prepare`."""

from __future__ import annotations

from typing import Annotated

import typer

from studies.cli.options import say
from studies.settings import Settings

PLACE = 9  # in the help

app = typer.Typer(name="data", help="The data sets: where they are, and getting them.", no_args_is_help=True)

Objective = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="An objective, such as myproject.models:Mine (default: the catalog's)."),
]
DataName = Annotated[str, typer.Argument(metavar="NAME", help="A data set, as `studies data list` names it.")]


@app.command("list")
def list_data(objective: Objective = None) -> None:
    """Show every data set. With its licence, where it is or what is missing, its size, and whether it is prepared."""
    from studies import tables
    from studies.data import sets as datasets

    settings = Settings.from_environment()
    paths = [objective] if objective else datasets.of_catalog()
    say(tables.data_sets(datasets.survey(paths, settings), settings))


@app.command()
def fetch(name: DataName, objective: Objective = None) -> None:
    """Download a data set into STUDIES_DATA, and check it. A download that was cut goes on where it ended."""
    from studies.data import sets as datasets
    from studies.view.live import download_bars

    settings = Settings.from_environment()
    found = datasets.find(name, objective, settings)
    if not found.downloads:
        say(f"{name} is {found.stands(settings.data)}; there is nothing to fetch.", err=True)
        return
    with download_bars() as told:
        new = datasets.fetch(found, settings.data, told)
    for path in new:
        say(f"Fetched: {path}", err=True)
    whole = "" if new else "is there and as it should be; "
    say(f"{name} {whole}`studies data prepare {name}` prepares it ahead of a launch.", err=True)


@app.command()
def prepare(name: DataName, objective: Objective = None) -> None:
    """Prepare a data set ahead of a launch. It then starts at once; NAME may be a file of your own."""
    from studies import tables
    from studies.data import sets as datasets
    from studies.run.evidence import peak_bytes
    from studies.view import make_view
    from studies.words import IMPORTING

    settings = Settings.from_environment()
    with make_view() as view:
        view.preparing(IMPORTING, 0.0)
        found = datasets.find(name, objective, settings)
        before = peak_bytes()
        prepared = datasets.prepare(found, settings, view.preparing)
    say(tables.prepared_data(name, prepared, before, peak_bytes()))
