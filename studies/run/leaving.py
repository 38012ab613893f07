"""The end of a worker's process: it waits for nothing that an objective has left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess

from studies.errors import FAILED

GRACE_S = 5.0  # for threads that write something to its end, such as a logger's


def leave(code: int, say: Callable[[str], None]) -> None:
    """End this process with an exit code.

    Python waits for every thread and child that is no daemon, so one that waits for ever would keep a finished study
    from ending. They get GRACE_S, and are named in the log.
    """
    deadline = time.monotonic() + GRACE_S
    children = multiprocessing.active_children()
    others: list[threading.Thread | BaseProcess] = [*threading.enumerate(), *children]
    behind = [other for other in others if not other.daemon and other is not threading.main_thread()]
    pools = threading.Thread(target=_end_idle_pools, daemon=True)
    pools.start()
    for other in (pools, *behind):
        other.join(max(0.0, deadline - time.monotonic()))
    names = [other.name for other in behind if other.is_alive()]
    if names or pools.is_alive():
        say(f"the objective left behind what has not ended, and is not waited for: {', '.join(names) or 'a pool'}")
        for child in children:
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGKILL)  # joblib's processes have no kill() that works
        _end_at_once(code)
    sys.exit(code)


def _end_idle_pools() -> None:
    """Do what Python does before it waits for threads: joblib and executors keep idle workers until they are asked."""
    for end in reversed(getattr(threading, "_threading_atexits", ())):
        with suppress(Exception):
            end()


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
