"""The process that imports the objective, prepares its data and runs the checks."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from studies.check.checks import Check, load
from studies.check.findings import Item, NotChecked, Progress, Stage, never_starts
from studies.check.isolate import failure_of
from studies.check.observe import Prepared
from studies.check.own_code import OwnCode
from studies.check.subject import Subject
from studies.errors import ObjectiveRefused, StudiesError
from studies.logs.log import print_to
from studies.run.objective import FunctionObjective, load_objective

if TYPE_CHECKING:
    from studies.settings import Settings
    from studies.spec import StudySpec


def examine(
    spec: StudySpec,
    settings: Settings,
    seconds: float,
    memory_bytes: float | None,
    sender: Connection,
    log: Path,
    directory: Path,
) -> None:
    """Send everything that is found about the study; what the objective prints goes to the log."""
    print_to(log)
    faulthandler.enable(2)
    faulthandler.register(signal.SIGUSR1, 2, all_threads=False)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that every `finally` runs
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(directory)
    try:
        prepared = _prepared(spec, settings, sender)
        if prepared is not None:
            _go_through(Subject(prepared, settings, seconds, memory_bytes), sender)
        print(f"{sum(os.times()[:4]):.1f} s of CPU time in all", flush=True)
        sender.send(("done", None))
    except StudiesError as error:
        sender.send(("error", error))
    except BrokenPipeError:
        pass  # nobody reads any more


def _prepared(spec: StudySpec, settings: Settings, sender: Connection) -> Prepared | None:
    """Import and prepare; None when that failed by the objective's own fault, which is then reported."""
    module = str(spec.objective).partition(":")[0]
    stage = Stage.IMPORTING
    sender.send(("progress", Progress(stage, stage, 0.0)))
    try:
        objective = load_objective(spec)
        _warm_up()
        found = objective.function if isinstance(objective, FunctionObjective) else objective
        source = OwnCode(module, found)
        stage = Stage.PREPARING
        data = objective.prepare(
            spec.dataset,
            settings.data,
            settings.directory("prepared"),
            lambda what, fraction: sender.send(("progress", Progress(stage, f"preparing: {what}", fraction))),
        )
    except StudiesError:
        raise
    except BaseException as error:
        traceback.print_exc()
        if isinstance(error, ValueError) and stage is Stage.PREPARING:  # the objectives' DataError among them
            raise ObjectiveRefused(reason=str(error)) from None
        failure = failure_of(error, OwnCode(module))
        fix = "fix the line; the traceback is in the log"
        sender.send(("item", never_starts(f"{stage} raised {failure.detail}", fix, failure.where)))
        return None
    return Prepared(spec, objective, data, source)


def _warm_up() -> None:
    """Import now what each of the many processes to be forked would import again: a first optimizer takes seconds."""
    import torch

    torch.set_num_threads(1)  # numbers then repeat exactly, and a process may be forked after it has computed
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    from torch._dynamo import config

    config.disable = True  # compiling takes minutes, and hides what is watched


def _go_through(subject: Subject, sender: Connection) -> None:
    checks = load()
    failed: set[str] = set()
    for number, (name, check) in enumerate(checks.items()):
        sender.send(("progress", Progress(Stage.CHECKING, f"checking {check.title}", number / len(checks))))
        later = sum(each.share for each in list(checks.values())[number:])
        subject.begin(check.share / later if check.share else 1.0)
        for item in items_of(name, check, subject, failed):
            sender.send(("item", item))
        sender.send(("checked", check.title))


def items_of(name: str, check: Check, subject: Subject, failed: set[str]) -> list[Item]:
    """Return what a check reports of a subject. failed: the checks that failed so far; this one is added if it fails.

    A check that fails hides neither the others nor itself: it is not checked, and neither is what needs it.
    """
    if needed := [other for other in check.after if other in failed]:
        failed.add(name)
        return [NotChecked(check.title, f"it needs what the check {needed[0]!r} did, and that one failed")]
    if check.needs_training and subject.first.failure:
        return [NotChecked(check.title, "it does not train with its defaults")]
    try:
        return list(check.check(subject))
    except Exception as error:
        traceback.print_exc()
        failed.add(name)
        return [NotChecked(check.title, f"the check itself failed ({type(error).__name__}: {error})")]
