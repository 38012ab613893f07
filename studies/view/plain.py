"""A study outside a terminal while it runs: a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from studies.view.line import Rate, line_of
from studies.words import clean

if TYPE_CHECKING:
    from studies.record.progress import Progress

PLAIN_EVERY_S = 10.0


class PlainView:
    """A line now and then, for logs and pipes: when a trial has ended, and every ten seconds."""

    def __init__(self) -> None:
        self._rate = Rate()
        self._said_at, self._done, self._preparing = 0.0, -1, ""

    def preparing(self, what: str, fraction: float) -> None:
        """See launch.View."""
        if what != self._preparing:
            self._preparing = what
            self.say(f"Preparing: {what}")

    def update(self, progress: Progress) -> None:
        """See launch.View."""
        self._rate.add(progress)
        now = time.monotonic()
        if progress.budget.done != self._done or now - self._said_at > PLAIN_EVERY_S:
            self._said_at, self._done = now, progress.budget.done
            self.say(line_of(progress, self._rate))

    def say(self, line: str) -> None:
        """See launch.View."""
        print(clean(line), file=sys.stderr, flush=True)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
