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
from studies.errors import WrongInput

PLACE = 4.5  # in the help

POLL_S = 0.2

app = typer.Typer()


@app.command()
def logs(
    name: StudyName,
    trial: Annotated[int | None, typer.Option(help="What the program of this trial printed.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show what comes, until the trial has ended or Ctrl-C.")
    ] = False,
) -> None:
    """Show what workers printed, or the program of a trial.

    The workers are those of the last launch on this machine.
    """
    from studies.logs import trial_log, worker_logs

    home = settings_of(None).home
    known = [path.name for path in (home / "logs").glob("*") if path.is_dir()]
    study = names.newest(name, known) or name
    if trial is not None:
        paths = [trial_log(home / "logs" / study, trial)]
        what = f"trial {trial} of {study!r} has no log on this machine: programs alone have one, where they ran"
    else:
        paths = worker_logs(home, study) or worker_logs(home, names.parts(study)[0])
        what = f"no worker of {study!r} has a log on this machine"
    if not paths or not paths[0].exists():
        raise WrongInput(reason=f"{what} ({home / 'logs'}); `studies status {name}` shows its trials and workers.")
    _show(paths, follow)


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
