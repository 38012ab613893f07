"""Every trial as CSV: one row a trial, its parameters as columns; or one row an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.report.summary import StudyReport


def render(report: StudyReport) -> str:
    """Return the trials, with every number in full: it reads back as the same one."""
    from studies.report.frame import trials_frame

    return str(trials_frame(report).to_csv(index=False, lineterminator="\n"))


def render_curves(report: StudyReport) -> str:
    """Return every epoch of every trial."""
    from studies.report.frame import curves_frame

    return str(curves_frame(report).to_csv(index=False, lineterminator="\n"))
