"""Starts one program and sees to its end: nothing that it started outlives it, or the worker that wanted it.

It is a process of its own between a worker and the program, so that it is there when the worker is killed. It needs
nothing but Python's library, and is started as a file, in isolation:

    python -I -S supervisor.py LIFELINE STATUS SCRATCH GRACE_S COMMAND...

LIFELINE is a descriptor to read from, whose other end the worker has: each byte asks the program to end (SIGTERM, and
after GRACE_S seconds SIGKILL), and its end means that the worker needs the program no more, or is dead: then all is
killed at once and SCRATCH, a directory, removed. STATUS is a descriptor to write lines of JSON to: {"pid": ...} once
the program runs, or {"error": ...} where it cannot, and {"status": ..., "memory_mib": ...} once nothing of it is left.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # a batch system sends them to every process
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # which a program would inherit: `yes | head` ends by the first
KILLED_FIRST = "500"  # by the kernel, when memory is short: the program, and no worker
SWEEP_S = 5.0


def main() -> None:
    """Run the program of the command line."""
    command = sys.argv[5:]
    supervise(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]), lambda: _executed(command))


def supervise(lifeline: int, status: int, scratch: str, grace_s: float, start: Callable[[], int]) -> bool:
    """Run the program, then wait until the worker has let go.

    start: starts it, and returns its pid; 0 in the process of the program, where this returns True at once. It raises
    OSError where it cannot.
    """
    for descriptor in (lifeline, status):
        os.set_inheritable(descriptor, False)
    if LINUX:  # whatever loses its parent becomes a child of this process
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        child = start()
    except OSError as error:
        program = f"{error.filename}: " if error.filename else ""
        _say(status, error=f"{program}{(error.strerror or str(error)).lower()}")
    else:
        if child == 0:
            os.close(woken)
            os.close(wake)
            return True
        for standard in (0, 1, 2):  # the program's alone, so that its output ends with it
            os.dup2(os.open(os.devnull, os.O_RDWR), standard)
        _say(status, pid=child)
        ended = _watched(child, lifeline, woken, grace_s)
        _sweep(child)
        _say(status, **ended)
    while os.read(lifeline, 1):
        pass
    shutil.rmtree(scratch, ignore_errors=True)
    return False


def forked() -> int:
    """Fork a program from this process: return its pid, and 0 in the program, which has what this process has."""
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _be_a_program(parent)
    return child


def _be_a_program(parent: int) -> None:
    """Give a forked process what a program has that a shell starts: a session, and signals as they are by default."""
    os.setsid()
    for number in (*IGNORED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    if LINUX:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should its supervisor be killed itself
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST)
    if os.getppid() != parent:  # it was killed already
        os._exit(127)


def _executed(command: list[str]) -> int:
    """Start a command; raise OSError where it cannot be."""
    problem, problem_end = os.pipe()  # closed by a successful exec
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _be_a_program(parent)
            for number in IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606 - a program is what a study file asks for
        except OSError as error:
            os.write(problem_end, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(problem_end)
    found = os.read(problem, 16)
    os.close(problem)
    if found:
        os.waitpid(child, 0)
        raise OSError(int(found), os.strerror(int(found)), command[0])
    return child


def _watched(child: int, lifeline: int, woken: int, grace_s: float) -> dict[str, Any]:
    """Wait until the program has ended, which it is made to when the worker says so or is gone."""
    deadline: float | None = None
    kept = [lifeline, woken]
    while True:
        if (ended := _reaped(child)) is not None:
            return ended
        ready, _, _ = select.select(kept, [], [], None if deadline is None else max(0.0, deadline - time.monotonic()))
        if woken in ready:
            os.read(woken, 4096)
        if lifeline in ready:
            if not os.read(lifeline, 1):
                kept.remove(lifeline)
                _signal(child, signal.SIGKILL)
            elif deadline is None:
                deadline = time.monotonic() + grace_s
                _signal(child, signal.SIGTERM)
                _signal(child, signal.SIGCONT)
        if deadline is not None and time.monotonic() >= deadline:
            deadline += 1.0
            _signal(child, signal.SIGKILL)


def _reaped(child: int) -> dict[str, Any] | None:
    """Reap whatever has ended; return how the program did, once it has."""
    with suppress(ChildProcessError):
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == child:
                unit = 2**20 if sys.platform == "darwin" else 2**10
                return {"status": status, "memory_mib": round(usage.ru_maxrss / unit, 1)}
            if pid == 0:
                return None
    return None


def _sweep(child: int) -> None:
    """Kill what the program has left behind: its group, and on Linux every process that came from it."""
    _signal(child, signal.SIGKILL)
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        for pid in _children():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Return this process's children, the orphans of the program among them; none where there is no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def _signal(group: int, number: int) -> None:
    with suppress(OSError):
        os.killpg(group, number)


def _say(descriptor: int, /, **content: Any) -> None:
    with suppress(OSError):
        os.write(descriptor, json.dumps(content).encode() + b"\n")


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
