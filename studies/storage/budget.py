"""How far a study is. A process looks at each of its trials until it has ended, and never again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from studies.names import UNLIMITED
from studies.pareto import dominates
from studies.words import plural


@dataclass(frozen=True)
class Budget:
    """How far a study is.

    n_trials: UNLIMITED while nobody knows. counted: trials that count against it, the running ones included. hours: for
    how long the study may run, and hours_used: has run, both only with such a limit. failures_in_a_row: since the last
    launch. since_best: trials that ended and have a higher number than the best one, or than every one on the front.
    device_hours: of all trials together.
    lost: the ids of running trials whose worker is dead.
    """

    n_trials: int = 0
    counted: int = 0
    running: int = 0
    waiting: int = 0
    hours: float | None = None
    hours_used: float = 0.0
    stop: str | None = None
    failures_in_a_row: int = 0
    since_best: int = 0
    device_hours: float = 0.0
    lost: tuple[int, ...] = ()

    @property
    def done(self) -> int:
        """Trials that count and have ended."""
        return self.counted - self.running

    @property
    def total(self) -> int | None:
        """How many trials there are in the end; one that had more than it was asked for later keeps them."""
        return None if self.n_trials == UNLIMITED else max(self.done, self.n_trials)

    @property
    def share(self) -> float:
        """How much of it is used, from 0 to 1: of the trials, or of the hours where that is more."""
        shares = [] if self.total is None else [self.done / max(1, self.total)]
        return max(shares + ([] if self.hours is None else [min(1.0, self.hours_used / self.hours)]), default=0.0)

    @property
    def trials(self) -> str:
        """How many have ended in words, such as '31 of 60 trials'."""
        return plural(self.done, "trial") if self.total is None else f"{self.done} of {plural(self.total, 'trial')}"


@dataclass
class Tally:
    """What a process knows of a study's trials: of those with an id up to `after`, all but the `unfinished` have ended.

    good: the numbers of those that are complete or pruned, rising; failed: of those that failed; neither with those in
    `continued`, whose place another took. newest_good: the highest number that was ever good. best: losses and
    number of the best one, or of those on the Pareto front. seconds: of all that ended.
    """

    after: int = -1
    unfinished: list[int] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    continued: set[int] = field(default_factory=set)
    newest_good: int = -1
    best: list[tuple[tuple[float, ...], int]] = field(default_factory=list)
    seconds: float = 0.0

    def budget(self, rows: Sequence[Sequence[Any]]) -> Budget:
        """Return the budget from what `sql.READ_BUDGET` returned for this tally, and take in what it says."""
        if not rows:
            return Budget()
        n_trials, stop, forgiven, newest, unfinished, running, running_s, lost, continued, ended, *hours = rows[0]
        self._replace(set(continued or ()))
        for number, state, seconds, losses in ended or ():
            self._add(number, state, seconds, losses)
        self.after, self.unfinished = max(self.after, newest or -1), unfinished or []
        return Budget(
            n_trials=n_trials,
            counted=len(self.good) + len(self.failed) + running,
            running=running,
            waiting=len(self.unfinished) - running,
            hours=hours[0],
            hours_used=hours[1] or 0.0,
            stop=stop,
            failures_in_a_row=len(self.failed) - bisect_right(self.failed, max(forgiven, self.newest_good)),
            since_best=len(self.good) - bisect_right(self.good, max(n for _, n in self.best)) if self.best else 0,
            device_hours=(self.seconds + running_s) / 3600,
            lost=tuple(lost or ()),
        )

    def _replace(self, continued: set[int]) -> None:
        """Count trials no more that others continue: a paused one is continued long after it ended."""
        for number in continued - self.continued:
            for numbers in (self.good, self.failed):
                place = bisect_left(numbers, number)
                if numbers[place : place + 1] == [number]:
                    del numbers[place]
        self.continued |= continued

    def _add(self, number: int, state: str, seconds: float | None, losses: list[float | None] | None) -> None:
        self.seconds += seconds or 0.0
        if state != "FAIL":
            self.newest_good = max(self.newest_good, number)
        if number not in self.continued:
            insort(self.failed if state == "FAIL" else self.good, number)
        if state == "COMPLETE" and losses and None not in losses:
            self._compare(tuple(map(float, losses)), number)  # type: ignore[arg-type]

    def _compare(self, losses: tuple[float, ...], number: int) -> None:
        if not any(dominates(one, losses) and (one != losses or its < number) for one, its in self.best):
            self.best = [(one, its) for one, its in self.best if not dominates(losses, one)] + [(losses, number)]
