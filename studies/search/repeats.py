"""Repeats: each setting that trained to its end runs again under fresh seeds, and the mean of all its trials ranks it.

A setting's first trial queues the others just before it ends; a worker that dies there does it again, and finds them.
They are trials as any other, with numbers and seeds of their own, but no pruner stops them: a mean without its worst
seeds would say nothing. What was pruned is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

import optuna
from optuna.trial import FrozenTrial, TrialState

from studies.names import CONTINUES, REPEATS, may_be_best


def queue(study: optuna.Study, trial: optuna.Trial, n_repeats: int) -> None:
    """Queue the setting of a trial that is about to complete under n_repeats - 1 fresh seeds, once."""
    if n_repeats == 1 or REPEATS in trial.user_attrs:
        return
    trials = study.get_trials(deepcopy=False)
    first = _firsts(trials)[trial.number]
    for _ in range(n_repeats - 1 - _n_queued(trials, first)):
        study.enqueue_trial(trial.params, user_attrs={REPEATS: first}, skip_if_exists=False)


def n_to_queue(trials: Sequence[FrozenTrial], n_repeats: int) -> int:
    """Return how many repeats are queued yet if all first trials complete that have not ended."""
    firsts = _firsts(trials)
    running = [trial for trial in trials if not trial.state.is_finished() and REPEATS not in trial.user_attrs]
    return sum(max(0, n_repeats - 1 - _n_queued(trials, firsts[trial.number])) for trial in running)


def means_of(trials: Iterable[FrozenTrial], n_repeats: int) -> dict[int, float]:
    """Return the mean of each setting of which n_repeats trials are complete, by the number of its first that is."""
    trials = list(trials)
    firsts = _firsts(trials)
    values: dict[int, dict[int, float]] = {}
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.values and may_be_best(trial.values, trial.constraints):
            values.setdefault(firsts[trial.number], {})[trial.number] = trial.values[0]
    return {min(each): fmean(each.values()) for each in values.values() if len(each) == n_repeats}


def _n_queued(trials: Iterable[FrozenTrial], first: int) -> int:
    return sum(trial.user_attrs.get(REPEATS) == first and CONTINUES not in trial.user_attrs for trial in trials)


def _firsts(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """Return for each trial, which are given by number, the first one of its setting: it repeats or continues that."""
    found: dict[int, int] = {}
    for trial in trials:
        before = trial.user_attrs.get(REPEATS, trial.user_attrs.get(CONTINUES))
        found[trial.number] = trial.number if before is None else found[before]
    return found
