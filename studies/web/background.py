"""What goes on beside the server while it serves: a task in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 2.0  # an exit waits no longer for a task; the next dashboard does the rest


@contextmanager
def beside(name: str, task: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run a task in the background. It is given what is set once it is to end."""
    ended = threading.Event()
    thread = threading.Thread(target=task, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_S)
