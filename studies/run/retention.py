"""Which checkpoints are kept.

A trial that ended needs its checkpoint no more, unless it is among the best, or its continuation has not got its own
yet. Every worker tidies up after each of its trials, without a lock: what it finds unneeded stays so, because a trial
that has ended stays ended, and one that has dropped out of the best never comes back. So the disk holds, for each
study, at most those of the KEPT best trials that have one and one for each trial that runs or waits to go on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from optuna.trial import FrozenTrial, TrialState

from studies.names import CONTINUES, Direction, may_be_best
from studies.pareto import losses_of, order

KEPT = 3

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


def best(trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> list[FrozenTrial]:
    """Return the best complete and feasible trials, at most KEPT; of equal ones the older first."""
    found = sorted(filter(_may_be_best, trials), key=lambda trial: trial.number)
    return [found[place] for place in order([losses_of(trial.values, directions) for trial in found])[:KEPT]]


def is_among_best(values: Sequence[float], trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> bool:
    """Whether a trial that ends with these values is, so far, one of the best."""
    rivals = [losses_of(trial.values, directions) for trial in trials if _may_be_best(trial)]
    return len(rivals) in order([*rivals, losses_of(values, directions)])[:KEPT]


def _may_be_best(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and may_be_best(trial.values, trial.constraints)


def needed(stored: Collection[int], trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> set[int]:
    """Return the numbers of the trials whose checkpoint may still be used.

    stored: the numbers of those that have one, read before the trials were. trials: all of the study, by number.
    """
    kept = {trial.number for trial in best([trials[number] for number in stored if number < len(trials)], directions)}
    for trial in trials:
        if trial.state in _UNFINISHED:
            for number in (trial.number, *sources(trial.number, trials)):
                kept.add(number)
                if number in stored:
                    break
    return kept


def sources(number: int, trials: Sequence[FrozenTrial]) -> list[int]:
    """Return the number of the trial that this one continues, of the one that continued, and so on."""
    found: list[int] = []
    before = trials[number].user_attrs.get(CONTINUES)
    while before is not None and before < min(found, default=number):  # what is continued was there before
        found.append(before)
        before = trials[before].user_attrs.get(CONTINUES)
    return found
