"""A study with all that is kept for it: `studies copy`, `studies delete`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies.cli.options import OWN_FILES, StorageUrl, StudyName, say, settings_of
from studies.errors import (
    StorageRefused,
    StorageUnreachable,
    TargetRefused,
    TargetUnreachable,
    WrongInput,
    WrongStorageUrl,
)

if TYPE_CHECKING:
    from studies.settings import Settings
    from studies.storage import Storage

PLACE = 7.5  # in the help

app = typer.Typer()


@app.command()
def copy(
    name: StudyName,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The other storage, or a file that holds its URL.")],
    storage: StorageUrl = None,
) -> None:
    """Copy a study to another storage, whole or not at all.

    With trials, curves, checkpoints, artifacts and confirmation.
    """
    from studies import whole
    from studies.storage import open_storage
    from studies.words import plural

    settings = settings_of(storage)
    with open_storage(settings) as source, _opened(settings.with_storage(to)) as target:
        found = whole.whole(source, name)
        whole.copy(source, target, settings, found)
    what = " and ".join(each.study_name for each in found.studies)
    say(f"Copied: {what} with {plural(found.n_trials, 'trial')}. What was copied is here still.", err=True)


def _opened(target: Settings) -> Storage:
    """Return the other storage; what is wrong with its address is told of --to."""
    from studies.storage import open_storage

    try:
        return open_storage(target)
    except (WrongStorageUrl, StorageRefused) as error:
        raise TargetRefused(**error.given) from None
    except StorageUnreachable as error:
        if type(error) is not StorageUnreachable:  # what it says is of its server
            raise
        raise TargetUnreachable(**error.given) from None


@app.command()
def delete(
    name: StudyName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Delete a study for good, with all that is kept for it.

    That is trials, checkpoints, artifacts, confirmation, and the logs on this machine.
    """
    from studies import whole
    from studies.storage import open_storage
    from studies.words import plural

    settings = settings_of(storage)
    with open_storage(settings) as opened:
        found = whole.whole(opened, name)
        what = " and ".join(each.study_name for each in found.studies)
        trials = f"{what} with {plural(found.n_trials, 'trial')}"
        if not yes:
            if not sys.stdin.isatty():
                raise WrongInput(
                    reason=f"Deleting {trials} cannot be asked about here; --yes deletes without a question."
                )
            if not typer.confirm(f"Delete {trials}, checkpoints, artifacts and logs for good?", err=True):
                say("Nothing was deleted.", err=True)
                return
        whole.delete(opened, settings, found)
    say(f"Deleted: {trials}.", err=True)
    for left in (found.left_here(settings), found.left_elsewhere(settings)):
        if left:
            say(left, err=True)
    written = {f"{study}{end}" for study in (name, *(each.study_name for each in found.studies)) for end in OWN_FILES}
    if own := sorted(file for file in written if Path(file).exists()):
        say(f"Still in this directory: {', '.join(own)}.", err=True)
