"""The sampler that a study file names: one of `SAMPLERS` in `studies/registry.py`, or a user's own by its dotted path.

A sampler is a class of Optuna's kind that takes `seed`, or a function of the sampler's part of the study file, the
space and `seed` that returns such a sampler. `options` in the study file sets what else they take by name. It is made
anew for each trial, with that trial's seed (`studies.search.seeded`).
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from studies.registry import SAMPLERS
from studies.search.made import maker
from studies.search.seeded import SeededSampler
from studies.spec import StudySpec
from studies.spec.model import Sampler
from studies.spec.space import Choice, Range, Space, SpaceError, encoded


def make_sampler(spec: StudySpec, space: Space, known: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """Return the sampler of a study. known: finished trials of other studies, as if they were its own first ones.

    Raises SpaceError for a name or an option that there is not, and for a space that is not for this sampler.
    """
    make = maker(SAMPLERS, spec.sampler, BaseSampler, ("seed",), spec.sampler, space)  # type: ignore[type-abstract]
    make(seed=spec.sampler.seed)  # what is wrong with it is said now, and not in the first trial
    return SeededSampler(make, spec.sampler.seed, known)


def grid(settings: Sampler, space: Space, seed: int) -> BaseSampler:
    """Try every combination of the choices once. Its order is the study's, not a trial's: it follows from its seed."""
    choices = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter.domain, Range) and space.possible(parameter):
            reason = f"the grid sampler needs choices, and {name} is a range ({parameter.domain})"
            raise SpaceError(reason, "space", name)
        if isinstance(parameter.domain, Choice) and space.possible(parameter):
            choices[name] = [encoded(choice) for choice in parameter.domain.choices]
    return _Grid(choices, seed=settings.seed)


class _Grid(optuna.samplers.GridSampler):
    """A grid that leaves the end of the study to its caller: Optuna's own raises outside `Study.optimize`."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """See BaseSampler."""
