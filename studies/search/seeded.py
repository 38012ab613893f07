"""A sampler whose random numbers follow from the study's seed and the trial's number, not from who asks or when."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any, cast

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from studies.search.out_of_memory import shown_to_sampler
from studies.search.ranking import RANDOM_SHARE, Ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from optuna import Study

    from studies.spec import StudySpec


SHOWN_RANKED = (TPESampler, CmaEsSampler)  # they would learn from complete trials alone, or rank pruned ones wrongly


def seed_of(seed: int, number: int | str) -> int:
    """Return the seed of a study's trial: 32 bits that look unrelated from one trial to the next.

    number: the trial's, or a text, for a seed that is not of this row.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "little")


class _Reading:
    """A study as a sampler reads it for one trial; code that counts trials sees the study itself.

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

    def __init__(
        self,
        make: Callable[..., BaseSampler],
        seed: int,
        known: Sequence[FrozenTrial] = (),
        spec: StudySpec | None = None,
    ) -> None:
        """make: a class or a function that takes `seed`. known: finished trials of other studies, as its first ones.

        spec: of a study whose trials some are shown ranked (`studies.search.ranking`); None: as they are.
        """
        self._make = make
        self._seed = seed
        self._spec = spec
        self._known = known
        self._current: tuple[int, BaseSampler] | None = None
        self._reading: tuple[int, Study, Study] | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See BaseSampler."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See BaseSampler."""
        return self._space_of(self._of(trial), study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See BaseSampler."""
        return self._of(trial).sample_relative(self._shown(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See BaseSampler."""
        shown = self._shown(study, trial)
        return self._of(trial).sample_independent(shown, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """See BaseSampler."""
        self._of(trial).after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            sampler = self._make(seed=seed_of(self._seed, trial.number))
            before = None if self._current is None else self._current[1]
            if isinstance(sampler, TPESampler) and isinstance(before, TPESampler):
                # What all finished trials have in common: looking at them all again is half of TPE's time.
                sampler._search_space = before._search_space
            self._current = trial.number, sampler
        return self._current[1]

    def _space_of(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return what a sampler draws together: CMA-ES what those have that it is shown, others what all have."""
        seen, shown = self._read(study, trial)
        return sampler.infer_relative_search_space(shown if isinstance(sampler, CmaEsSampler) else seen, trial)

    def _seen(self, study: Study, trial: FrozenTrial) -> Study:
        return self._read(study, trial)[0]

    def _shown(self, study: Study, trial: FrozenTrial) -> Study:
        return self._read(study, trial)[1]

    def _read(self, study: Study, trial: FrozenTrial) -> tuple[Study, Study]:
        """Return the study as it is read for this trial, and as its sampler is shown it."""
        if self._reading is None or self._reading[0] != trial.number:
            seen = cast("Study", _Reading(study, self._known))
            shown = shown_to_sampler(seen)
            if self._spec is not None and isinstance(self._of(trial), SHOWN_RANKED):
                is_random = seed_of(self._seed, f"random {trial.number}") % RANDOM_SHARE == 0
                shown = cast("Study", Ranked(seen, self._spec, is_random))
            self._reading = trial.number, seen, shown
        return self._reading[1:]
