"""Settings that keep a study's conditions (`require`): a whole one is drawn and looked at before it is suggested."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from studies.names import FIXED_PARAMS
from studies.search.distributions import distribution_of
from studies.search.seeded import SeededSampler, seed_of
from studies.spec import StudySpec
from studies.spec.space import Choice, Fixed, Range, Space, SpaceError

N_DRAWN = 20  # by the study's sampler, which may prefer what is not allowed; then at random
N_RANDOM = 10_000


class AllowedSampler(SeededSampler):
    """Draws whole settings until one keeps the conditions; each draw has a seed of its own."""

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
        self._setting: dict[str, Any] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler. Here it is everything that this trial has."""
        self._setting = self._allowed(study, trial)
        return {name: _distribution(self._space, name) for name in self._setting}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._setting

    def _allowed(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Return a setting as the storage has it. Raises SpaceError when none is found."""
        queued = trial.system_attrs.get(FIXED_PARAMS, {})
        seen = self._seen(study, trial)
        shown = self._shown(study, trial)
        samplers = itertools.chain([self._of(trial)], (self._again(trial, attempt) for attempt in range(1, N_DRAWN)))
        at_random = RandomSampler(seed=seed_of(self._seed, f"{trial.number}/random"))
        for sampler in itertools.chain(samplers, itertools.repeat(at_random, N_RANDOM)):
            relative = sampler.sample_relative(shown, trial, sampler.infer_relative_search_space(seen, trial))
            given = {**relative, **queued}
            setting, is_allowed = drawn(self._space, given, partial(sampler.sample_independent, shown, trial))
            if is_allowed or setting.keys() <= queued.keys():  # what a person has queued is as it is
                return setting
        raise none_found(self._space)

    def _again(self, trial: FrozenTrial, attempt: int) -> BaseSampler:
        return self._make(seed=seed_of(self._seed, f"{trial.number}/{attempt}"))


def check(space: Space) -> None:
    """Raise SpaceError for conditions that cannot be computed, or that hardly anything in the space keeps."""
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
