"""Samplers as the service drives them: asked and told, never by `Study.optimize`."""

from __future__ import annotations

import math
import statistics

import optuna
from optuna.trial import TrialState

from studies.search.sampling import OUT_OF_MEMORY, make_pruner, make_sampler
from studies.spec import StudySpec
from studies.spec.space import Space


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
        {"name": "oom", "objective": "a.b", "direction": "maximize", "n_trials": 50, "sampler": {"seed": seed}}
    )
    space = Space.declared({})
    pruner = make_pruner(spec.pruner, 9)  # Hyperband, which shows the sampler a study of its own making
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
