"""How a study stands, as one line: trials, the best value, the pace and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from studies import words
from studies.words import number, plural

if TYPE_CHECKING:
    from studies.record.progress import Progress

RATE_WINDOW_S = 30.0


class Rate:
    """Epochs per second over the last half minute, and the time that is left at the pace of the trials so far."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._first: tuple[float, int] | None = None

    def add(self, progress: Progress) -> None:
        """Take note of where the study is now."""
        now = time.monotonic()
        self._first = self._first or (now, progress.budget.done)
        self._seen.append((now, progress.epochs))
        while now - self._seen[0][0] > RATE_WINDOW_S:
            self._seen.popleft()

    @property
    def epochs_per_s(self) -> float:
        """Epochs per second."""
        (since, before), (now, epochs) = self._seen[0], self._seen[-1]
        return (epochs - before) / (now - since) if now > since else 0.0

    @property
    def pace(self) -> str:
        """The same as text; nothing for a function that reports none, and for epochs of minutes."""
        return f"{self.epochs_per_s:.1f} epochs/s" if self.epochs_per_s >= 0.05 else ""

    def left(self, progress: Progress) -> str:
        """Return the estimated time to the end; nothing before the first trial has ended and after the last one has."""
        budget, left = progress.budget, []
        if budget.done == budget.total:
            return ""
        if budget.hours is not None:
            left.append(max(0.0, budget.hours - budget.hours_used) * 3600)
        if self._first is not None and budget.done > self._first[1] and budget.total is not None:
            per_trial = (time.monotonic() - self._first[0]) / (budget.done - self._first[1])
            left.append(per_trial * (budget.total - budget.done))
        if not left:
            return ""
        seconds = round(min(left))
        return f"about {seconds // 60}:{seconds % 60:02d} left"


def n_of_trials(progress: Progress) -> str:
    """Return how many trials have ended, and of how many in the end where that is known."""
    done, total = progress.budget.done, progress.budget.total
    return str(done) if total is None else f"{done}/{total}"


def line_of(progress: Progress, rate: Rate | None = None) -> str:
    """Return the study's state as one line."""
    budget = progress.budget
    parts = [f"{progress.name}: {n_of_trials(progress)} {'trial' if (budget.total or budget.done) == 1 else 'trials'}"]
    parts += [] if budget.hours is None else [f"{budget.hours_used:.2f} of {budget.hours:g} h"]
    parts.append(states_of(progress.states))
    parts.append(best_of(progress))
    if rate is not None:
        parts += [rate.pace, rate.left(progress)]
    return " · ".join(part for part in parts if part)


def states_of(states: Mapping[str, int]) -> str:
    """Return trials by state as text, failed ones with their reason."""
    return ", ".join(f"{n} {words.state(*name.split(' ', 1))}" for name, n in states.items()) or "none yet"


def best_of(progress: Progress) -> str:
    """Return the best trial's value so far, or the front, as text; after a confirmation, the winner's."""
    if progress.front is not None:
        return str(progress.front)
    best = progress.best
    if best is None:
        return ""
    repeated = "" if best.repeated is None else f"; {best.repeated}"
    fresh = "" if best.mean is None else f"; mean {number(best.mean)} under {plural(best.n_seeds or 0, 'fresh seed')}"
    return f"best {number(best.value)} (trial {best.trial}{repeated}{fresh})"
