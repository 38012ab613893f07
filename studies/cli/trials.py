"""Running trials: `studies launch`, `worker` and `stop`."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies import names
from studies.cli.options import (
    Dataset,
    Name,
    Overrides,
    StorageUrl,
    StudyName,
    Where,
    Workers,
    check_workers,
    read,
    settings_of,
)
from studies.errors import INTERRUPTED, IsConfirmation, SpaceRefused, StudyNotStarted, UnknownStudy, WrongInput
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.spec import SpecFile

app = typer.Typer()


@app.command()
def launch(
    name: Name,
    workers: Workers = 1,
    trials: Annotated[int | None, typer.Option(help="How many trials the study has in the end.")] = None,
    dataset: Dataset = None,
    overrides: Overrides = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="OTHER", help="Start from what another study or version has found.")
    ] = None,
    start_with: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run the parameters of an exported file first.")
    ] = None,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="Where the study has changed, begin NAME@2 and so on.")
    ] = False,
    on: Where = "local",
    timeout: Annotated[float | None, typer.Option(metavar="MINUTES", help="Stop the study after this long.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the study goes on.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Create or resume a study and run it to its end, with a live view; the best parameters go to NAME.best.yaml."""
    from studies.launch import launch as run
    from studies.start import Start, join, read_exported
    from studies.view import make_view

    settings = settings_of(storage)
    check_workers(workers, on)
    if timeout is not None and timeout <= 0:
        raise WrongInput(reason=f"--timeout is {timeout:g}; expected minutes above 0, such as --timeout 30.")
    changes = list(overrides or ())
    changes += [] if trials is None else [f"n_trials={trials}"]
    changes += [] if dataset is None else [f"dataset={json.dumps(dataset)}"]
    file = _spec_file(name, settings)
    chosen = file.spec(changes)
    start = Start(new_version, source, None if start_with is None else read_exported(start_with))
    if detach:
        _detach(chosen.name, settings)
        return
    timeout_s = math.inf if timeout is None else timeout * 60
    try:
        with make_view() as view:
            stored, ran = run(chosen, settings, workers, on, view, partial(join, chosen, start), timeout_s)
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None
    if not ran:
        typer.echo(
            f"{stored} has all its {chosen.n_trials} trials; nothing was run. "
            f"`studies launch {stored} --trials {2 * chosen.n_trials}` goes on with it.",
            err=True,
        )
    _show_best(names.exact(stored) if names.parts(name)[1] else stored, settings)


def _spec_file(name: str, settings: Settings) -> SpecFile:
    """Return the file that a name means, or the spec in the storage: of a version, or of a study without a file."""
    from studies.spec import SpecFile

    if names.parts(name)[1] is None:
        try:
            return SpecFile.find(name)
        except UnknownStudy as error:
            try:
                return _stored_spec(name, settings)
            except StudyNotStarted:
                raise error from None
    return _stored_spec(name, settings)


def _stored_spec(name: str, settings: Settings) -> SpecFile:
    from studies.spec import SpecFile
    from studies.storage import open_storage
    from studies.storage.embedded import EmbeddedServer
    from studies.study import get, spec_of

    if settings.storage is None and not EmbeddedServer(settings).exists:
        raise StudyNotStarted(name=names.parts(name)[0])
    with open_storage(settings) as opened:
        spec = spec_of(get(opened, name))
    if (study := names.confirmed(name)) is not None:
        raise IsConfirmation(name=spec.name, study=study, command=f"confirm {study}")
    return SpecFile(name, spec.model_dump() | {"name": names.exact(spec.name)})


def _detach(name: str, settings: Settings) -> None:
    log = settings.directory("logs", name) / f"launch-{time.strftime('%Y%m%d-%H%M%S')}.log"
    command = [sys.executable, "-m", "studies", *(word for word in sys.argv[1:] if word != "--detach")]
    # A storage URL in argv may hold a password, and argv is for everybody to see: it goes by the environment.
    command = _without_storage(command)
    environment = os.environ | ({"STUDIES_STORAGE": settings.storage} if settings.storage else {})
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=streams, setsid=True)
    typer.echo(f"{name} runs in the background (process {pid}, log {log}).", err=True)
    typer.echo(f"`studies watch {name}` follows it, `studies stop {name}` ends it.", err=True)


def _without_storage(command: list[str]) -> list[str]:
    kept: list[str] = []
    for word in command:
        if kept and kept[-1] == "--storage":
            kept.pop()
        elif not word.startswith("--storage="):
            kept.append(word)
    return kept


def _show_best(name: str, settings: Settings) -> None:
    from studies import tables
    from studies.exporters import export as rendered
    from studies.exporters import write_whole

    report = read(name, settings)
    typer.echo(tables.best(report), err=True)
    if report.best is not None:
        file = Path(f"{report.spec.name}.best.yaml")
        write_whole(file, rendered(report, "yaml"))
        typer.echo(
            f"Written: {file}. Next: `studies report {name}` writes a page about it, `studies confirm {name}` repeats "
            f"the best few under fresh seeds, `studies train {name}` trains and saves the model, `studies dashboard` "
            f"shows every trial, `studies launch {name} --trials {2 * report.spec.n_trials}` searches on.",
            err=True,
        )


@app.command()
def worker(
    name: StudyName,
    gpu: Annotated[int | None, typer.Option(help="Which GPU to use; the first one without it, if any.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all cores without it.")] = None,
    storage: StorageUrl = None,
) -> None:
    """Run one worker here, on a study that was launched anywhere with the same storage."""
    from studies.launchers.local import visible_gpus

    gpus = visible_gpus()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when the worker loads it
    if gpu is not None and str(gpu) not in gpus:
        raise WrongInput(reason=f"--gpu is {gpu}; this machine has {', '.join(gpus) or 'no GPU'}.")
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu) if gpu is not None else gpus[0]
    from studies import artifacts
    from studies.worker import Stop, listen_to_signals, say_to_stderr, work

    settings = settings_of(storage)
    artifacts.check(settings)
    stop = Stop()
    listen_to_signals(stop, at_once=True)
    device = "cuda" if gpus else "cpu"
    why = work(name, settings, device, stop, say_to_stderr)
    say_to_stderr(f"left: {why}")
    if why.endswith("received"):
        sys.exit(INTERRUPTED)


@app.command()
def stop(name: StudyName, storage: StorageUrl = None) -> None:
    """Ask every worker of a study, on every machine, to leave after its current epoch."""
    from studies.storage import open_storage
    from studies.study import get, typed

    with open_storage(settings_of(storage)) as opened:
        study = get(opened, name)
        study_id = study._study_id
        command = names.command(typed(opened, study.study_name))
        opened.ledger.request_stop(study_id, "`studies stop` was typed")
        alive = [worker for worker in opened.ledger.workers(study_id) if worker.alive]
    typer.echo(
        f"{study.study_name}: {len(alive)} workers leave after their epoch; `studies {command}` goes on from there.",
        err=True,
    )
