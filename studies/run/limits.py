"""Why a study that has trials left starts no more of them.

A study that has hours in place of a number of trials begins no new setting in their last tenth, where paused trials can
be resumed: it is for the best of them to train to their end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studies.names import UNLIMITED
from studies.words import plural

if TYPE_CHECKING:
    from studies.spec import Limits, StudySpec
    from studies.storage.budget import Budget


LAST_SHARE = 0.1


def n_in_the_end(budget: Budget, can_resume: bool) -> int:
    """Return how many trials the study has in the end: where hours end it, as many as there are when they run out."""
    if budget.n_trials == UNLIMITED and budget.hours is not None:
        share = 1 - LAST_SHARE if can_resume else 1
        if budget.hours_used >= share * budget.hours:
            return budget.counted + budget.waiting
    return budget.n_trials


def reached(spec: StudySpec, budget: Budget) -> str | None:
    """Return which limit the study has reached, as part of a sentence, or None."""
    limits = spec.limits
    if budget.stop:
        return budget.stop
    if too_many_failures(limits, budget):
        return f"{plural(budget.failures_in_a_row, 'trial')} failed in a row"
    if budget.hours is not None and budget.hours_used >= budget.hours:
        return f"{budget.hours_used:.2f} of {budget.hours:g} h are used"
    if limits.gpu_hours is not None and budget.device_hours >= limits.gpu_hours:
        return f"{budget.device_hours:.2f} of {limits.gpu_hours:g} gpu_hours are used"
    if limits.patience is not None and budget.since_best >= limits.patience:
        what = "settings" if spec.repeats > 1 else "trials"
        return f"{budget.since_best} {what} brought nothing better (patience {limits.patience})"
    return None


def too_many_failures(limits: Limits, budget: Budget) -> bool:
    """Whether so many trials failed in a row that something must be wrong with the study itself."""
    return budget.failures_in_a_row >= limits.max_failures
