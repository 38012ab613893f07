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
from studies.search.made import maker
from studies.search.seeded import SeededSampler
from studies.spec import StudySpec
from studies.spec.model import Sampler
from studies.spec.space import Choice, Range, Space, SpaceError, encoded

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
