"""Workers on a virtual clock: they train nothing, and take the time that the training would have taken.

The simulation knows nothing of how settings are chosen. It gives each free worker what the search says, trains it epoch
by epoch, and reports each epoch when its time has come. It is asynchronous and the same each time: of two epochs that
end together, the one that began first is reported first.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Params = Mapping[str, Any]


class Curve(Protocol):
    """How one setting trains. epoch_s: seconds an epoch, of any clock that all settings of a task share."""

    epoch_s: float

    def at(self, epoch: int) -> float:
        """Return the metric after this epoch, from 1; nan once the training has diverged."""


class Task(Protocol):
    """What is to be searched. space: as an objective declares it. maximize: whether a larger metric is better."""

    name: str
    space: Mapping[str, Mapping[str, Any]]
    maximize: bool
    max_epochs: int

    def curve(self, params: Params) -> Curve:
        """Return how these parameters train."""

    def forget(self) -> None:
        """Drop what was kept so that nothing is computed twice."""


@dataclass(eq=False)
class Run:
    """One setting and how far it is trained. A paused one is started again where it was.

    trial: whatever the search knows it by.
    """

    params: Params
    trial: Any = None
    epoch: int = 0


class Search(Protocol):
    """What decides. It sees what has been reported, and nothing that the virtual clock has not reached."""

    def start(self) -> Run | None:
        """Return what a free worker trains next, new or paused; None to wait for the next report of another."""

    def report(self, run: Run, value: float) -> bool:
        """Take the value of `run.epoch`; return whether the same worker goes on with it.

        nan: it has diverged, and never goes on. Neither does one that has trained all its epochs.
        """


@dataclass(frozen=True)
class Epoch:
    """One epoch that has ended. now_s: when. params, epoch, value: what was trained, how far, and the metric."""

    now_s: float
    params: Params
    epoch: int
    value: float


def simulate(task: Task, search: Search, n_workers: int) -> Iterator[Epoch]:
    """Yield each epoch as it ends, for as long as the search starts anything."""
    order = itertools.count()
    training: list[tuple[float, int, Run, Curve]] = []
    now_s = 0.0

    def train(run: Run, curve: Curve) -> None:
        heapq.heappush(training, (now_s + curve.epoch_s, next(order), run, curve))

    while True:
        while len(training) < n_workers and (run := search.start()) is not None:
            if run.epoch >= task.max_epochs:
                raise ValueError(f"the search starts a run that is trained for {run.epoch} epochs: that is all of them")
            train(run, task.curve(run.params))
        if not training:
            return
        now_s, _, run, curve = heapq.heappop(training)
        run.epoch += 1
        value = curve.at(run.epoch)
        goes_on = search.report(run, value)
        yield Epoch(now_s, run.params, run.epoch, value)
        if goes_on and run.epoch < task.max_epochs and not math.isnan(value):
            train(run, curve)
