"""How studies stand: `studies status` and `watch`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from studies import names
from studies.cli.options import StorageUrl, StudyName, launched, say, settings_of
from studies.errors import StudyDeleted

PLACE = 4  # in the help

POLL_S = 1.0
PATIENCE = 15  # looks: a launch that has just been typed imports torch first

app = typer.Typer()


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A study (default: all).", callback=launched)
    ] = None,
    storage: StorageUrl = None,
) -> None:
    """Show trials by state, the workers and the best value so far."""
    from studies import tables

    say(tables.status(settings_of(storage), name))


@app.command()
def watch(name: StudyName, storage: StorageUrl = None) -> None:
    """Follow a running study until it is done or has stopped. Ctrl-C leaves it running."""
    from studies.record.progress import read_progress
    from studies.run.limits import reached
    from studies.storage import open_storage
    from studies.study import get, spec_of, typed
    from studies.view import make_view

    with open_storage(settings_of(storage)) as opened, make_view() as view:
        study = get(opened, name)
        shown = typed(opened, study.study_name)
        was_alive, n_idle, how = False, 0, "is done"
        while True:
            try:
                spec = spec_of(study)  # another launch may have raised a limit
            except KeyError:
                raise StudyDeleted(name=shown) from None
            progress = read_progress(opened, study._study_id, study.study_name, spec.metrics, spec.repeats, shown)
            view.update(progress)
            if progress.budget.done >= progress.budget.n_trials:
                break
            is_alive = any(worker.alive for worker in progress.workers)
            was_alive, n_idle = was_alive or is_alive, 0 if is_alive else n_idle + 1
            why = reached(spec, progress.budget)
            if why and was_alive and not is_alive:  # before that, it may be about to begin
                how = f"has stopped: {why}"
                break
            if n_idle == PATIENCE:
                view.say(f"No worker runs {shown}; `studies {names.command(shown)}` starts some.")
            time.sleep(POLL_S)
    next_step = f"report {name}` says more"
    if (confirmed := names.confirmed(name)) is not None:
        next_step = f"confirm {confirmed}` tells who won"
    elif progress.best is not None:
        next_step = f"export {name}` writes its best parameters"
    say(f"{shown} {how}; `studies {next_step}.", err=True)
