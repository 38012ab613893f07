"""What there is to launch: `studies list` and `show`."""

from __future__ import annotations

import typer

from studies.cli.options import Name, Overrides, StorageUrl, settings_of
from studies.errors import SpaceRefused
from studies.settings import Settings

app = typer.Typer()


@app.command("list")
def list_studies(storage: StorageUrl = None) -> None:
    """Show the catalog, with each study's data set and results so far."""
    from studies import tables

    typer.echo(tables.catalog(settings_of(storage)))


@app.command()
def show(name: Name, overrides: Overrides = None) -> None:
    """Show a study: what it tunes, its data set and its space."""
    from studies import spec, tables

    file = spec.SpecFile.find(name)
    chosen = file.spec(overrides or ())
    try:
        typer.echo(tables.study(chosen, Settings.from_environment()))
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None
