"""What a plain function asks for, which it alone knows: learned from its trials, so that no setting is tried twice.

A function that asks in one order, and for the same after the same answers, makes a tree: at each node a parameter,
below it one branch for each of its values, and where a trial asked for nothing more, a setting. A node with few values
whose branches were all tried is used up, and so is a study whose first one is. Optuna's `BruteForceSampler` walks such
a tree too. Here any sampler goes on choosing, and what it draws in a branch that is used up becomes the nearest value
that is not. A range without steps is never used up. A function that asks otherwise after the same answers has no tree,
and is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from studies.names import FIXED_PARAMS, has_tried
from studies.search.seeded import SeededSampler
from studies.spec.space import MOST_SETTINGS
from studies.spec.values import is_number

MANY = 300  # settings: more than workers begin at a time, so that counting further would say nothing new

Path = tuple[tuple[str, float | str], ...]  # parameters in the order in which they were asked for, each with its value


class AskedSampler(SeededSampler):
    """Chooses as the sampler that it is made of, and not what was tried."""

    _drawn: Mapping[str, Any] = {}  # what the sampler has drawn for this trial

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler. It gives nothing at once: each parameter is looked at when it is asked for."""
        self._drawn = super().sample_relative(study, trial, search_space)
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        drawn = self._drawn.get(param_name)
        if drawn is None or not param_distribution._contains(param_distribution.to_internal_repr(drawn)):
            drawn = super().sample_independent(study, trial, param_name, param_distribution)
        values = values_of(param_distribution)
        if values is None or is_endless([trial]):
            return drawn
        others = study._storage.get_all_trials(study._study_id, deepcopy=False)
        asked = Asked([other for other in others if other.number != trial.number])
        path = _path(trial.params)
        nearest = sorted(values, key=lambda value: _apart(value, drawn))
        below = [(value, (*path, (param_name, _told(value)))) for value in (drawn, *nearest)]
        free = (value for value, there in below if asked.n_free(there, 1))
        undecided = (value for value, there in below if asked.is_undecided(there))
        return next(chain(free, undecided), drawn)


class Asked:
    """What trials asked for. Those that run or wait are as good as tried; what another trial continues is not."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        tried = [trial for trial in trials if has_tried(trial.user_attrs)]
        unfinished = [trial for trial in tried if not trial.state.is_finished()]
        self._running = [_path(trial.params) for trial in unfinished if trial.state == TrialState.RUNNING]
        self._given = [dict(_path(given)) for trial in unfinished if (given := trial.system_attrs.get(FIXED_PARAMS))]
        self._next: dict[Path, dict[str, BaseDistribution]] = {}  # what was asked for after these answers
        self._seen: set[Path] = set()
        for trial in tried:
            path: Path = ()
            for name, value in _path(trial.params):
                self._next.setdefault(path, {}).setdefault(name, trial.distributions[name])
                path = (*path, (name, value))
                self._seen.add(path)

    @property
    def n_running(self) -> int:
        """How many trials run."""
        return len(self._running)

    def is_undecided(self, path: Path) -> bool:
        """Whether a trial that runs has given these answers, and may be about to ask for more."""
        return path in self._running

    def n_open(self, path: Path, most: float) -> float:
        """Return how many settings are left below these answers, as far as that is known, counted up to `most`.

        Infinity where there is no end of them, and where nobody has asked yet.
        """
        if path and path not in self._seen:
            return 0 if dict(path) in self._given else 1
        asked = self._next.get(path, {})
        if not asked:
            return 0 if path else math.inf
        values = values_of(next(iter(asked.values()))) if len(asked) == 1 else None
        if values is None:
            return math.inf
        n = 0.0
        for value in values:
            n += self.n_open((*path, (next(iter(asked)), _told(value))), most - n)
            if n >= most:
                break
        return n

    def n_free(self, path: Path, most: float) -> float:
        """Return the same without those that running trials are about to take."""
        n_choosing = sum(not own or own in self._next for own in self._running if own[: len(path)] == path)
        return max(0.0, self.n_open(path, most + n_choosing) - n_choosing)


def is_endless(trials: Iterable[FrozenTrial]) -> bool:
    """Whether a trial asked for what has no end of values: nobody comes to the end of such a space."""
    return any(_n_values(one) is None for trial in trials for one in trial.distributions.values())


def has_choice(trials: Iterable[FrozenTrial]) -> bool:
    """Whether a trial had anything to choose. Where there is one setting, it is run again for what is random in it."""
    return any(_n_values(one) != 1 for trial in trials for one in trial.distributions.values())


def n_in_the_end(trials: Sequence[FrozenTrial], n_trials: int, n_counted: int, *, by_now: bool) -> int:
    """Return how many trials a plain function's study has in the end; by_now: as many as may have begun.

    n_trials: that were asked for. n_counted: that there are.
    """
    if is_endless(trials) or not has_choice(trials):
        return n_trials
    asked = Asked(trials)
    if not by_now and (asked.n_running or asked.n_open((), 1)):
        return n_trials
    n_free = asked.n_free((), MANY)
    return n_trials if math.isinf(n_free) else min(n_trials, n_counted + int(n_free))


def has_asked_all(trials: Sequence[FrozenTrial]) -> bool:
    """Whether no trial is left, and nothing that one could try."""
    if is_endless(trials) or not has_choice(trials):
        return False
    return not Asked(trials).n_open((), 1) and all(one.state.is_finished() for one in trials)


def values_of(distribution: BaseDistribution) -> list[Any] | None:
    """Return the values of a distribution that has few, else None."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    n = _n_values(distribution)
    if n is None or not isinstance(distribution, IntDistribution | FloatDistribution):
        return None
    of = int if isinstance(distribution, IntDistribution) else float
    step = distribution.step or 1
    return [of(min(distribution.low + index * step, distribution.high)) for index in range(n)]


def _n_values(distribution: BaseDistribution) -> int | None:
    """Return how many values a distribution has, None where they are more than MOST_SETTINGS."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if not isinstance(distribution, IntDistribution | FloatDistribution) or distribution.step is None:
        return None
    n = round((distribution.high - distribution.low) / distribution.step) + 1
    return n if n <= MOST_SETTINGS else None


def _path(params: Mapping[str, Any]) -> Path:
    return tuple((name, _told(value)) for name, value in params.items())


def _told(value: Any) -> float | str:
    """Return what tells a value from others: a choice may be a list, which nothing can be looked up by."""
    return float(value) if is_number(value) else repr(value)


def _apart(value: Any, other: Any) -> float:
    return abs(value - other) if is_number(value) and is_number(other) else float(value != other)
