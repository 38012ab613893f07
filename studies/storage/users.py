"""Who uses the embedded server: known from a file lock, which the kernel releases however a process ends.

Each user holds a shared lock on `users.lock`; a process that leaves and can turn it into an exclusive one was the last.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Users:
    """The processes that use the server of a home, perhaps with this one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock: IO[str] | None = None  # held while this process is one

    @property
    def has_this(self) -> bool:
        """Whether this process is one."""
        return self._lock is not None

    @property
    def has_any(self) -> bool:
        """Whether any process is one, this one included."""
        with self._open("users.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def add_this(self) -> None:
        """Make this process one, until `remove_this`."""
        self._lock = self._open("users.lock")
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def remove_this(self) -> None:
        """Undo `add_this`."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock under which the server is started and stopped."""
        with self._open("server.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, name: str) -> IO[str]:
        return (self._home / name).open("a")
