"""What there is to launch: `studies list` and `show`."""

from __future__ import annotations

import typer

from studies.cli.options import Name, Overrides, StorageUrl, changes, pointing_into, say, settings_of, spec_file

PLACE = 1  # in the help

app = typer.Typer()


@app.command("list")
def list_studies(storage: StorageUrl = None) -> None:
    """Show the catalog, with data sets and results so far."""
    from studies import tables

    say(tables.catalog(settings_of(storage)))


@app.command()
def show(name: Name, overrides: Overrides = None, storage: StorageUrl = None) -> None:
    """Show a study: what it tunes, its data set and its space."""
    from studies import tables

    settings = settings_of(storage)
    file = spec_file(name, settings, "show")
    chosen = file.spec(changes(overrides))
    with pointing_into(file):
        say(tables.study(chosen, settings))
