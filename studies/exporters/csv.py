"""Every trial as CSV: one row a trial, its parameters as columns; or one row an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.record.study import StudyRecord


def render(record: StudyRecord) -> str:
    """Return the trials. Every number is written in full, so it reads back as the same number."""
    from studies.record.frames import trials_frame

    return str(trials_frame(record).to_csv(index=False, lineterminator="\n"))


def render_curves(record: StudyRecord) -> str:
    """Return every epoch of every trial."""
    from studies.record.frames import curves_frame

    return str(curves_frame(record).to_csv(index=False, lineterminator="\n"))
