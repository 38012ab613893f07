"""What the dashboard's pages read: a statement for each part of a page, and never a whole study."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studies.metrics import course_of
from studies.names import CONTINUED_BY, HISTORY, PAUSED, RUNGS, SPEC, UNLIMITED, Direction, State
from studies.storage import sql_pages
from studies.storage.ledger import Usage
from studies.storage.rows import metrics_from, trial_from

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from studies.storage import Storage


@dataclass(frozen=True)
class OverviewRow:
    """How a study stands, in numbers.

    n_repeats: under how many seeds a setting runs. n_trials: None while nobody knows. hours_left: of a study with such
    a limit. pruned: without the paused ones, which may be resumed. lost: they run for Optuna, and their worker is gone.
    seconds: of a trial that trained, on average. best, best_trial: of the best single trial; None before.
    """

    study_id: int
    name: str
    metrics: dict[str, Direction]
    n_repeats: int
    n_trials: int | None
    hours_left: float | None
    stop: str | None
    complete: int
    pruned: int
    paused: int
    failed: int
    running: int
    lost: int
    waiting: int
    seconds: float | None
    n_workers: int
    best: float | None
    best_trial: int | None

    @property
    def metric(self) -> str:
        """The study's metric, the first of several."""
        return next(iter(self.metrics))

    @property
    def direction(self) -> Direction:
        """That of `metric`."""
        return self.metrics[self.metric]


@dataclass(frozen=True)
class Curve:
    """One trial's reports: the metric by epoch, finite values only."""

    trial: int
    state: State
    epochs: list[int]
    values: list[float]


class Pages:
    """Reads for pages. Safe to share between threads."""

    def __init__(self, storage: Storage) -> None:
        self._connections = storage.connections()
        self._lease_s = storage.ledger.lease_s

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def ping(self) -> None:
        """Ask the server for next to nothing. Raises StorageUnreachable at once where it does not answer."""
        self._connections.run(sql_pages.PING, wait_s=0)

    def overviews(self, study_id: int | None) -> list[OverviewRow]:
        """Return how every study of ours stands, the newest first; with an id, that one."""
        keys = {"spec_key": SPEC, "link_key": CONTINUED_BY, "paused_key": PAUSED}
        given = {"study": study_id, "lease": self._lease_s, "unlimited": UNLIMITED} | keys
        rows = self._connections.run(sql_pages.READ_OVERVIEWS, given)
        return [OverviewRow(study_id, name, metrics_from(found), *rest) for study_id, name, found, *rest in rows]

    def curves(self, study_id: int, n: int, best: Collection[int]) -> list[Curve]:
        """Return the curves of the newest n trials of each state, and of the best ones, by number."""
        given = {"study": study_id, "n": n, "best": list(best), "link_key": CONTINUED_BY}
        rows = self._connections.run(sql_pages.READ_CURVES, given)
        return [Curve(number, State(state), epochs, values) for number, state, epochs, values in rows]

    def courses(self, study_id: int, n: int, best: Collection[int], metric: str) -> list[Curve]:
        """Return the same of a study with several metrics, of which `metric` is the first."""
        given = {"study": study_id, "n": n, "best": list(best)}
        given |= {"link_key": CONTINUED_BY, "rungs_key": RUNGS, "history_key": HISTORY}
        rows = self._connections.run(sql_pages.READ_COURSES, given)
        found = []
        for number, state, rungs, history in rows:
            course = course_of(metric, json.loads(rungs or "{}"), json.loads(history or "[]"))
            finite = {epoch: value for epoch, value in course.items() if math.isfinite(value)}
            if finite:
                found.append(Curve(number, State(state), list(finite), list(finite.values())))
        return found

    def newest(self, study_id: int, n: int) -> list[FrozenTrial]:
        """Return the newest trials, the newest first."""
        return self._trials(sql_pages.READ_NEWEST, {"study": study_id, "n": n})

    def failed(self, study_id: int, n: int) -> list[FrozenTrial]:
        """Return the newest failed trials that no other one continues, the newest first."""
        return self._trials(sql_pages.READ_FAILED, {"study": study_id, "n": n, "link_key": CONTINUED_BY})

    def numbered(self, study_id: int, numbers: Sequence[int]) -> list[FrozenTrial]:
        """Return the trials with these numbers, in their order."""
        found = self._trials(sql_pages.READ_NUMBERS, {"study": study_id, "numbers": list(numbers)})
        return sorted(found, key=lambda trial: numbers.index(trial.number))

    def top(self, study_id: int, n: int, direction: Direction) -> list[FrozenTrial]:
        """Return the best completed feasible trials, the best first."""
        maximize = direction is Direction.MAXIMIZE
        return self._trials(sql_pages.READ_TOP, {"study": study_id, "n": n, "maximize": maximize})

    def totals(self) -> dict[int, tuple[int, float]]:
        """Return how many epochs each study's trials reported, and their seconds on devices, by study id."""
        rows = self._connections.run(sql_pages.READ_TOTALS, {"spec_key": SPEC, "lease": self._lease_s})
        return {study_id: (epochs, seconds) for study_id, epochs, seconds in rows}

    def usages(self) -> dict[tuple[int, str], Usage]:
        """Return what the living workers use, by study id and machine: cores and memory in all, GPUs on average."""
        rows = self._connections.run(sql_pages.READ_USAGES, {"lease": self._lease_s})
        return {
            (study_id, host): Usage(memory_mib, cpu_percent, gpu_memory_mib, gpu_percent)
            for study_id, host, cpu_percent, memory_mib, gpu_percent, gpu_memory_mib in rows
        }

    def _trials(self, statement: str, given: Mapping[str, Any]) -> list[FrozenTrial]:
        return [trial_from(row) for row in self._connections.run(statement, given)]
