"""Passwords: hashed with argon2, and tried so often and no more."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH, MAX_LENGTH = 10, 200
WINDOW_S = 900.0
MAX_TRIES = {"address": 10, "name": 50}  # in a window: of an address, and for a name from all addresses together
MAX_KEYS = 10_000  # addresses and names that are remembered


class Passwords:
    """Hashes passwords and compares with hashes. hasher: argon2's, at its own recommended cost by default."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        import argon2

        self._hasher = hasher or argon2.PasswordHasher()
        self._nobodys = self._hasher.hash("nobody's password")
        self._one_at_a_time = threading.Lock()  # each takes 64 MiB

    def hash(self, password: str) -> str:
        """Return what to keep of a password."""
        return self._hasher.hash(password)

    def fits(self, kept: str | None, password: str) -> bool:
        """Whether this is the password. kept: its hash, or None for nobody's, which takes as long to refuse."""
        from argon2.exceptions import VerificationError

        with self._one_at_a_time:
            try:
                self._hasher.verify(kept or self._nobodys, password[:MAX_LENGTH])
            except VerificationError:
                return False
        return kept is not None


class Throttle:
    """Counts tries to log in, by address and by name. now: a clock, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str, name: str) -> float:
        """Take a try; return 0, or for how many seconds there is none left."""
        with self._lock:
            found = [(kind, self._recent((kind, key))) for kind, key in (("address", address), ("name", name))]
            waits = [tries[0] + WINDOW_S - self._now() for kind, tries in found if len(tries) >= MAX_TRIES[kind]]
            if not waits:
                for _, tries in found:
                    tries.append(self._now())
            return max(waits, default=0.0)

    def forget(self, address: str, name: str) -> None:
        """Give the tries back: the password was right."""
        with self._lock:
            self._tries.pop(("address", address), None)
            self._tries.pop(("name", name), None)

    def _recent(self, key: tuple[str, str]) -> list[float]:
        tries = self._tries.setdefault(key, [])
        self._tries.move_to_end(key)
        tries[:] = [moment for moment in tries if moment > self._now() - WINDOW_S]
        while len(self._tries) > MAX_KEYS:
            self._tries.popitem(last=False)
        return tries
