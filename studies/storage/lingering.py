"""What lingers: writes that wait for more to travel with, for LINGER_S at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LINGER_S = 0.05


class Lingering:
    """Calls `send` within LINGER_S of the first `soon`. Safe to share between threads."""

    def __init__(self, send: Callable[[], object]) -> None:
        self._send = send
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    @staticmethod
    def is_over(since: float) -> bool:
        """Whether LINGER_S have passed since a moment on the monotonic clock."""
        return time.monotonic() > since + LINGER_S

    def soon(self) -> None:
        """Have it sent soon. One timer serves all; not being a daemon, it outlives the main thread."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(LINGER_S, self._due)
                self._timer.start()

    def _due(self) -> None:
        with self._lock:
            self._timer = None
        self._send()
