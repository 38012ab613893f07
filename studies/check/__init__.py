"""Is a study sound? Checked before any hour is spent on it.

    result = check(spec, settings, seconds=60)
    result.sound, result.findings, result.facts, result.not_checked

The objective is imported in a process of its own (`inside`, after `preload`), and every training is watched in yet
another one (`isolate`, `observe`, `watch`), so that whatever it does is a finding and never ends the check. `subject`
is what checks ask, an `observation` what they get. `asked`, `losses_seen`, `tensors`, `rows`, `generators`,
`initialisers` and `own_code` each know one thing about the code; `again` makes an evaluation again, and `pruned` says
how many epochs a pruner leaves. A `program` is checked by itself, and what it has `written`. Whatever is found is one
of `findings`.

The checks are in `checks/`: <- ADD A CHECK: one file there, and one line in `CHECKS` in `studies/registry.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from studies.check.findings import Fact, Finding, NotChecked, Progress, Result, Stage, never_starts
from studies.check.isolate import SHARE_OF_MEMORY, death, free_bytes, innermost, where_now
from studies.check.own_code import OwnCode
from studies.errors import StudiesError
from studies.logs.places import launch_name
from studies.run.launchers import forkserver
from studies.spec.program import Program

if TYPE_CHECKING:
    from studies.settings import Settings
    from studies.spec import StudySpec

__all__ = ["SECONDS", "Fact", "Finding", "NotChecked", "Result", "check"]

SECONDS = 45.0  # for all trainings together; with importing torch it stays under a minute
SILENCE_S = 60.0  # the longest that importing, and preparing without progress, may take
PATIENCE_S = 5.0
POLL_S = 0.05


def check(
    spec: StudySpec,
    settings: Settings,
    progress: Callable[[str, float], None] = lambda what, fraction: None,
    seconds: float = SECONDS,
    memory_bytes: float | None = None,
) -> Result:
    """Check a study for at most `seconds`, not counting the time to import it and to prepare its data.

    progress: called with what is being done and the share that is done (0 to 1). memory_bytes: the most that one
    training may use; default: most of what is free. Raises ObjectiveRefused and SpaceRefused where the study and its
    objective do not fit together, as launching it would.
    """
    if isinstance(spec.objective, Program):
        from studies.check.program import check_program

        return check_program(spec, settings, progress, seconds)
    from studies.check.inside import examine

    started = time.monotonic()
    result = Result(spec.name)
    log = settings.logs_of(spec.name) / f"check-{launch_name()}.log"
    result.log = str(log)
    here = Path.cwd()
    progress(Stage.IMPORTING, 0.0)  # torch takes seconds
    context = forkserver.started("studies.check.preload")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=examine, args=(spec, settings, seconds, memory_bytes, sender, log, here))
    process.start()
    sender.close()
    try:
        _listen(receiver, process, result, progress, log, seconds)
    finally:
        receiver.close()
        process.terminate()  # it ends its own children
        process.join(PATIENCE_S)
        process.kill()
        process.join()
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _listen(
    receiver: Connection,
    process: ForkServerProcess,
    result: Result,
    progress: Callable[[str, float], None],
    log: Path,
    seconds: float,
) -> None:
    """Add what the process reports to the result, until it is done or has died."""
    now, heard_at = Progress(Stage.IMPORTING, Stage.IMPORTING, 0.0), time.monotonic()
    limit, silence_s = free_bytes() * SHARE_OF_MEMORY, max(SILENCE_S, seconds)
    while True:
        if not receiver.poll(POLL_S):
            how = None
            if time.monotonic() - heard_at > silence_s:
                how = f"did not end within {silence_s:.0f} s"
            elif _resident(process.pid) > limit:
                how = f"took more than {limit / 2**30:.1f} GiB of memory and was killed"
            if how is not None:
                return result.add(_broken(now.what, how, where_now(process.pid, log, OwnCode())))
            continue
        try:
            kind, content = receiver.recv()
        except EOFError:
            process.join()
            how = f"ended its process: {death(process.exitcode)}"
            return result.add(_broken(now.what, how, innermost(log, OwnCode())))
        heard_at = time.monotonic()
        if kind == "error":
            error: StudiesError = content
            raise error
        if kind == "item":
            result.add(content)
        elif kind == "checked":
            result.checked.append(content)
        elif kind == "done":
            return None
        else:
            now = content
            silence_s = max(SILENCE_S, seconds) + (seconds if now.stage is Stage.CHECKING else 0)
            progress(now.what, now.fraction)


def _broken(stage: str, how: str, where: str | None) -> Finding:
    fix = "fix the line; importing the module by hand shows the same, and the log has its output"
    return never_starts(f"{stage} {how}", fix, where)


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
