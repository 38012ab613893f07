"""What a person sees while a study runs: a live table in a terminal, plain lines elsewhere. Both on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from studies.record.progress import Progress

RATE_WINDOW_S = 30.0
PLAIN_EVERY_S = 10.0


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

    def left(self, progress: Progress) -> str:
        """Return the estimated time to the end, or nothing before the first trial has ended."""
        if self._first is None or progress.budget.done <= self._first[1]:
            return ""
        per_trial = (time.monotonic() - self._first[0]) / (progress.budget.done - self._first[1])
        seconds = round(per_trial * (progress.budget.n_trials - progress.budget.done))
        return f"about {seconds // 60}:{seconds % 60:02d} left"


class LiveView:
    """A table that stays in its place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = Rate()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def preparing(self, what: str, fraction: float) -> None:
        """See launch.View."""
        self._live.update(_bar(f"Preparing: {what}", fraction, f"{fraction:.0%}"))

    def update(self, progress: Progress) -> None:
        """See launch.View."""
        self._rate.add(progress)
        self._live.update(picture(progress, self._rate))

    def say(self, line: str) -> None:
        """See launch.View."""
        self._console.print(line, markup=False, highlight=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


class PlainView:
    """A line now and then, for logs and pipes: when a trial has ended, and every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = Rate()
        self._last: tuple[float, int, str] = (0.0, -1, "")

    def preparing(self, what: str, fraction: float) -> None:
        """See launch.View."""
        if what != self._last[2]:
            self._last = (*self._last[:2], what)
            self.say(f"Preparing: {what}")

    def update(self, progress: Progress) -> None:
        """See launch.View."""
        self._rate.add(progress)
        now = time.monotonic()
        if progress.budget.done != self._last[1] or now - self._last[0] > PLAIN_EVERY_S:
            self._last = (now, progress.budget.done, self._last[2])
            self.say(line_of(progress, self._rate))

    def say(self, line: str) -> None:
        """See launch.View."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def make_view() -> LiveView | PlainView:
    """Return the view that fits what stderr is."""
    console = stderr_console()
    return LiveView(console) if console.is_terminal else PlainView(console)


def stderr_console() -> Console:
    """Return the terminal, or whatever stderr is."""
    # Jupyter and build servers set FORCE_COLOR, which rich takes for a terminal, where lines can be drawn again.
    return Console(stderr=True, force_terminal=sys.stderr.isatty(), force_jupyter=False)


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield what wants to be told of each file's bytes, here and in all: bars in a terminal, nothing elsewhere."""
    console = stderr_console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:

        def told(what: str, n_bytes: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=n_bytes, total=total)

        yield told


def line_of(progress: Progress, rate: Rate | None = None) -> str:
    """Return the study's state as one line."""
    budget = progress.budget
    parts = [f"{progress.name}: {budget.done}/{budget.n_trials} trials"]
    parts.append(", ".join(f"{n} {state.lower()}" for state, n in progress.states.items()) or "none yet")
    parts.append(best_of(progress))
    if rate is not None:
        parts += [f"{rate.epochs_per_s:.1f} epochs/s", rate.left(progress)]
    return " · ".join(part for part in parts if part)


def best_of(progress: Progress) -> str:
    """Return the best value so far, as text."""
    return "" if progress.best is None else f"best {progress.best:.4f} (trial {progress.best_trial})"


def picture(progress: Progress, rate: Rate | None = None) -> Group:
    """Return the study's state as a bar and a table of its workers."""
    budget = progress.budget
    left = rate.left(progress) if rate else ""
    bar = _bar(progress.name, budget.done / max(1, budget.n_trials), f"{budget.done}/{budget.n_trials}  {left}")
    facts = [f"{n} {state.lower()}" for state, n in progress.states.items()]
    facts += [best_of(progress)] + ([f"{rate.epochs_per_s:.1f} epochs/s"] if rate else [])
    stop = [Text(f"stopping: {budget.stop}", style="yellow")] if budget.stop else []
    return Group(bar, Text(" · ".join(fact for fact in facts if fact)), *stop, workers_table(progress))


def workers_table(progress: Progress) -> Table:
    """Return the study's workers, one a row."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("worker", "host", "device", "trial", "epoch", "last heard of"):
        table.add_column(column)
    for worker in progress.workers:
        heard = f"{worker.silent_s:.0f} s ago" if worker.alive else f"dead, {worker.silent_s:.0f} s silent"
        trial = "" if worker.trial is None else str(worker.trial)
        epoch = "" if worker.trial is None else str(worker.epoch or 0)
        table.add_row(str(worker.pid), worker.host, worker.device, trial, epoch, heard)
    return table


def _bar(title: str, fraction: float, detail: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text(title, style="bold"), ProgressBar(total=1.0, completed=fraction, width=40), Text(detail))
    return row
