"""The end of a worker's process: it waits for nothing that an objective has left behind, and nothing outlives it."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from studies.errors import FAILED

GRACE_S = 5.0  # for threads that write something to its end, such as a logger's
SWEEP_S = 5.0
MARK = "STUDIES_STARTED_BY"  # the variable of all that an objective starts


def leave_nothing_behind(own_group: bool = False) -> None:
    """Start the process that kills what this worker has started, once it has ended, however it has.

    It finds the worker's group, if no others are in it (`own_group`), and on Linux every process with its mark, which
    is inherited with the environment. A program that is an objective has a supervisor for that, and no mark.
    """
    worker, mark = os.getpid(), uuid.uuid4().hex
    lives, living = os.pipe()
    if (child := os.fork()) == 0:
        if os.fork() == 0:  # nobody's child: an objective may wait for all of its own
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - numbers
                if descriptor != lives:  # the log and others, whose ends somebody may wait for
                    _close(descriptor)
            os.read(lives, 1)  # until no process has the other end, which is when the worker has ended
            _sweep(mark, worker if own_group else None)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(lives)
    os.register_at_fork(after_in_child=partial(_close, living))
    os.environ[MARK] = mark


def _close(descriptor: int) -> None:
    with suppress(OSError):  # it may be closed already
        os.close(descriptor)


def _sweep(mark: str, group: int | None) -> None:
    """Kill all processes with a mark, and those of a group, until there are none."""
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        found = list(_marked(f"{MARK}={mark}".encode()))
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            if group is not None:
                os.killpg(group, signal.SIGKILL)
        except OSError:
            group = None
        if not found and group is None:
            return
        time.sleep(0.01)


def _marked(mark: bytes) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or gone
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def leave(code: int, say: Callable[[str], None]) -> None:
    """End this process with an exit code.

    Python waits for every thread and child that is no daemon, so one that waits for ever would keep a finished study
    from ending. They get GRACE_S, and are named in the log. So long may handlers take, too, that an objective has
    registered with `atexit`: a process that was forked from a server would not call them.
    """
    deadline = time.monotonic() + GRACE_S
    children = multiprocessing.active_children()
    others: list[threading.Thread | BaseProcess] = [*threading.enumerate(), *children]
    behind = [other for other in others if not other.daemon and other is not threading.main_thread()]
    handlers = threading.Thread(target=_call_handlers, daemon=True)
    handlers.start()
    for other in (handlers, *behind):
        other.join(max(0.0, deadline - time.monotonic()))
    names = [other.name for other in behind if other.is_alive()]
    if names or handlers.is_alive():
        what = ", ".join(names) or "a pool, or what `atexit` calls"
        say(f"the objective left behind what has not ended, and is not waited for: {what}")
        for child in children:
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGKILL)  # joblib's processes have no kill() that works
        _end_at_once(code)
    sys.exit(code)


def _call_handlers() -> None:
    """Do what Python does before it waits for threads: joblib and executors keep idle workers until they are asked."""
    for end in reversed(getattr(threading, "_threading_atexits", ())):
        with suppress(Exception):
            end()
    atexit._run_exitfuncs()


@contextmanager
def only_this_process() -> Iterator[None]:
    """End a child that an objective has forked and that comes back from it: its trial is its parent's."""
    process = os.getpid()
    try:
        yield
    except BaseException:
        if os.getpid() != process:
            traceback.print_exc()
            _end_at_once(FAILED)
        raise
    if os.getpid() != process:
        _end_at_once(0)


def _end_at_once(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a full disk; closed by the objective
            stream.flush()
    os._exit(code)
