"""What another study's trials are worth in a space, and that a sampler listens to them without counting them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from studies.search.knowledge import differing, fitted, observation, observations, queued
from studies.search.seeded import SeededSampler
from studies.spec.space import Space

from ..reports import DECLARED, make_report, make_trial

SPACE = Space.declared(DECLARED).narrowed({"learning_rate": {"low": 1e-4, "high": 1e-2}, "dropout": 0.1})
INSIDE: dict[str, Any] = {
    "learning_rate": 1e-3, "batch_size": 64, "hidden_layers": [128], "optimizer": "adam", "dropout": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, INSIDE),
        ({"dropout": 0.5}, INSIDE),  # fixed by the space
        ({"learning_rate": 0.05}, None),
        ({"batch_size": 512}, None),
        ({"optimizer": "sgd"}, INSIDE | {"optimizer": "sgd", "momentum": 0.9}),  # missing: its default
        ({"unknown": 1}, INSIDE),
    ],
)
def test_a_setting_in_another_space(given: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert fitted(SPACE, INSIDE | given) == expected


def test_a_setting_of_which_nothing_is_left() -> None:
    assert fitted(SPACE, {"dropout": 0.1}) is None
    assert fitted(SPACE, {"unknown": 0.1}) is None


@pytest.mark.parametrize(
    "given", [{"dropout": 0.5}, {"learning_rate": 0.05}, {"optimizer": "sgd"}, {"unknown": 1}, {"momentum": 0.9}]
)
def test_a_trial_that_the_space_could_not_have_had_is_no_observation(given: dict[str, Any]) -> None:
    assert observation(SPACE, INSIDE | given, [0.5]) is None


def test_an_observation_is_what_the_study_itself_would_have_stored() -> None:
    trial = observation(SPACE, INSIDE, [0.5])
    assert trial is not None
    assert trial.value == 0.5
    assert trial.params == queued(SPACE, INSIDE)
    assert trial.params["hidden_layers"] == "[128]"
    assert "dropout" not in trial.params


def test_the_best_settings_differ() -> None:
    values = [(0.1, 0.9), (0.1, 0.8), (0.2, 0.7), (0.3, 0.6)]
    trials = [make_trial(n, [value], params={"dropout": rate}) for n, (rate, value) in enumerate(values)]
    assert [trial.number for trial in differing(make_report(trials).ranked)] == [0, 2, 3]


def test_a_sampler_listens_to_what_it_is_told_and_counts_its_own_alone() -> None:
    """Of 30 told trials the best lie at x near 7: a first trial is drawn there, and not anywhere."""
    space = Space.declared({"x": {"low": 0.0, "high": 10.0, "default": 5.0}})
    known = observations(space, [({"x": n / 3}, [-abs(n / 3 - 7.0)]) for n in range(30)])
    assert len(known) == 30

    def asked(told: list[optuna.trial.FrozenTrial]) -> list[float]:
        study = optuna.create_study(direction="maximize", sampler=SeededSampler(optuna.samplers.TPESampler, 3, told))
        drawn = []
        for _ in range(8):
            trial = study.ask()
            drawn.append(trial.suggest_float("x", 0.0, 10.0))
            study.tell(trial, -abs(drawn[-1] - 7.0))
        assert [trial.number for trial in study.trials] == list(range(8))
        return drawn

    assert all(abs(x - 7) < 2 for x in asked(known))
    assert any(abs(x - 7) > 3 for x in asked([]))
    assert asked(known) == asked(known)
