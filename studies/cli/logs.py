"""What workers and programs printed: `studies logs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies import names
from studies.cli.options import StudyName, settings_of
from studies.errors import StorageUnreachable, StudiesError, WrongInput
from studies.settings import Settings

if TYPE_CHECKING:
    import optuna

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
    from studies.logs.places import of_trials, studies_with_logs, trial_log, worker_logs

    settings = settings_of(None)
    home = settings.home
    known = [path.name for path in (home / "logs").glob("*") if path.is_dir()]
    study = names.newest(name, known) or name
    uid = None
    if len(studies_with_logs(home, study)) > 1:
        with suppress(StorageUnreachable), _stored(name, settings) as found:
            uid = found.user_attrs[names.UID]
    directory = of_trials(home / "logs" / study, uid)
    if trial is not None:
        paths = [trial_log(directory, trial)]
    else:
        paths = worker_logs(home, study, uid) or worker_logs(home, names.parts(study)[0], uid)
    if not paths or not paths[0].exists():
        raise _no_log(name, directory, trial, settings)
    _show(paths, follow)


def _no_log(name: str, directory: Path, trial: int | None, settings: Settings) -> StudiesError:
    """Return why there is no log of a study's workers, or of a trial, and what to type."""
    from studies.logs.places import trials_with_logs
    from studies.words import numbered

    place = settings.home / "logs"
    n_trials = None
    try:
        with _stored(name, settings) as study:
            n_trials = study._storage.get_n_trials(study._study_id)
    except StorageUnreachable:  # what is here can be said without it
        pass
    except StudiesError as unknown:
        return unknown
    here = trials_with_logs(directory)
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


@contextmanager
def _stored(name: str, settings: Settings) -> Iterator[optuna.Study]:
    """Yield the study in the storage. Raises StudyNotStarted, NotOurs, StorageUnreachable."""
    from studies.storage import is_there, open_storage
    from studies.study import get, not_started

    if not is_there(settings):
        raise not_started(name, ())
    with open_storage(settings) as storage:
        yield get(storage, name)


def _show(paths: Sequence[Path], follow: bool) -> None:
    """Write the files to stdout as they are, each under its name where there are several."""
    from studies.logs.log import Reader

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
