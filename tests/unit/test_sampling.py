"""Samplers as the service drives them: asked and told, never by `Study.optimize`."""

from __future__ import annotations

import optuna

from studies.sampling import make_sampler
from studies.space import Space
from studies.spec import StudySpec


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
