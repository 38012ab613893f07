"""The pruner that a study file names: one of `PRUNERS` in `studies/registry.py`, or a user's own by its dotted path.

A pruner is a class of Optuna's kind, or a function of the pruner's part of the study file and max_epochs that returns
such a pruner. `options` in the study file sets what else they take by name. Trials report after each epoch, counted
from 1; a pruner is asked before the first report, too, where `trial.last_step` is None.
"""

from __future__ import annotations

from optuna.pruners import BasePruner, MedianPruner, NopPruner

from studies.registry import PRUNERS
from studies.search.asha import Asha
from studies.search.made import maker
from studies.search.rungs import Hyperband, SuccessiveHalving
from studies.spec import Pruner, StudySpec
from studies.spec.values import SpaceError


def make_pruner(spec: StudySpec) -> BasePruner:
    """Return the pruner of a study. Raises SpaceError for a name or an option that there is not."""
    make = maker(PRUNERS, spec.pruner, BasePruner, (), spec.pruner, spec.max_epochs)  # type: ignore[type-abstract]
    pruner = make()
    if spec.has_several and not isinstance(pruner, (Asha, NopPruner)):
        reason = f"pruner {spec.pruner.name!r} compares trials by one metric, and this study has {len(spec.metrics)}"
        raise SpaceError(f"{reason}; expected asha or none", "pruner", "name")
    return pruner


def asha(settings: Pruner, max_epochs: int) -> BasePruner:
    """Successive halving that pauses a trial, and resumes it once it is among the best 1 / reduction_factor."""
    return Asha(settings.min_epochs, max_epochs, settings.reduction_factor)


def hyperband(settings: Pruner, max_epochs: int) -> BasePruner:
    """Several brackets of successive halving, which begin to prune at later and later epochs."""
    return Hyperband(
        min_resource=settings.min_epochs, max_resource=max_epochs, reduction_factor=settings.reduction_factor
    )


def successive_halving(settings: Pruner, max_epochs: int) -> BasePruner:
    """At each rung, the best 1 / reduction_factor of the trials go on."""
    return SuccessiveHalving(min_resource=settings.min_epochs, reduction_factor=settings.reduction_factor)


def median(settings: Pruner, max_epochs: int) -> BasePruner:
    """A trial ends when it is worse than the median of the others at the same epoch."""
    return MedianPruner(n_warmup_steps=settings.min_epochs)


def none(settings: Pruner, max_epochs: int) -> BasePruner:
    """Every trial goes on to max_epochs."""
    return NopPruner()
