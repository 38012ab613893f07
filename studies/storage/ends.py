"""Trials that ended here and of whose ends the disk may not know yet: a server that crashes may forget them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from studies.storage import sql
from studies.storage.connections import Connections, Statement


@dataclass(frozen=True, eq=False)
class Ended:
    """A trial that ended here. again: how to end it again. n_lost: connections, when it ended."""

    again: Callable[[], Statement]
    n_lost: int


class Ends:
    """The ends of trials since the disk was last waited for. Safe to share between threads."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ended: list[Ended] = []

    def add(self, ended: Ended) -> None:
        """Take in a trial that has just ended, by a statement that did not wait for the disk."""
        self._ended.append(ended)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Around a statement that waits for the disk, and so settles what ended before it."""
        settled = list(self._ended)
        yield
        for ended in settled:
            with suppress(ValueError):  # another thread was faster
                self._ended.remove(ended)

    def settle(self) -> None:
        """Wait for the disk, unless nothing ended since."""
        if self._ended:
            with self.settling():
                self._connections.run(sql.SETTLE)
            self.end_again()

    def end_again(self) -> None:
        """After a connection was lost, end what a crashed server may have forgotten the end of."""
        for ended in list(self._ended):
            if ended.n_lost != self._connections.n_lost:
                self._connections.run(ended.again)
