"""A study in a terminal while it runs: a bar and a table that stay in their place, and the bars of downloads."""

from __future__ import annotations

import sys
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
from studies.storage.ledger import Worker
from studies.view.line import Rate, best_of, n_of_trials, states_of
from studies.words import busy, clean, memory

WIDE = 120  # columns, where there is no terminal
ON_GPUS = ("GPU", "GPU memory")
COLUMNS = ("worker", "host", "device", "trial", "epoch", "CPU", "memory", *ON_GPUS, "last heard of")
SPARED = ("host", "memory", "GPU memory", "device", "CPU", "GPU", "worker", "last heard of")  # in a narrow terminal


class LiveView:
    """A table that stays in its place."""

    def __init__(self) -> None:
        self._console = console = stderr_console()
        self._rate = Rate()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def preparing(self, what: str, fraction: float) -> None:
        """See launch.View."""
        self._live.update(_bar(f"Preparing: {what}", fraction, f"{fraction:.0%}"))

    def update(self, progress: Progress) -> None:
        """See launch.View."""
        self._rate.add(progress)
        self._live.update(picture(progress, self._rate, self._console.width))

    def say(self, line: str) -> None:
        """See launch.View."""
        self._console.print(clean(line), markup=False, highlight=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


def stderr_console() -> Console:
    """Return the terminal, or whatever stderr is."""
    # Jupyter and build servers set FORCE_COLOR, which rich takes for a terminal, where lines can be drawn again.
    return Console(stderr=True, force_terminal=sys.stderr.isatty(), force_jupyter=False)


@contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield what to call with each file's name, its bytes so far and in all: bars in a terminal, nothing elsewhere."""
    console = stderr_console()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:

        def show(what: str, n_bytes: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=n_bytes, total=total)

        yield show


def picture(progress: Progress, rate: Rate | None = None, width: int = WIDE) -> Group:
    """Return the study's state as a bar and a table of its workers, in so many columns of a terminal."""
    budget = progress.budget
    left = rate.left(progress) if rate else ""
    bar = _bar(progress.name, budget.share, f"{n_of_trials(progress)}  {left}")
    facts = [states_of(progress.states), best_of(progress)] + ([rate.pace] if rate else [])
    stop = [Text(f"stopping: {budget.stop}", style="yellow")] if budget.stop else []
    workers = [workers_table(progress, width)] if progress.workers else []
    return Group(bar, Text(" · ".join(fact for fact in facts if fact)), *stop, *workers)


def workers_table(progress: Progress, width: int = WIDE) -> Table:
    """Return the study's workers, one a row; where that is too wide, without what matters least."""
    rows = [_row(worker) for worker in progress.workers]
    on_gpus = any(row["GPU"] for row in rows)
    shown = [name for name in COLUMNS if on_gpus or name not in ON_GPUS]
    columns = {name: max(len(name), *(len(row[name]) for row in rows), 0) for name in shown}
    for name in SPARED:
        if sum(columns.values()) + 2 * len(columns) - 2 > width:
            columns.pop(name, None)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in columns))
    return table


def _row(worker: Worker) -> dict[str, str]:
    """Return what is shown of a worker, by column."""
    used, trains = worker.usage, worker.trial is not None
    heard = f"{worker.silent_s:.0f} s ago" if worker.alive else f"dead, {worker.silent_s:.0f} s silent"
    epoch = str(worker.epoch or 0) if trains else ""
    gpu = ("", "") if used.gpu_percent is None else (busy(used.gpu_percent), memory(used.gpu_memory_mib))
    its_trial = str(worker.trial) if trains else ""
    where = (str(worker.pid), worker.host, worker.device)
    uses = (busy(used.cpu_percent), memory(used.memory_mib), *gpu)
    return dict(zip(COLUMNS, (*where, its_trial, epoch, *uses, heard), strict=True))


def _bar(title: str, fraction: float, detail: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text(title, style="bold"), ProgressBar(total=1.0, completed=fraction, width=40), Text(detail))
    return row
