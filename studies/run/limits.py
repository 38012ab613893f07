"""Why a study that has trials left starts no more of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.spec import Limits
    from studies.storage.budget import Budget


def reached(limits: Limits, budget: Budget) -> str | None:
    """Return which limit the study has reached, as part of a sentence, or None."""
    if budget.stop:
        return budget.stop
    if too_many_failures(limits, budget):
        return f"{budget.failures_in_a_row} trials failed in a row"
    if limits.gpu_hours is not None and budget.device_hours >= limits.gpu_hours:
        return f"{budget.device_hours:.2f} of {limits.gpu_hours:g} gpu_hours are used"
    if limits.patience is not None and budget.since_best >= limits.patience:
        return f"{budget.since_best} trials brought nothing better (patience {limits.patience})"
    return None


def too_many_failures(limits: Limits, budget: Budget) -> bool:
    """Whether so many trials failed in a row that something must be wrong with the study itself."""
    return budget.failures_in_a_row >= limits.max_failures
