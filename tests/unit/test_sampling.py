"""Samplers as the service drives them: asked and told, never by `Study.optimize`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from studies.search.out_of_memory import OUT_OF_MEMORY
from studies.search.pruners import make_pruner
from studies.search.samplers import make_sampler
from studies.spec import StudySpec
from studies.spec.model import Sampler
from studies.spec.space import Space
from studies.spec.values import SpaceError


def test_a_grid_is_asked_to_its_end_and_beyond() -> None:
    spec = StudySpec.model_validate(
        {"name": "grid", "objective": "a.b", "direction": "maximize", "n_trials": 3, "sampler": {"name": "grid"}}
    )
    space = Space.declared({"rate": {"choices": [1, 2, 3], "default": 1}})
    study = optuna.create_study(sampler=make_sampler(spec, space), direction="maximize")
    seen = []
    for _ in range(4):
        trial = study.ask()
        seen.append(trial.suggest_categorical("rate", [1, 2, 3]))
        study.tell(trial, 0.5)
    assert sorted(seen[:3]) == [1, 2, 3]


def share_out_of_memory(seed: int, told: bool) -> float:
    """Return which part of trials 20 to 49 runs out of memory; the larger and wider the better, up to the memory."""
    spec = StudySpec.model_validate(
        {
            "name": "oom",
            "objective": "a.b",
            "direction": "maximize",
            "n_trials": 50,
            "max_epochs": 9,
            "sampler": {"name": "tpe", "seed": seed},
        }
    )
    space = Space.declared({})
    pruner = make_pruner(spec)
    study = optuna.create_study(sampler=make_sampler(spec, space), pruner=pruner, direction="maximize")
    n_out = 0
    for number in range(50):
        trial = study.ask()
        batch_size = trial.suggest_int("batch_size", 16, 4096, log=True)
        width = trial.suggest_int("width", 16, 4096, log=True)
        depth = trial.suggest_int("depth", 1, 8)
        if batch_size * width > 2**17:
            if told:
                trial.set_constraint(OUT_OF_MEMORY, 1.0)
            study.tell(trial, state=TrialState.FAIL)
            n_out += number >= 20
        else:
            study.tell(trial, math.log(batch_size * width) - 0.1 * depth)
    return n_out / 30


def test_what_ran_out_of_memory_is_suggested_markedly_less() -> None:
    """Ten studies each way, the same seeds: were there no difference, this would hold once in a thousand times."""
    pairs = [(share_out_of_memory(seed, False), share_out_of_memory(seed, True)) for seed in range(10)]
    without, told = (statistics.fmean(column) for column in zip(*pairs, strict=True))
    assert sum(now < before for before, now in pairs) == 10, pairs
    assert told < without / 2, (without, told)


def spec_with(**given: Any) -> StudySpec:
    base = {"name": "own", "objective": "a.b", "direction": "maximize", "n_trials": 9, "max_epochs": 4}
    return StudySpec.model_validate(base | given)


def counting(settings: Sampler, space: Space, seed: int, *, step: float = 0.25) -> optuna.samplers.BaseSampler:
    """A user's factory: told the settings, the space and the trial's own seed."""
    assert settings.name.endswith(":counting")
    assert "rate" in space.parameters
    return optuna.samplers.RandomSampler(seed=seed + round(step))


def no_sampler(settings: Sampler, space: Space, seed: int) -> int:
    return seed


SPACE = Space.declared({"rate": {"low": 0.0, "high": 1.0, "default": 0.5}})


def suggested(given: Mapping[str, Any], numbers: Sequence[int]) -> list[float]:
    study = optuna.create_study(sampler=make_sampler(spec_with(sampler=given), SPACE), direction="maximize")
    found = []
    for _ in numbers:
        trial = study.ask()
        found.append(trial.suggest_float("rate", 0.0, 1.0))
        study.tell(trial, found[-1])
    return found


@pytest.mark.parametrize(
    "given",
    [
        {"name": f"{__name__}:counting", "options": {"step": 1.0}},
        {"name": "optuna.samplers:NSGAIISampler", "options": {"population_size": 4}},
        {"name": "optuna.samplers:TPESampler", "options": {"multivariate": True, "n_startup_trials": 3}},
        {"name": "tpe", "options": {"n_startup_trials": 2}},
    ],
)
def test_a_sampler_by_its_path_is_seeded_for_each_trial(given: dict[str, Any]) -> None:
    first = suggested(given | {"seed": 3}, range(8))
    assert suggested(given | {"seed": 3}, range(8)) == first
    assert suggested(given | {"seed": 4}, range(8)) != first
    assert len(set(first)) == 8


def test_the_same_class_by_its_name_and_by_its_path_suggests_the_same() -> None:
    assert suggested({"name": "random"}, range(3)) == suggested({"name": "optuna.samplers:RandomSampler"}, range(3))


@pytest.mark.parametrize(
    ("part", "given", "path", "expected"),
    [
        ("sampler", {"name": "nowhere:Mine"}, ("name",), "there is no module 'nowhere'"),
        ("sampler", {"name": "math:pi"}, ("name",), "is a float; expected a class or a function"),
        ("sampler", {"name": "optuna.samplers:PartialFixedSampler"}, ("name",), "takes no 'seed'"),
        ("sampler", {"name": "builtins:dict"}, ("name",), "expected a class or a function that makes a sampler"),
        ("sampler", {"name": f"{__name__}:no_sampler"}, ("name",), "is a int, not an Optuna BaseSampler"),
        (
            "sampler",
            {"name": "tpe", "options": {"multivariat": True}},
            ("options", "multivariat"),
            "sampler 'tpe' has no option 'multivariat'; did you mean multivariate?",
        ),
        ("sampler", {"name": "tpe", "options": {"seed": 1}}, ("options", "seed"), "has no option 'seed'"),
        (
            "sampler",
            {"name": "optuna.samplers:NSGAIISampler", "options": {"population_size": 1}},
            ("options",),
            "cannot be made (ValueError: ",
        ),
        ("pruner", {"name": "optuna.pruners:PercentilePruner"}, ("name",), "needs the option 'percentile'"),
        ("pruner", {"name": "none", "options": {"x": 1}}, ("options", "x"), "pruner 'none' has no option 'x'"),
        ("pruner", {"name": f"{__name__}:counting"}, ("name",), "needs the option 'seed'"),
    ],
)
def test_what_cannot_be_made_is_pointed_at(part: str, given: Any, path: tuple[str, ...], expected: str) -> None:
    spec = spec_with(**{part: given})
    with pytest.raises(SpaceError) as caught:
        make_sampler(spec, SPACE), make_pruner(spec)
    assert expected in str(caught.value)
    assert caught.value.path == (part, *path)


def test_a_pruner_by_its_path_has_its_options() -> None:
    given = {"name": "optuna.pruners:PercentilePruner", "options": {"percentile": 10.0, "n_startup_trials": 0}}
    study = optuna.create_study(pruner=make_pruner(spec_with(pruner=given)), direction="maximize")
    pruned = []
    for value in range(10):
        trial = study.ask()
        trial.report(-value, 1)
        pruned.append(trial.should_prune())
        study.tell(trial, -value)
    assert pruned == [False] + [True] * 9
