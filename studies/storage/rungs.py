"""What trials reported at the rungs of successive halving: read once, and only added to."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any


class Rungs:
    """What a study's trials reported at each rung of successive halving, each read once.

    entries: for each attribute `completed_rung_*` the trials' numbers and values, as they were read; only added to.
    """

    def __init__(self) -> None:
        self.entries: dict[str, list[tuple[int, float]]] = {}
        self.after = -1  # the id of an attribute before which all have been read
        self._lock = threading.Lock()
        self._known: dict[str, set[int]] = {}
        self._newest, self._reading = -1, 0  # at an earlier reading: the newest attribute, and its own transaction

    def add_read(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take in the rows that `functions.RUNGS` returned."""
        with self._lock:
            _, newest, oldest_open, reading = rows[0][:4]
            if oldest_open > self._reading:
                self.after, self._newest, self._reading = self._newest, newest, reading
            for *_, key, numbers, values in rows:
                if key is not None:
                    known = self._known.setdefault(key, set())
                    read = zip(map(int, numbers[1:-1].split(",")), json.loads(f"[{values}]"), strict=True)
                    new = [(number, value) for number, value in read if number not in known]
                    self.entries.setdefault(key, []).extend(new)
                    known.update(number for number, _ in new)
