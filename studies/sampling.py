"""Samplers and pruners by their names in a study file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from studies.space import Choice, Range, Space, encoded
from studies.spec import Pruner, StudySpec

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from optuna import Study


def seed_of(seed: int, number: int | str) -> int:
    """Return the seed of a study's trial: 32 bits that look unrelated from one trial to the next.

    number: the trial's, or a text, for a seed that is not of this row.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "little")


def distribution_of(domain: Range | Choice) -> BaseDistribution:
    """Return the domain as Optuna has it."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([encoded(choice) for choice in domain.choices])
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def make_sampler(spec: StudySpec, space: Space, known: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """Return the sampler of a study. known: finished trials of other studies, as if they were its own first ones."""
    if spec.sampler.name != "grid":
        return SeededSampler(spec.sampler.name, spec.sampler.seed, known)
    grid = {
        name: [encoded(choice) for choice in parameter.domain.choices]
        for name, parameter in space.parameters.items()
        if isinstance(parameter.domain, Choice) and space.possible(parameter)
    }
    return _Grid(grid, seed=spec.sampler.seed)


def make_pruner(pruner: Pruner, max_epochs: int) -> optuna.pruners.BasePruner:
    """Return the pruner of a study whose trials report after each of at most max_epochs epochs."""
    if pruner.name == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=pruner.min_epochs, max_resource=max_epochs, reduction_factor=pruner.reduction_factor
        )
    if pruner.name == "successive_halving":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=pruner.min_epochs, reduction_factor=pruner.reduction_factor
        )
    if pruner.name == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=pruner.min_epochs)
    return optuna.pruners.NopPruner()


class _Grid(optuna.samplers.GridSampler):
    """A grid that leaves the end of the study to whoever drives it: Optuna's own raises outside `Study.optimize`."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See BaseSampler."""


class SeededSampler(BaseSampler):
    """A sampler whose random numbers follow from the study's seed and the trial's number.

    Optuna's samplers draw from one stream per process. With several workers that makes a study depend on who asks
    first, or, with one seed for all, makes every worker suggest the same. Here a trial's suggestion depends on its
    number and on the finished trials alone.
    """

    def __init__(self, name: str, seed: int, known: Sequence[FrozenTrial] = ()) -> None:
        self._name = name
        self._seed = seed
        self._known = known
        self._current: tuple[int, BaseSampler] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        return self._of(trial).infer_relative_search_space(self._informed(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._of(trial).sample_relative(self._informed(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        return self._of(trial).sample_independent(self._informed(study), trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See BaseSampler."""
        self._of(trial).after_trial(study, trial, state, values)

    def _informed(self, study: Study) -> Study:
        return _Informed(study, self._known) if self._known else study  # type: ignore[return-value]

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            seed = seed_of(self._seed, trial.number)
            kind = optuna.samplers.TPESampler if self._name == "tpe" else optuna.samplers.RandomSampler
            self._current = trial.number, kind(seed=seed)
        return self._current[1]


class _Informed:
    """A study whose trials begin with those of others, for a sampler to read; whoever counts sees its own alone."""

    def __init__(self, study: Study, known: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._known = known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        known = [trial for trial in self._known if states is None or trial.state in states]
        return known + self._study._get_trials(deepcopy, states, use_cache)
