"""What runs in a process that the fork server makes for a launcher: it describes the objective, or is a worker."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studies.errors import FAILED, ObjectiveRefused, StudiesError
from studies.logs.log import print_to
from studies.run.launchers import PRELOADED
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.spec import StudySpec


def describe(spec: StudySpec, settings: Settings, sender: Connection, log: Path, prepare: bool) -> None:
    """Answer with progress, and with a description or an error."""
    print_to(log)
    from studies.run.objective import described, load_with_space

    try:
        objective, space = load_with_space(spec)
        _check_fork(spec)
        data = None
        if prepare:
            data = objective.prepare(
                spec.dataset,
                settings.data,
                settings.directory("prepared"),
                lambda what, fraction: sender.send(("progress", (what, fraction))),
            )
    except StudiesError as error:
        sender.send(("error", error))
    except ValueError as error:  # the objectives' DataError among them
        sender.send(("error", ObjectiveRefused(reason=str(error))))
    else:
        sender.send(("described", described(spec, objective, space, data, settings)))


def _check_fork(spec: StudySpec) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda._is_in_bad_fork():
        raise ObjectiveRefused(
            reason=f"{spec.objective} uses a GPU while it is imported, and processes that are forked after that cannot "
            "use any: move that into its start(), or into the function"
        )


def be_worker(name: str, settings: Settings, gpu: str | None, shared: Path | None, log: Path) -> None:
    """Be a worker, and leave with its exit code. shared: where those meet that share its GPU."""
    print_to(log)
    from studies.run.inheritance import like_a_program
    from studies.run.leaving import leave, leave_nothing_behind
    from studies.run.sharing import SharedGpu
    from studies.run.signals import Stop, listen_to_signals
    from studies.run.worker import say_to_stderr, work

    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    like_a_program(own_variables=[PRELOADED])
    leave_nothing_behind(own_group=True)
    stop = Stop()
    listen_to_signals(stop, at_once=False, say=say_to_stderr)
    _leave_with_parent(stop)
    code = 0
    try:
        device = "cpu" if gpu is None else "cuda"
        say_to_stderr(f"left: {work(name, settings, device, stop, say_to_stderr, SharedGpu(shared))}")
    except StudiesError as error:
        code = error.exit_code
        print(error, file=sys.stderr, flush=True)  # its last words, which the launcher repeats
    except BaseException as error:
        import traceback

        code = FAILED
        traceback.print_exc()
        say_to_stderr(f"{type(error).__name__}: {error}")
    leave(code, say_to_stderr)


def _leave_with_parent(stop: Any) -> None:
    """Leave when the launcher has died: nobody would restart, count or stop this worker any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            stop.request("the launcher died")

        threading.Thread(target=watch, name="parent", daemon=True).start()
