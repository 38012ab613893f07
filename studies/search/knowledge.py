"""What the trials of one study say in the search space of another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import optuna
from optuna.trial import FrozenTrial

from studies.search.distributions import distribution_of
from studies.spec.domain import Fixed
from studies.spec.space import Space
from studies.spec.values import Value, encoded

if TYPE_CHECKING:
    from studies.record.study import TrialRecord


Trial = TypeVar("Trial", bound="TrialRecord | FrozenTrial")


def differing(ranked: Iterable[Trial]) -> Iterator[Trial]:
    """Yield those of the trials whose parameters no earlier one has."""
    seen: set[str] = set()
    for trial in ranked:
        settings = json.dumps(trial.params, sort_keys=True)
        if settings not in seen:
            seen.add(settings)
            yield trial


def fitted(space: Space, params: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return these parameters as a trial of the space: what it fixes is as it says, a missing one is its default.

    A default that the space excludes is left to the sampler. None when a value lies outside the space, for it would be
    another setting, when it breaks a condition, and when nothing is left that could be chosen.
    """
    chosen = {
        name: value
        for name, value in params.items()
        if name in space.parameters and not isinstance(space.parameters[name].domain, Fixed)
    }
    if any(value not in space.parameters[name].domain for name, value in chosen.items()):
        return None
    values = space.completed(chosen)
    return values if chosen.keys() & values.keys() and not space.broken(values) else None


def queued(space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return parameters as Optuna's `enqueue_trial` takes them; what the space fixes is not Optuna's to know."""
    free = {name for name, parameter in space.parameters.items() if not isinstance(parameter.domain, Fixed)}
    return {name: encoded(value) for name, value in values.items() if name in free or not space.parameters}


def observation(space: Space, params: Mapping[str, Value], values: Sequence[float]) -> FrozenTrial | None:
    """Return another study's trial as one that the space's sampler can learn from.

    None unless it is one that this space could have had: the same parameters, each inside its domain, those that the
    space fixes included. What a missing parameter was then, nobody knows.
    """
    try:
        setting = space.suggest(lambda name, _: params[name])
    except KeyError:
        return None
    if setting.keys() != params.keys() or any(params[name] not in space.parameters[name].domain for name in setting):
        return None
    chosen = queued(space, setting)
    distributions = {
        name: distribution_of(space.parameters[name].domain)  # type: ignore[arg-type]  # the fixed are not queued
        for name in chosen
    }
    trial = optuna.trial.create_trial(values=list(values), params=chosen, distributions=distributions)
    trial.number = -1  # before the study's own, whichever way they are sorted
    return trial


def observations(space: Space, trials: Iterable[tuple[Mapping[str, Value], Sequence[float]]]) -> list[FrozenTrial]:
    """Return those of the trials, each parameters and values, that the space's sampler can learn from."""
    found = (observation(space, params, values) for params, values in trials)
    return [trial for trial in found if trial is not None]
