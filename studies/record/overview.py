"""How studies stand, for a list of them: whole in one statement, however many there are and however large."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from studies import names
from studies.record.front import Front, read_front
from studies.record.progress import Winner, read_winner
from studies.storage import Storage
from studies.storage.pages import OverviewRow, Pages
from studies.study import started


class StudyState(StrEnum):
    """What a study is doing right now."""

    RUNNING = "running"  # at least one worker is alive
    STOPPING = "stopping"  # asked to stop, and workers finish their epoch
    STOPPED = "stopped"  # asked to stop, and nobody works on it
    FINISHED = "finished"  # it has all its trials
    IDLE = "idle"  # trials are missing, and nobody works on it


@dataclass(frozen=True)
class Overview:
    """A study in a line. typed: its name as a person types it.

    best: the study's winner, as everywhere; None for a confirmation, and before there is one.
    front: in its place with several metrics.
    """

    row: OverviewRow
    typed: str
    best: Winner | None
    front: Front | None = None

    @property
    def name(self) -> str:
        """The study's name in the storage."""
        return self.row.name

    @property
    def done(self) -> int:
        """Trials that count and have ended."""
        return self.row.complete + self.row.pruned + self.row.paused + self.row.failed

    @property
    def total(self) -> int | None:
        """How many trials there are in the end; one that had more than it was asked for later keeps them."""
        return None if self.row.n_trials is None else max(self.done, self.row.n_trials)

    @property
    def _has_all(self) -> bool:
        return self.total is not None and self.done >= self.total

    @property
    def state(self) -> StudyState:
        """What it is doing."""
        if self.row.stop and not self._has_all:
            return StudyState.STOPPING if self.row.n_workers else StudyState.STOPPED
        if self._has_all and not (self.row.running or self.row.lost):
            return StudyState.FINISHED
        return StudyState.RUNNING if self.row.n_workers else StudyState.IDLE

    @property
    def left_s(self) -> float | None:
        """Seconds to the end at the pace of the trials so far; None where nobody works on it or nobody knows."""
        if self.state is not StudyState.RUNNING:
            return None
        left = [] if self.row.hours_left is None else [max(0.0, self.row.hours_left) * 3600]
        if self.row.seconds is not None and self.total is not None:
            left.append(self.row.seconds * (self.total - self.done) / self.row.n_workers)
        return min(left, default=None)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state, in the words of a summary; only those that there are.

        In a study that is finished, nobody resumes the paused ones any more, and repeats that wait never run.
        """
        row, is_finished = self.row, self.state is StudyState.FINISHED
        found = {
            "complete": row.complete,
            "pruned": row.pruned + (row.paused if is_finished else 0),
            "paused": 0 if is_finished else row.paused,
            "failed": row.failed,
            "running": row.running,
            "lost": row.lost,
            "waiting": 0 if is_finished else row.waiting,
        }
        return {state: n for state, n in found.items() if n}


def read_overviews(storage: Storage, pages: Pages, study_id: int | None = None) -> list[Overview]:
    """Return how every study of ours stands, the newest first; with an id, that one."""
    rows = pages.overviews(study_id)
    known = None if study_id is not None else {row.name for row in rows}
    every = started(storage) if known is None else known
    return [
        Overview(row, names.typed(row.name, every), _winner(storage, row, known), _front(storage, row)) for row in rows
    ]


def _winner(storage: Storage, row: OverviewRow, known: set[str] | None) -> Winner | None:
    """Return the study's winner. known: every study's name; a study without a confirmation needs no look at it."""
    if row.best is None or row.best_trial is None or names.confirmed(row.name) is not None or len(row.metrics) > 1:
        return None
    if row.n_repeats == 1 and known is not None and names.confirmation(row.name) not in known:
        return Winner(row.best_trial, row.best)
    return read_winner(storage, row.study_id, row.name, row.metrics, row.n_repeats)


def _front(storage: Storage, row: OverviewRow) -> Front | None:
    if not row.complete or names.confirmed(row.name) is not None:
        return None
    return read_front(storage, row.study_id, row.metrics)
