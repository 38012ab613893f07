"""Samplers and pruners by their names in a study file.

What ran out of memory teaches, too. Optuna's TPE learns from trials that are complete or pruned, and a trial that ran
out of memory has failed, so left to itself it suggests such settings again and again. Here such a trial carries a
violated constraint (OUT_OF_MEMORY), as every Optuna program can read, and TPE is shown it as one it does learn from:
worse than any feasible trial. In the storage it stays failed, and counts as what it is.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

from studies.search.pruning import Hyperband, SuccessiveHalving
from studies.spec import Pruner, StudySpec
from studies.spec.space import Choice, Range, Space, encoded

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from optuna import Study

OUT_OF_MEMORY = "out_of_memory"  # the name of the constraint that such a trial violates
OUT_OF_MEMORY_KEY = f"{_CONSTRAINTS_KEY}:{OUT_OF_MEMORY}"  # the system attribute that Optuna keeps it in


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
        return Hyperband(
            min_resource=pruner.min_epochs, max_resource=max_epochs, reduction_factor=pruner.reduction_factor
        )
    if pruner.name == "successive_halving":
        return SuccessiveHalving(min_resource=pruner.min_epochs, reduction_factor=pruner.reduction_factor)
    if pruner.name == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=pruner.min_epochs)
    return optuna.pruners.NopPruner()


class _Grid(optuna.samplers.GridSampler):
    """A grid that leaves the end of the study to whoever drives it: Optuna's own raises outside `Study.optimize`."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See BaseSampler."""


class _Reading:
    """A study as a sampler reads it for one trial; whoever counts sees the study itself.

    Its trials are read once, when they are first asked for: TPE asks two times and more for each trial. They begin with
    those that are known of other studies.
    """

    def __init__(self, study: Study, known: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._known = known
        self._trials: list[FrozenTrial] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        if self._trials is None:
            own = self._study._storage.get_all_trials(self._study._study_id, deepcopy=False)
            self._trials = [*self._known, *own]
        found = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    get_trials = _get_trials


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
        self._reading: tuple[int, _Reading] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        return self._of(trial).infer_relative_search_space(self._seen(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._of(trial).sample_relative(_shown(self._seen(study, trial)), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        seen = _shown(self._seen(study, trial))
        return self._of(trial).sample_independent(seen, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See BaseSampler."""
        self._of(trial).after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            seed = seed_of(self._seed, trial.number)
            kind = optuna.samplers.TPESampler if self._name == "tpe" else optuna.samplers.RandomSampler
            sampler = kind(seed=seed)
            if self._current is not None and isinstance(sampler, optuna.samplers.TPESampler):
                # What all finished trials have in common: looking at them all again is half of TPE's time.
                sampler._search_space = self._current[1]._search_space  # type: ignore[attr-defined]
            self._current = trial.number, sampler
        return self._current[1]

    def _seen(self, study: Study, trial: FrozenTrial) -> Study:
        if self._reading is None or self._reading[0] != trial.number:
            self._reading = trial.number, _Reading(study, self._known)
        return cast("Study", self._reading[1])


def _shown(study: Study) -> Study:
    """Return the study as a sampler is to see it. Not for its search space: a failed trial may lack parameters."""
    return cast("Study", _WithOutOfMemory(study))


class _WithOutOfMemory:
    """A study whose trials that ran out of memory look pruned."""

    def __init__(self, study: Study) -> None:
        self._shown = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._shown._get_trials(deepcopy=deepcopy, states=states, use_cache=use_cache)
        if states is None or TrialState.PRUNED not in states:
            return trials
        failed = self._shown._get_trials(deepcopy=False, states=(TrialState.FAIL,), use_cache=True)
        return trials + [_as_pruned(trial) for trial in failed if trial.constraints.get(OUT_OF_MEMORY, 0.0) > 0]


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state = TrialState.PRUNED
    return shown
