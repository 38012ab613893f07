"""The sampler that a study file names: one of `SAMPLERS` in `studies/registry.py`, or a user's own by its dotted path.

A sampler is a class of Optuna's kind that takes `seed`, or a function of the sampler's part of the study file, the
space and `seed` that returns such a sampler. `options` in the study file sets what else they take by name. It is made
anew for each trial, with that trial's seed (`studies.search.seeded`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from studies.registry import SAMPLERS
from studies.search import allowed
from studies.search.allowed import AllowedSampler
from studies.search.asha import rungs_of
from studies.search.distributions import distribution_of
from studies.search.made import maker
from studies.search.seeded import SeededSampler
from studies.spec import StudySpec
from studies.spec.model import Sampler
from studies.spec.space import Choice, Fixed, Range, Space, SpaceError, encoded

GRID = "grid"


def make_sampler(spec: StudySpec, space: Space, known: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """Return the sampler of a study. known: finished trials of other studies, as if they were its own first ones.

    Raises SpaceError for a name or an option that there is not, and for a space that is not for this sampler.
    """
    make = maker(SAMPLERS, spec.sampler, BaseSampler, ("seed",), spec.sampler, space)  # type: ignore[type-abstract]
    make(seed=spec.sampler.seed)  # what is wrong with it is said now, and not in the first trial
    ranked = spec if rungs_of(spec) else None
    if not space.require or spec.sampler.name == GRID:
        return SeededSampler(make, spec.sampler.seed, known, ranked)
    allowed.check(space)
    return AllowedSampler(make, spec.sampler.seed, known, ranked, space)


def grid(settings: Sampler, space: Space, seed: int) -> BaseSampler:
    """Try every combination of the choices once. Its order is the study's, not a trial's: it follows from its seed."""
    choices = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter.domain, Range) and space.possible(parameter):
            reason = f"the grid sampler needs choices, and {name} is a range ({parameter.domain})"
            raise SpaceError(reason, "space", name)
        if isinstance(parameter.domain, Choice) and space.possible(parameter):
            choices[name] = [encoded(choice) for choice in parameter.domain.choices]
    return _Grid(choices, space, seed=settings.seed)


def gp(settings: Sampler, space: Space, seed: int, **options: Any) -> BaseSampler:
    """Model the metric with a Gaussian process. For few and costly trials."""
    return optuna.samplers.GPSampler(seed=seed, **{"warn_independent_sampling": False} | options)


def cmaes(settings: Sampler, space: Space, seed: int, **options: Any) -> BaseSampler:
    """Adapt a normal distribution (CMA-ES). For many trials on ranges: choices are drawn at random."""
    return optuna.samplers.CmaEsSampler(seed=seed, **{"warn_independent_sampling": False} | options)


def qmc(settings: Sampler, space: Space, seed: int, *, qmc_type: str = "sobol") -> BaseSampler:
    """Cover the space evenly. The sequence is the study's, and a trial's number its place in it."""
    always = {
        name: distribution_of(parameter.domain)
        for name, parameter in space.parameters.items()
        if not isinstance(parameter.domain, Fixed) and not parameter.when
    }
    return _Sequence(always, qmc_type, settings.seed, seed)


class _Sequence(optuna.samplers.QMCSampler):
    """A sequence that counts by trials' numbers: Optuna's counts in the storage, and two workers may take one place.

    What exists only sometimes is drawn at random.
    """

    def __init__(self, always: dict[str, BaseDistribution], qmc_type: str, sequence: int, seed: int) -> None:
        at_random = optuna.samplers.RandomSampler(seed=seed)
        super().__init__(
            qmc_type=qmc_type, scramble=True, seed=sequence, independent_sampler=at_random,
            warn_independent_sampling=False,
        )  # fmt: skip
        self._always = always
        self._number = 0

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        self._number = trial.number
        return self._always

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number


class _Grid(optuna.samplers.GridSampler):
    """A grid without the points that break a condition.

    It leaves the end of the study to its caller: Optuna's own raises outside `Study.optimize`.
    """

    def __init__(self, choices: Mapping[str, Sequence[Any]], space: Space, seed: int) -> None:
        super().__init__(choices, seed)
        if space.require:
            points = (dict(zip(self._param_names, point, strict=True)) for point in self._all_grids)
            kept = [allowed.drawn(space, point, _everything_is_chosen)[1] for point in points]
            self._all_grids = list(itertools.compress(self._all_grids, kept))
            self._n_min_trials = len(self._all_grids)
        if not self._all_grids:
            raise allowed.none_found(space)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """See BaseSampler."""


def _everything_is_chosen(name: str, distribution: BaseDistribution) -> Any:
    raise KeyError(name)
