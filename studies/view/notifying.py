"""What happens to a launch is told to those who do not look: a new best, many failures in a row, its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from studies.notices import DRAIN_S, Channel, message
from studies.record.progress import Winner
from studies.view.line import line_of
from studies.words import number, one_line, plural

if TYPE_CHECKING:
    from studies.record.front import Front
    from studies.record.progress import Progress
    from studies.run.launch import View

FAILURES = (3, 10, 30, 100)  # in a row: each is told once
BEST_EVERY_S = 60.0  # at most so often: the first trials are each the best one so far


class NotifyingView:
    """A view that also tells others. channels: whom, see `studies.notices`."""

    def __init__(self, view: View, channels: Sequence[Channel]) -> None:
        self._view, self._channels = view, channels
        self._seen: Progress | None = None
        self._best: Winner | Front | None = None
        self._best_told_at = float("-inf")
        self._failures_told = 0

    def preparing(self, what: str, fraction: float) -> None:
        """See View."""
        self._view.preparing(what, fraction)

    def say(self, line: str) -> None:
        """See View."""
        self._view.say(line)

    def update(self, progress: Progress) -> None:
        """See View."""
        self._view.update(progress)
        before, self._seen = self._seen, progress
        if before is None:
            self._best = progress.front or progress.best  # of an earlier launch
        self._tell_best(progress)
        self._tell_failures(progress)

    def _tell_best(self, progress: Progress) -> None:
        best = progress.front or progress.best
        if best is None or best == self._best or time.monotonic() - self._best_told_at < BEST_EVERY_S:
            return
        self._best, self._best_told_at = best, time.monotonic()
        new = f"best {number(best.value)}, trial {best.trial}" if isinstance(best, Winner) else str(best)
        new += f", {best.repeated}" if isinstance(best, Winner) and best.repeated is not None else ""
        self._tell("best", f"{progress.name}: new {new}.", progress)

    def _tell_failures(self, progress: Progress) -> None:
        n = progress.budget.failures_in_a_row
        reached = max((many for many in FAILURES if many <= n), default=0)
        if reached > self._failures_told:
            self._tell("failures", f"{progress.name}: {plural(n, 'failure')} in a row.", progress)
        self._failures_told = reached

    def _tell(self, event: str, text: str, progress: Progress) -> None:
        told = message(
            event, text, progress.name, trials=progress.budget.done, n_trials=progress.budget.total,
            best=progress.best, states=progress.states, front=progress.front,
        )  # fmt: skip
        for channel in self._channels:
            channel.send(told)

    def __enter__(self) -> NotifyingView:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._seen is not None:
                is_done = error is None and self._seen.budget.done >= self._seen.budget.n_trials
                event = "finished" if is_done else "stopped"
                why = "" if error is None else f" {one_line(str(error) or type(error).__name__)}"
                self._tell(event, f"{event.capitalize()}: {line_of(self._seen)}.{why}", self._seen)
            until = time.monotonic() + DRAIN_S
            for channel in self._channels:
                channel.close(self._view.say, until)
                if (complaint := channel.complaint()) is not None:
                    self._view.say(complaint)
        finally:
            self._view.__exit__(kind, error, trace)
