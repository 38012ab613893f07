"""What there is to launch: `studies list` and `show`."""

from __future__ import annotations

import typer

from studies.cli.options import Name, Overrides, StorageUrl, settings_of, spec_file
from studies.errors import SpaceRefused

PLACE = 1  # in the help

app = typer.Typer()


@app.command("list")
def list_studies(storage: StorageUrl = None) -> None:
    """Show the catalog, with each study's data set and results so far."""
    from studies import tables

    typer.echo(tables.catalog(settings_of(storage)))


@app.command()
def show(name: Name, overrides: Overrides = None, storage: StorageUrl = None) -> None:
    """Show a study: what it tunes, its data set and its space."""
    from studies import tables

    settings = settings_of(storage)
    file = spec_file(name, settings, "show")
    chosen = file.spec(overrides or ())
    try:
        typer.echo(tables.study(chosen, settings))
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None
