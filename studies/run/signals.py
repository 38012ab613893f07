"""What a worker makes of signals: those of others ask it to leave, one that its objective sends to it ends it."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

# How a launcher asks a worker elsewhere to leave, where it can send a signal only to all processes beside it, too: by
# default it does nothing, so that the programs and data loaders of the objective do not mind.
LEAVE = signal.SIGURG


@dataclass
class Stop:
    """Why this worker should stop, once anybody has said so: a signal, the heartbeat, a dead launcher."""

    why: str | None = None
    signal: int | None = None

    def request(self, why: str, signal: int | None = None) -> None:
        """Ask the worker to stop after its epoch; the first reason stays."""
        if self.why is None:
            self.why, self.signal = why, signal

    def __call__(self) -> str | None:
        """Return why, or None to go on."""
        return self.why


def listen_to_signals(stop: Stop, at_once: bool, say: Callable[[str], None]) -> None:
    """Leave after the epoch at the first SIGTERM or SIGINT.

    at_once: at the second SIGINT, end now, for a person pressed Ctrl-C again. A second SIGTERM says no more than the
    first: Slurm and systemd send it to every process, and Slurm again before it kills, while a checkpoint is written.
    say: is told why a signal that the objective sent to this process ends it, as it would end any other program.
    """
    heard: set[int] = set()
    own = _own_signals()

    def hear(number: int, frame: Any) -> None:
        name = signal.Signals(number).name
        if number in own:
            say(f"the objective sent {name} to its own process, and so ended this worker")
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if number == signal.SIGINT and number in heard and at_once:
            os._exit(128 + number)
        heard.add(number)
        stop.request(f"{name} received", number)

    signal.signal(signal.SIGTERM, hear)
    signal.signal(signal.SIGINT, hear)
    signal.signal(LEAVE, lambda number, frame: stop.request("its launcher asked for it"))


def _own_signals() -> set[int]:
    """Return a set that has each signal which Python code of this process sends to it, from before it arrives.

    A handler is not told who sent a signal; Python's audit events tell of os.kill, os.killpg and pthread_kill. A
    training step has a handful of events, so the hook costs microseconds. Two functions have no event, and are wrapped.
    """
    own: set[int] = set()

    def noted(send: Callable[..., None], *given: int) -> None:
        own.update(given or {signal.SIGINT})
        send(*given)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in reaches and reaches[event](given[0]):
            own.add(given[1])

    reaches: dict[str, Callable[[int], bool]] = {
        "os.kill": lambda pid: pid in (os.getpid(), 0, -os.getpgrp()),
        "os.killpg": lambda group: group in (0, os.getpgrp()),
        "signal.pthread_kill": lambda thread: any(known.ident == thread for known in threading.enumerate()),
    }
    sys.addaudithook(hook)
    for module, name in ((signal, "raise_signal"), (_thread, "interrupt_main")):
        setattr(module, name, partial(noted, getattr(module, name)))
    return own
