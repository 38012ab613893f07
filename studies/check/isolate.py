"""Calling something that may crash, hang or use up the machine's memory: in a process of its own, within limits.

The process is forked from this one, so that it starts in exactly its state: with the objective imported, the data
prepared, and no trace of what an earlier call did. What it prints goes where this process prints.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import re
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import IO, Any

import psutil

from studies.check.own_code import OwnCode, place
from studies.words import signal_name

POLL_S = 0.02
FRAME = re.compile(r'File "(.+)", line (\d+) in ')  # as faulthandler writes it, innermost first
STACK = "most recent call first"
GRACE_S = 2.0  # between asking a process to end and killing it
SHARE_OF_MEMORY = 0.8  # of what is free: the rest of the machine keeps working


class FailureKind(StrEnum):
    """How a call may fail."""

    RAISED = "raised"
    CRASHED = "crashed"
    HUNG = "hung"
    OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Failure:
    """How a call failed.

    detail: part of a sentence. where: in the user's code. trace: for the log. error: the class of what was raised, by
    its name.
    """

    kind: FailureKind
    detail: str
    where: str | None = None
    trace: str = ""
    error: str = ""


class TimeUp(BaseException):
    """Raised inside a call whose time is over; a BaseException, so that no `except Exception` of a user's hides it."""


def isolated(call: Callable[[], Any], source: OwnCode, timeout_s: float, memory_bytes: float | None = None) -> Any:
    """Return what `call` returns in a forked process, or the Failure that it ended in.

    memory_bytes: the most it may have resident; most of what is free without it.
    """
    limit = memory_bytes or free_bytes() * SHARE_OF_MEMORY + psutil.Process().memory_info().rss
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as file:
        stack = Path(file.name)
        process = context.Process(target=_child, args=(call, source, sender, timeout_s, file))
        process.start()
        sender.close()
        deadline = time.monotonic() + timeout_s + GRACE_S
        try:
            while not receiver.poll(POLL_S):
                if (size := _resident(process.pid)) > limit:
                    where = where_now(process.pid, stack, source)
                    return Failure(
                        FailureKind.OUT_OF_MEMORY, f"it was killed at {size / 2**30:.1f} GiB of memory", where
                    )
                if time.monotonic() > deadline:
                    where = where_now(process.pid, stack, source)
                    return Failure(
                        FailureKind.HUNG,
                        f"it did not end within {timeout_s:.0f} s, not even when it was asked to",
                        where,
                    )
            return receiver.recv()
        except EOFError:
            process.join()
            where = innermost(stack, source)
            return Failure(FailureKind.CRASHED, f"its process died: {death(process.exitcode)}", where)
        finally:
            _end(process)
            receiver.close()


def free_bytes() -> float:
    """Return how much memory may still be used, by this machine's or this container's account."""
    free = float(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        free = min(free, int((group / "memory.max").read_text()) - used)
    return max(free, 0.0)


def _child(call: Callable[[], Any], source: OwnCode, sender: Connection, timeout_s: float, stack: IO[bytes]) -> None:
    faulthandler.enable(stack, all_threads=False)
    faulthandler.register(signal.SIGUSR1, stack, all_threads=False)
    os.setpgrp()  # so that whatever it starts can be ended with it
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # should memory run out, this process goes first
    stopped: list[str | None] = []

    def time_up(number: int, frame: FrameType | None) -> None:
        stopped.append(source.of_frame(frame))
        raise TimeUp

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, time_up)
    signal.setitimer(signal.ITIMER_REAL, timeout_s, 1.0)
    answer: Any
    try:
        answer = call()
    except TimeUp:
        answer = Failure(FailureKind.HUNG, f"it did not end within {timeout_s:.0f} s", stopped[0])
    except BaseException as error:
        answer = failure_of(error, source)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with suppress(OSError):
        sender.send(answer)
        sender.close()
    os._exit(0)  # no exit handlers: those belong to the process that this one was forked from


def failure_of(error: BaseException, source: OwnCode) -> Failure:
    """Return an error as a Failure."""
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    out_of_memory = out_of_memory or "can't allocate memory" in str(error)  # torch raises a RuntimeError on the CPU
    said = " ".join(str(error).split())
    return Failure(
        FailureKind.OUT_OF_MEMORY if out_of_memory else FailureKind.RAISED,
        f"{type(error).__name__}: {said}" if said else type(error).__name__,
        source.of_error(error),
        "".join(traceback.format_exception(error)),
        type(error).__name__,
    )


def _resident(pid: int | None) -> int:
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def where_now(pid: int | None, stack: Path, source: OwnCode) -> str | None:
    """Return where a process is that may not listen to Python's signals any more, but has set up faulthandler."""
    with suppress(OSError):
        if pid is not None:
            os.kill(pid, signal.SIGUSR1)
        time.sleep(10 * POLL_S)
    return innermost(stack, source)


def innermost(stack: Path, source: OwnCode) -> str | None:
    """Return the innermost place of the user's code in the last stack that faulthandler wrote to a file."""
    written = re.split(STACK, stack.read_text(encoding="utf-8", errors="replace"))[-1]
    frames = ((file, int(line)) for file, line in FRAME.findall(written))
    return next((place(file, line) for file, line in frames if source.is_own(file)), None)


def death(code: int | None) -> str:
    """Return how a process ended, as part of a sentence."""
    if code is not None and code < 0:
        return f"killed by {signal_name(-code)}"
    return f"it exited with code {code}"


def _end(process: multiprocessing.process.BaseProcess) -> None:
    if process.pid is not None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
