"""Waiting for a state, however slow and busy the machine is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 300.0  # what a test that fails may cost; one that passes waits no longer than it has to

T = TypeVar("T")


def wait_for(state: Callable[[], T], told: Callable[[], object] = lambda: "it did not happen in time") -> T:
    """Return what says that a state is reached, once something does. told: what to show when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := state()):
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
    return found


def hear(process: subprocess.Popen[str], text: str) -> str:
    """Return what a process has written to stderr, up to this text. The rest is there for `communicate`."""
    assert process.stderr is not None
    said = b""
    while text.encode() not in said:
        said += (piece := os.read(process.stderr.fileno(), 1))
        assert piece, said.decode()
    return said.decode()
