"""Whole settings, looked at before they are suggested: one keeps the conditions (`require`) and is not tried twice.

Tried is what another trial has, however it ended, or will have: it runs, or waits. A trial that was lost with its
worker tried nothing, and what a person queues is run as it is.

In a space with no more than MOST_SETTINGS each has its turn: where the sampler keeps drawing what was tried, the
nearest one to its draw that was not. There, older trials choose before younger ones: two workers that draw at a time
would not see what the other draws.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from studies.names import FIXED_PARAMS, has_tried
from studies.search.distributions import distribution_of
from studies.search.knowledge import queued
from studies.search.seeded import SeededSampler, seed_of
from studies.spec import StudySpec
from studies.spec.domain import Choice, Fixed, Range
from studies.spec.space import Space
from studies.spec.values import SpaceError, encoded

N_DRAWN = 20  # by the study's sampler, which may prefer what is not allowed or was tried; then at random
N_RANDOM = 10_000
N_DRAWN_OF_FEW = 5  # in a space that is tried to its end: what is near to a draw is as good as another draw
OLDER_CHOOSE_WITHIN_S = 20.0  # on a busy machine; of another program that died before it chose nobody is told
PAUSE_S = 0.02

Key: TypeAlias = frozenset[tuple[str, Any]]  # tells a setting from every other


class AllowedSampler(SeededSampler):
    """Draws whole settings until one may be tried; each draw has a seed of its own."""

    def __init__(
        self,
        make: Callable[..., BaseSampler],
        seed: int,
        known: Sequence[FrozenTrial],
        spec: StudySpec | None,
        space: Space,
    ) -> None:
        super().__init__(make, seed, known, spec)
        self._space = space
        self._all = all_settings(space)
        self._setting: dict[str, Any] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler. Here it is everything that this trial has."""
        self._setting = self._chosen(study, trial)
        return {name: _distribution(self._space, name) for name in self._setting}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._setting

    def _chosen(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Return a setting as the storage has it. Raises SpaceError when none is found."""
        given = trial.system_attrs.get(FIXED_PARAMS, {})
        tried = settings_tried(self._others(study, trial))
        allowed = None
        for setting, is_allowed in self._draws(study, trial, given):
            if setting.keys() <= given.keys():  # what a person has queued is as it is
                return setting
            if is_allowed and _key(setting) not in tried:
                return setting
            allowed = setting if is_allowed and allowed is None else allowed
        left = [one for one in untried(self._all or [], tried) if given.items() <= one.items()]
        if left:
            return min(left, key=partial(self._distance, setting))
        if allowed is None:
            raise none_found(self._space)
        return allowed  # everything was tried

    def _draws(
        self, study: Study, trial: FrozenTrial, given: Mapping[str, Any]
    ) -> Iterator[tuple[dict[str, Any], bool]]:
        """Yield whole settings and whether each keeps the conditions: the sampler's, then random ones."""
        shown = self._shown(study, trial)
        n_drawn, n_random = (N_DRAWN, N_RANDOM) if self._all is None else (N_DRAWN_OF_FEW, 0)
        samplers = itertools.chain([self._of(trial)], (self._again(trial, attempt) for attempt in range(1, n_drawn)))
        at_random = RandomSampler(seed=seed_of(self._seed, f"{trial.number}/random"))
        for sampler in itertools.chain(samplers, itertools.repeat(at_random, n_random)):
            relative = sampler.sample_relative(shown, trial, self._space_of(sampler, study, trial))
            yield drawn(self._space, {**relative, **given}, partial(sampler.sample_independent, shown, trial))

    def _again(self, trial: FrozenTrial, attempt: int) -> BaseSampler:
        return self._make(seed=seed_of(self._seed, f"{trial.number}/{attempt}"))

    def _others(self, study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
        """Return the study's other trials; in a space that is tried to its end, once all older ones have chosen."""
        deadline = time.monotonic() + OLDER_CHOOSE_WITHIN_S
        while self._all is not None and time.monotonic() < deadline:
            trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
            older = [other for other in trials[: trial.number] if other.state == TrialState.RUNNING]
            if all(has_chosen(self._space, other) for other in older):
                break
            time.sleep(PAUSE_S)
        trials = self._seen(study, trial)._get_trials(deepcopy=False)
        return [other for other in trials if other.number not in (-1, trial.number)]  # -1: of another study

    def _distance(self, setting: Mapping[str, Any], other: Mapping[str, Any]) -> float:
        """Return how far apart two settings are: 1 for each other choice, and for a range from its end to its end."""
        return sum(
            _apart(parameter.domain, setting.get(name), other.get(name))
            for name, parameter in self._space.parameters.items()  # in one order, so that equal ones stay equal
        )


def all_settings(space: Space) -> list[dict[str, Any]] | None:
    """Return every setting of a space that is tried to its end, as the storage has them; of another, None."""
    settings = space.settings()
    return None if settings is None else [queued(space, setting) for setting in settings]


def has_chosen(space: Space, trial: FrozenTrial) -> bool:
    """Whether a trial's setting is known, or it has ended without one."""
    try:
        space.values_of(_params(trial))
    except KeyError:
        return trial.state.is_finished()
    return True


def settings_tried(trials: Sequence[FrozenTrial]) -> set[Key]:
    """Return the settings of trials that count as tried, for `untried`."""
    return {_key(_params(trial)) for trial in trials if has_tried(trial.user_attrs)}


def untried(settings: Sequence[dict[str, Any]], tried: Collection[Key]) -> list[dict[str, Any]]:
    """Return those of the settings that were not tried."""
    return [setting for setting in settings if _key(setting) not in tried]


def _key(setting: Mapping[str, Any]) -> Key:
    return frozenset((name, encoded(value)) for name, value in setting.items())  # another program may queue a list


def _params(trial: FrozenTrial) -> dict[str, Any]:
    return {**trial.system_attrs.get(FIXED_PARAMS, {}), **trial.params}


def _apart(domain: Range | Choice | Fixed, left: Any, right: Any) -> float:
    if left == right:
        return 0.0
    if not isinstance(domain, Range) or left is None or right is None:
        return 1.0
    of = math.log if domain.log else float
    return abs(of(left) - of(right)) / (of(domain.high) - of(domain.low))


def check(space: Space) -> None:
    """Raise SpaceError for conditions that hardly anything in the space keeps."""
    sampler: Any = RandomSampler(seed=0)  # which looks at neither the study nor the trial
    if not any(drawn(space, {}, partial(sampler.sample_independent, None, None))[1] for _ in range(N_RANDOM)):
        raise none_found(space)


def drawn(
    space: Space, given: Mapping[str, Any], sample: Callable[[str, BaseDistribution], Any]
) -> tuple[dict[str, Any], bool]:
    """Return a whole setting as the storage has it, and whether it keeps the conditions.

    given: values that are chosen already. sample: asked for each other.
    """
    setting: dict[str, Any] = {}

    def suggest(name: str, domain: Range | Choice) -> Any:
        setting[name] = given[name] if name in given else sample(name, distribution_of(domain))
        if isinstance(domain, Range):
            setting[name] = domain.snapped(setting[name])
        return setting[name]

    return setting, space.broken(space.suggest(suggest)) is None


def none_found(space: Space) -> SpaceError:
    """Return the error for a space in which nothing is allowed."""
    conditions = " and ".join(condition.text for condition in space.require)
    return SpaceError(f"none of {N_RANDOM:,} random settings keeps {conditions}; expected a wider space", "require")


def _distribution(space: Space, name: str) -> BaseDistribution:
    domain = space.parameters[name].domain
    assert not isinstance(domain, Fixed)
    return distribution_of(domain)
