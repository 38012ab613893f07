"""Which checkpoints are kept.

A trial that ended needs its checkpoint no more, unless it is among the best, or its continuation has not got its own
yet. Every worker tidies up after each of its trials, without a lock: what it finds unneeded stays so, because a trial
that has ended stays ended, and one that has dropped out of the best never comes back. So the disk holds, for each
study, at most those of the KEPT best trials that have one and one for each trial that runs or waits to go on.

With repeats the best are settings, and one trial stands for each: the first that is complete. Which settings are the
best is known once all their trials have ended: until then that trial keeps its checkpoint, whatever its own value is.
From then on a setting's place in `search.repeats.in_order` only falls, for one that is before it stays before it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, Trial, TrialState

from studies.names import CONTINUES, Direction, may_be_best
from studies.pareto import losses_of, order
from studies.search.repeats import Result, firsts_of, ranked

if TYPE_CHECKING:
    from studies.spec import StudySpec

KEPT = 3

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


def best(stored: Collection[int], trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> list[int]:
    """Return which of the stored trials are the best complete and feasible ones, at most KEPT; of equal ones the first.

    With repeats each stands for its setting. stored, trials: see `needed`.
    """
    if len(directions) == 1:
        return [number for number in _standing(stored, trials, directions[0]) if number in stored][:KEPT]
    found = [trial for trial in trials if trial.number in stored and may_be_best(trial)]
    return [found[place].number for place in order([losses_of(trial.values, directions) for trial in found])[:KEPT]]


def _standing(stored: Collection[int], trials: Sequence[FrozenTrial], direction: Direction) -> list[int]:
    """Return the trials that stand for the settings of the stored ones, the best setting first."""
    firsts = firsts_of(trials)
    settings = {firsts[number] for number in stored if number in firsts}
    results = (
        Result(trial.number, firsts[trial.number], trial.values[0])
        for trial in trials
        if firsts[trial.number] in settings and may_be_best(trial)
    )
    return [setting.trial for setting in ranked(results, direction)]


def may_be_kept(trial: Trial, values: Sequence[float], spec: StudySpec) -> bool:
    """Whether a trial that is about to complete with these values keeps its checkpoint for now."""
    trials = trial.study.get_trials(deepcopy=False)
    if spec.repeats > 1:
        return stands_for_setting(trial.number, trials)
    return is_among_best(values, trials, spec.directions)


def is_among_best(values: Sequence[float], trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> bool:
    """Whether a trial that ends with these values is, so far, one of the best. For a study without repeats."""
    rivals = [losses_of(trial.values, directions) for trial in trials if may_be_best(trial)]
    return len(rivals) in order([*rivals, losses_of(values, directions)])[:KEPT]


def stands_for_setting(number: int, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial that is about to complete is, so far, the first of its setting. trials: all, by number."""
    firsts = firsts_of(trials)
    return not any(firsts[trial.number] == firsts[number] and may_be_best(trial) for trial in trials[:number])


def needed(stored: Collection[int], trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> set[int]:
    """Return the numbers of the trials whose checkpoint may still be used.

    stored: the numbers of those that have one, read before the trials were. trials: all of the study, by number.
    """
    kept = {*best(stored, trials, directions), *_undecided(stored, trials)}
    for trial in trials:
        if trial.state in _UNFINISHED:
            for number in (trial.number, *sources(trial.number, trials)):
                kept.add(number)
                if number in stored:
                    break
    return kept


def _undecided(stored: Collection[int], trials: Sequence[FrozenTrial]) -> set[int]:
    """Return which of the stored trials stand for a setting of which others have not ended."""
    firsts = firsts_of(trials)
    unfinished = {firsts[trial.number] for trial in trials if trial.state in _UNFINISHED}
    standing: dict[int, int] = {}
    for trial in trials:
        if firsts[trial.number] in unfinished and may_be_best(trial):
            standing.setdefault(firsts[trial.number], trial.number)
    return {number for number in standing.values() if number in stored}


def sources(number: int, trials: Sequence[FrozenTrial]) -> list[int]:
    """Return the number of the trial that this one continues, of the one that continued, and so on."""
    found: list[int] = []
    before = trials[number].user_attrs.get(CONTINUES)
    while before is not None and before < min(found, default=number):  # what is continued was there before
        found.append(before)
        before = trials[before].user_attrs.get(CONTINUES)
    return found
