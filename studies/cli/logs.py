"""What workers and programs printed: `studies logs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from studies import names
from studies.cli.options import StudyName, settings_of
from studies.errors import StorageUnreachable, StudiesError, WrongInput
from studies.settings import Settings

PLACE = 4.5  # in the help

POLL_S = 0.2

app = typer.Typer()


@app.command()
def logs(
    name: StudyName,
    trial: Annotated[int | None, typer.Option(min=0, help="What the program of this trial printed.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show what comes, until the trial has ended or Ctrl-C.")
    ] = False,
) -> None:
    """Show what workers printed, or the program of a trial.

    The workers are those of the last launch on this machine.
    """
    from studies.logs import trial_log, worker_logs

    settings = settings_of(None)
    home = settings.home
    known = [path.name for path in (home / "logs").glob("*") if path.is_dir()]
    study = names.newest(name, known) or name
    if trial is not None:
        paths = [trial_log(home / "logs" / study, trial)]
    else:
        paths = worker_logs(home, study) or worker_logs(home, names.parts(study)[0])
    if not paths or not paths[0].exists():
        raise _no_log(name, study, trial, settings)
    _show(paths, follow)


def _no_log(name: str, study: str, trial: int | None, settings: Settings) -> StudiesError:
    """Return why there is no log of a study's workers, or of a trial, and what to type."""
    from studies.logs import trials_with_logs
    from studies.words import numbered

    place = settings.home / "logs"
    n_trials = None
    try:
        n_trials = _n_trials(name, settings)
    except StorageUnreachable:  # what is here can be said without it
        pass
    except StudiesError as unknown:
        return unknown
    here = trials_with_logs(place / study)
    shows = f"`studies logs {name} --trial {here[-1]}` shows one that is here" if here else ""
    shows = shows or f"`studies status {name}` shows its trials and workers"
    if trial is None:
        what = f"No worker of {name!r} has a log on this machine ({place})"
    elif n_trials is not None and trial >= n_trials:
        what = f"There is no trial {trial}: {name!r} has {numbered(n_trials)}"
    else:
        what = (
            f"Trial {trial} of {name!r} has no log on this machine ({place}): programs alone have one, where they ran"
        )
    return WrongInput(reason=f"{what}; {shows}.")


def _n_trials(name: str, settings: Settings) -> int:
    """Return how many trials a study has. Raises StudyNotStarted, NotOurs, StorageUnreachable."""
    from studies.storage import is_there, open_storage
    from studies.study import get, not_started

    if not is_there(settings):
        raise not_started(name, ())
    with open_storage(settings) as storage:
        return storage.optuna.get_n_trials(get(storage, name)._study_id)


def _show(paths: Sequence[Path], follow: bool) -> None:
    """Write the files to stdout as they are, each under its name where there are several."""
    from studies.logs import Reader

    shown = None if len(paths) > 1 else paths[0]
    with ExitStack() as stack:
        readers = {path: stack.enter_context(closing(Reader(path))) for path in paths}
        while True:
            for path, reader in readers.items():
                for piece in reader.new():
                    if path != shown:
                        shown = path
                        sys.stdout.buffer.write(f"==> {path} <==\n".encode(errors="replace"))
                    sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            if not follow or all(reader.ended for reader in readers.values()):
                return
            time.sleep(POLL_S)
