"""Running trials: `studies launch`, `worker` and `stop`."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies import names
from studies.cli import background
from studies.cli.options import (
    Dataset,
    Detach,
    DryRun,
    Kubernetes,
    Name,
    Overrides,
    Python,
    Slurm,
    StorageUrl,
    StudyName,
    Timeout,
    Trials,
    Where,
    Workers,
    changes,
    check_workers,
    pointing_into,
    read,
    say,
    seconds_of,
    settings_of,
    spec_file,
    write_best,
)
from studies.errors import INTERRUPTED, WrongInput
from studies.settings import Settings
from studies.words import all_its

if TYPE_CHECKING:
    pass

PLACE = 3  # in the help

app = typer.Typer()


@app.command()
def launch(
    name: Name,
    workers: Workers = 1,
    trials: Trials = None,
    dataset: Dataset = None,
    overrides: Overrides = None,
    others: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="OTHER", help="Start from the best of another study or version. Repeatable."),
    ] = None,
    start_with: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Run the parameters of an exported file first.")
    ] = None,
    new_version: Annotated[
        bool, typer.Option("--new-version", help="If the study has changed, start NAME@2 and so on.")
    ] = False,
    same_code: Annotated[
        bool, typer.Option("--same-code", help="The objective's code has changed, and gives the same values as before.")
    ] = False,
    on: Where = "local",
    python: Python = None,
    slurm: Slurm = None,
    kubernetes: Kubernetes = None,
    dry_run: DryRun = False,
    timeout: Timeout = None,
    detach: Detach = False,
    storage: StorageUrl = None,
) -> None:
    """Create or resume a study, and run it to its end. Writes the best to NAME.best.yaml."""
    from studies.run.launchers import dry_run as shown
    from studies.run.launchers import get_ready

    settings = settings_of(storage, python)
    check_workers(workers, on)
    timeout_s = seconds_of(timeout)
    for option, given in (("slurm", slurm), ("kubernetes", kubernetes)):
        if given and on != option:
            raise WrongInput(
                reason=f"--{option} {given[0]} is for --on {option}, and --on is {on}; leave one of them out."
            )
    file = spec_file(name, settings, "launch")
    spec = file.spec(changes(overrides, dataset, trials, slurm, kubernetes))
    if not (detach or dry_run):
        get_ready(on, spec, workers)  # it imports torch meanwhile, which takes longest

    from studies.run.join import Start, read_exported
    from studies.run.launch import launch as run
    from studies.storage import held
    from studies.view import make_view

    start = Start(new_version, same_code, others or (), None if start_with is None else read_exported(start_with))
    if dry_run:
        typer.echo(shown(on, spec, settings, workers, partial(say, err=True)), nl=False)
        return
    if detach:
        background.detach(spec.name, "launch", settings)
        return
    with held(settings):
        with pointing_into(file), make_view(settings) as view:
            stored, ran = run(spec, start, settings, workers, on, view, timeout_s)
        _show_best(stored, ran, settings)


def _show_best(stored: str, ran: bool, settings: Settings) -> None:
    from studies import outcomes

    record = read(names.exact(stored), settings)
    name = record.typed
    n_trials = sum(record.counts.values())
    hours, more = record.spec.limits.hours, f"studies launch {name} --trials {2 * n_trials}"
    if hours is not None and record.spec.n_trials is None:
        more = f"studies launch {name} --set limits.hours={2 * hours:g}"
    if not ran:
        hint = "" if record.is_used_up else f" `{more}` runs more."
        say(f"{name} has {all_its(n_trials, 'trial')}; nothing was run.{hint}", err=True)
    say(outcomes.best(record), err=True)
    if record.best is not None:
        file = write_best(record)
        on = "" if record.is_used_up else f", `{more}` searches on"
        say(
            f"Written: {file}. Next: `studies report {name}` writes a page about it, `studies confirm {name}` repeats "
            f"the best few under fresh seeds, `studies train {name}` trains and saves the model, `studies dashboard` "
            f"shows every trial{on}.",
            err=True,
        )
    elif record.front:
        from studies.record.choice import example

        say(
            f"Next: `studies report {name}` shows these trials, `studies export {name} --pick '{example(record)}'` "
            "writes the parameters of one; `studies confirm` and `studies train` take --pick, too.",
            err=True,
        )


@app.command()
def worker(
    name: StudyName,
    gpu: Annotated[
        str | None,
        typer.Option(metavar="0,1", help="Which GPUs to use (default: the least busy, as many as it needs)."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=4096, help="CPU threads (default: all cores).")] = None,
    storage: StorageUrl = None,
) -> None:
    """Run one worker here, on a study that was launched anywhere. Both use the same storage."""
    if gpu is not None:
        from studies.run.placement import choose

        choose(gpu)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when the worker loads it
    from studies import artifacts
    from studies.run.leaving import leave, leave_nothing_behind
    from studies.run.requeue import requeue
    from studies.run.signals import Stop, listen_to_signals
    from studies.run.worker import say_to_stderr, work

    settings = settings_of(storage)
    artifacts.check(settings)
    leave_nothing_behind()
    stop = Stop()
    listen_to_signals(stop, at_once=True, say=say_to_stderr)
    why = work(name, settings, None, stop, say_to_stderr)
    say_to_stderr(f"left: {why}")
    if stop.signal == signal.SIGTERM:
        requeue(say_to_stderr)
    leave(0 if stop.signal is None else INTERRUPTED, say_to_stderr)


@app.command()
def stop(name: StudyName, storage: StorageUrl = None) -> None:
    """Ask every worker of a study to stop after its epoch. It may be on any machine."""
    from studies import steering
    from studies.storage import open_storage

    with open_storage(settings_of(storage)) as opened:
        say(steering.stop(opened, name), err=True)
