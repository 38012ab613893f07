"""A study that is not needed any more: `studies delete`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from studies.cli.options import StorageUrl, StudyName, settings_of
from studies.errors import WrongInput

PLACE = 7.5  # in the help

app = typer.Typer()


@app.command()
def delete(
    name: StudyName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Delete a study for good: its trials, checkpoints, artifacts and confirmation."""
    from studies import deletion
    from studies.storage import open_storage
    from studies.words import plural

    settings = settings_of(storage)
    with open_storage(settings) as opened:
        found = deletion.doomed(opened, name)
        what = " and ".join(each.study_name for each in found.studies)
        trials = f"{what} with {plural(found.n_trials, 'trial')}"
        if not yes:
            if not sys.stdin.isatty():
                raise WrongInput(
                    reason=f"Deleting {trials} cannot be asked about here; --yes deletes without a question."
                )
            if not typer.confirm(f"Delete {trials}, checkpoints and artifacts for good?", err=True):
                typer.echo("Nothing was deleted.", err=True)
                return
        deletion.delete(opened, settings, found)
    typer.echo(f"Deleted: {trials}.", err=True)
