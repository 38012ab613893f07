"""What a person asks of a study that is there: `studies resume`, `queue`, `retry`."""

from __future__ import annotations

from typing import Annotated

import typer

from studies.cli.options import StorageUrl, StudyName, Trials, say, settings_of
from studies.errors import WrongInput

PLACE = 3.5  # in the help

app = typer.Typer()


@app.command()
def resume(
    name: StudyName,
    trials: Trials = None,
    storage: StorageUrl = None,
) -> None:
    """Open a stopped study again, or for more trials. It starts no worker: `studies worker` does."""
    from studies import steering
    from studies.storage import open_storage

    with open_storage(settings_of(storage)) as opened:
        say(steering.resume(opened, name, trials), err=True)


@app.command()
def queue(
    name: StudyName,
    values: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Parameters; others are at their default.")
    ],
    storage: StorageUrl = None,
) -> None:
    """Queue a trial with parameters of your choice. It runs next, and counts as one of the study's trials."""
    from studies import steering
    from studies.storage import open_storage

    given = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise WrongInput(reason=f"{text!r} is not KEY=VALUE; expected a parameter, such as learning_rate=0.01.")
        if key in given:
            raise WrongInput(reason=f"{text!r} gives {key} a second time; leave one of the two out.")
        given[key] = steering.value_of(value, key)
    with open_storage(settings_of(storage)) as opened:
        number = steering.queue(opened, name, given)
    say(f"Trial {number} of {name} is queued; it runs next.", err=True)


@app.command()
def retry(
    name: StudyName,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The number of a failed trial.")],
    storage: StorageUrl = None,
) -> None:
    """Queue a failed trial again, with its parameters and seed. Both count."""
    from studies import steering
    from studies.storage import open_storage

    with open_storage(settings_of(storage)) as opened:
        number = steering.retry(opened, name, trial)
    say(f"Trial {number} of {name} repeats trial {trial}; it runs next.", err=True)
