"""What the journal of a run says: which share of their time the workers spent in trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A trial that has begun. pid: of the process that runs it. end: None as long as it runs. Seconds of one clock."""

    pid: int
    begin: float
    end: float | None = None


def spans(lines: Iterable[str]) -> list[Span]:
    """Return the trials of a journal in the order in which they began; a process runs one after another."""
    found: list[Span] = []
    running: dict[int, int] = {}
    for line in lines:
        what, pid, seconds = line.split()
        if what == "begin":
            running[int(pid)] = len(found)
            found.append(Span(int(pid), float(seconds)))
        else:
            place = running.pop(int(pid))
            found[place] = Span(int(pid), found[place].begin, float(seconds))
    return sorted(found, key=lambda span: span.begin)


def window(trials: Sequence[Span], n_workers: int) -> tuple[float, float]:
    """Return when every worker had a trial for the first time, and when the last trial began: none lacked work between.

    Raises ValueError where no time is in between.
    """
    if len(trials) < 2 * n_workers:
        raise ValueError(f"{len(trials)} trials of {n_workers} workers; expected {2 * n_workers} at least")
    return trials[n_workers - 1].begin, trials[-1].begin


def busy(trials: Sequence[Span], n_workers: int, trial_s: float) -> float:
    """Return the share of the workers' time, within the window, that trials slept.

    A trial sleeps for trial_s, evenly over its span; what its span has beyond that went into reports.
    """
    first, last = window(trials, n_workers)
    slept = 0.0
    for trial in trials:
        end = last if trial.end is None else trial.end
        inside = max(0.0, min(end, last) - max(trial.begin, first))
        # One that still runs when the journal is read has no length yet: what is seen of it counts as sleep.
        slept += inside * (1.0 if trial.end is None else min(1.0, trial_s / (trial.end - trial.begin)))
    return slept / (n_workers * (last - first))
