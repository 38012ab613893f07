"""Repeats: each setting that trained to its end runs again under fresh seeds, and the mean of all its trials ranks it.

`ranked` decides which setting is the best, for whatever names one: status, report, export, patience and all others.

A setting's first trial queues the others just before it ends; a worker that dies there does it again, and finds them.
They are trials as any other, with numbers and seeds of their own, but no pruner stops them: a mean without its worst
seeds would say nothing. What was pruned is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from studies.names import CONTINUES, REPEATS, Direction, may_be_best


@dataclass(frozen=True)
class Result:
    """A completed trial that may be the best. first: the number of the first trial of its setting."""

    trial: int
    first: int
    value: float


@dataclass(frozen=True)
class Repeated:
    """What a setting has reached. trial: the first of its trials that is complete. n: how many are. sd: None of one."""

    trial: int
    n: int
    mean: float
    sd: float | None

    def __str__(self) -> str:
        return "one seed yet" if self.sd is None else f"mean of {self.n} seeds, sd {self.sd:.2g}"


def ranked(results: Iterable[Result], direction: Direction) -> list[Repeated]:
    """Return the settings that these are of, the best first."""
    values: dict[int, dict[int, float]] = {}
    for result in results:
        values.setdefault(result.first, {})[result.trial] = result.value
    found = [
        Repeated(min(each), len(each), mean(each.values()), stdev(each.values()) if len(each) > 1 else None)
        for each in values.values()
    ]
    return in_order(found, direction)


def in_order(settings: Iterable[Repeated], direction: Direction) -> list[Repeated]:
    """Return settings, the best first.

    One of which more trials are complete comes first, and among those with as many the one with the better mean: a
    setting never wins by the seeds that it lacks. Of equal ones the older is first.
    """
    return sorted(settings, key=lambda one: (-one.n, -direction.sign * one.mean, one.trial))


def ranked_of(trials: Sequence[FrozenTrial], direction: Direction) -> list[Repeated]:
    """Return the settings of a study's trials, which are given by number, the best first."""
    firsts = firsts_of(trials)
    results = (Result(one.number, firsts[one.number], one.values[0]) for one in trials if may_be_best(one))
    return ranked(results, direction)


def n_since_best(trials: Sequence[FrozenTrial], direction: Direction) -> int:
    """Return how many settings younger than the best one have ended, with all of their repeats; 0 without a best one.

    One that failed tried nothing.
    """
    settings = ranked_of(trials, direction)
    if not settings:
        return 0
    firsts = firsts_of(trials)
    unfinished = {firsts[trial.number] for trial in trials if not trial.state.is_finished()}
    began = {firsts[trial.number]: trial.number for trial in trials if REPEATS not in trial.user_attrs}
    tried = {firsts[trial.number] for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)}
    best = began[firsts[settings[0].trial]]
    return sum(began[first] > best for first in tried - unfinished)


def queue(study: optuna.Study, trial: optuna.Trial, n_repeats: int) -> None:
    """Queue the setting of a trial that is about to complete under n_repeats - 1 fresh seeds, once."""
    if n_repeats == 1 or REPEATS in trial.user_attrs:
        return
    trials = study.get_trials(deepcopy=False)
    first = firsts_of(trials)[trial.number]
    for _ in range(n_repeats - 1 - _n_queued(trials, first)):
        study.enqueue_trial(trial.params, user_attrs={REPEATS: first}, skip_if_exists=False)


def n_to_queue(trials: Sequence[FrozenTrial], n_repeats: int) -> int:
    """Return how many repeats are queued yet if all first trials complete that have not ended."""
    firsts = firsts_of(trials)
    running = [trial for trial in trials if not trial.state.is_finished() and REPEATS not in trial.user_attrs]
    return sum(max(0, n_repeats - 1 - _n_queued(trials, firsts[trial.number])) for trial in running)


def _n_queued(trials: Iterable[FrozenTrial], first: int) -> int:
    return sum(trial.user_attrs.get(REPEATS) == first and CONTINUES not in trial.user_attrs for trial in trials)


def firsts_of(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """Return `firsts` of a study's trials, which are given by number."""
    return firsts({trial.number: trial.user_attrs for trial in trials})


def firsts(attributes: Mapping[int, Mapping[str, Any]]) -> dict[int, int]:
    """Return for each trial the first one of its setting: it repeats or continues that.

    attributes: each trial's user attributes, by number and in that order.
    """
    found: dict[int, int] = {}
    for number, own in attributes.items():
        before = own.get(REPEATS, own.get(CONTINUES))
        found[number] = number if before is None else found.get(before, before)
    return found
