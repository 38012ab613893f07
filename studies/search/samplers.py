"""The sampler that a study file names: one of `SAMPLERS` in `studies/registry.py`, or a user's own by its dotted path.

A sampler is a class of Optuna's kind that takes `seed`, or a function of the sampler's part of the study file, the
space and `seed` that returns such a sampler. `options` in the study file sets what else they take by name. It is made
anew for each trial, with that trial's seed (`studies.search.seeded`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from studies.registry import SAMPLERS
from studies.search import allowed
from studies.search.allowed import AllowedSampler
from studies.search.asha import rungs_of
from studies.search.asked import AskedSampler
from studies.search.distributions import distribution_of
from studies.search.made import maker
from studies.search.ranking import telling_rungs
from studies.spec import StudySpec
from studies.spec.domain import Fixed
from studies.spec.model import Sampler
from studies.spec.space import MOST_SETTINGS, Space
from studies.spec.values import SpaceError

GRID, GP = "grid", "gp"
WIDTH = 0.5  # of a range: where CMA-ES begins. With Optuna's sixth it is behind random settings for 1,600 epochs

optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it would say, the view and the logs do


def make_sampler(spec: StudySpec, space: Space, known: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """Return the sampler of a study. known: finished trials of other studies, as if they were its own first ones.

    Raises SpaceError for a name or an option that there is not, and for a space that is not for this sampler.
    """
    telling = [*telling_rungs(spec), spec.max_epochs]
    own = {"rungs": rungs_of(spec), "telling": telling} if spec.sampler.name == GP else {}
    made = maker(SAMPLERS, spec.sampler, BaseSampler, ("seed", *own), spec.sampler, space)  # type: ignore[type-abstract]
    make = partial(made, **own)
    sampler = make(seed=spec.sampler.seed)  # what is wrong with it is said now, and not in the first trial
    if spec.has_several:
        _check_several(spec, sampler)
    ranked = spec if rungs_of(spec) else None
    if not space.parameters:  # a plain function's space is known to it alone
        return AskedSampler(make, spec.sampler.seed, known, ranked)
    if space.require and spec.sampler.name != GRID:
        allowed.check(space)
    return AllowedSampler(make, spec.sampler.seed, known, ranked, space)


def _check_several(spec: StudySpec, sampler: BaseSampler) -> None:
    """Raise SpaceError for a sampler that is for one metric, as it says itself when it is asked."""
    study = optuna.create_study(directions=[to.value for to in spec.directions], sampler=sampler)
    try:
        study.ask({"x": FloatDistribution(0.0, 1.0)})
    except ValueError:
        reason = f"sampler {spec.sampler.name!r} is for one metric, and this study has {len(spec.metrics)}"
        raise SpaceError(f"{reason}; expected such as gp, tpe or nsga2", "sampler", "name") from None


def grid(settings: Sampler, space: Space, seed: int) -> BaseSampler:
    """Try every setting once. Its order is the study's, not a trial's: it follows from its seed."""
    for name, parameter in space.parameters.items():
        if space.possible(parameter) and parameter.domain.values(MOST_SETTINGS) is None:
            reason = f"the grid sampler needs choices, and {name} is a range ({parameter.domain})"
            raise SpaceError(reason, "space", name)
    points = allowed.all_settings(space)
    if points is None:
        reason = f"the grid sampler tries up to {MOST_SETTINGS:,} settings, and the space has more"
        raise SpaceError(reason, "space")
    if not points:
        raise allowed.none_found(space)
    random.Random(settings.seed).shuffle(points)  # noqa: S311 - no secret
    return _Grid(points, seed)


def cmaes(settings: Sampler, space: Space, seed: int, **options: Any) -> BaseSampler:
    """Adapt a normal distribution (CMA-ES). For many trials on ranges: choices are drawn at random."""
    sampler = optuna.samplers.CmaEsSampler(seed=seed, **{"warn_independent_sampling": False} | options)
    if sampler._sigma0 is None:  # to give it is deprecated
        sampler._sigma0 = WIDTH
    return sampler


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


class _Grid(RandomSampler):
    """Settings in a fixed order, by trials' numbers; what a person has queued in part is completed at random.

    It knows nothing of what was tried: `AllowedSampler` does.
    """

    def __init__(self, points: Sequence[dict[str, Any]], seed: int) -> None:
        super().__init__(seed=seed)
        self._points = points

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return dict(self._points[trial.number % len(self._points)])
