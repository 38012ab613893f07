"""Settings that train alike: how far that goes, and that suggestions keep away from what they would repeat."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from studies.search.alike import apart, reach
from studies.search.asha import settings_of
from studies.search.cube import Cube
from studies.search.samplers import make_sampler
from studies.spec.space import Space

from ..reports import make_spec

X = FloatDistribution(0.0, 100.0)
CUBE = Cube({"x": X})


def rounded(x: float) -> list[float]:
    """Return three epochs of an objective that rounds its parameter to tens: 70 is the best."""
    return [-abs(round(x, -1) - 70) - 1 / epoch for epoch in (1, 2, 3)]


def study_of(xs: Sequence[float], curve: Callable[[float], list[float]]) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    for x in xs:
        reports = dict(enumerate(curve(x), start=1))
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.PRUNED, params={"x": x}, distributions={"x": X}, intermediate_values=reports
            )
        )
    return study


def found(study: optuna.Study) -> float:
    return reach(settings_of(study.trials), CUBE)


def test_it_reaches_as_far_as_settings_report_the_same() -> None:
    study = study_of([66.0, 68.0, 74.0, 30.0, 90.0], rounded)
    assert found(study) == pytest.approx(0.052, abs=0.001)  # of .02, .02 and .06: nine in ten are nearer


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(lambda x: [x / epoch for epoch in (1, 2, 3)], id="all different"),
        pytest.param(lambda x: rounded(x)[1:], id="two epochs, that are equal by chance"),
        pytest.param(lambda x: [0.5, 0.5, 0.5], id="not begun to learn"),
        pytest.param(lambda x: [0.5, 0.6, math.inf], id="diverged"),
        pytest.param(lambda x: rounded(x) if x < 70 else [x, x, x + 1], id="few of them"),
        pytest.param(lambda x: [], id="no epochs"),
    ],
)
def test_it_is_0_where_settings_are_different_or_say_nothing(curve: Callable[[float], list[float]]) -> None:
    assert found(study_of([66.0, 68.0, *range(71, 79)], curve)) == 0.0


def test_what_is_beyond_reach_comes_first_and_the_order_is_kept() -> None:
    study = study_of([66.0, 74.0], rounded)
    points = np.array([[0.67], [0.30], [0.71], [0.90]])
    first = apart(points, CUBE, settings_of(study.trials), study.trials)[:, 0]
    assert first.tolist() == [0.30, 0.90, 0.71, 0.67]


def test_the_default_sampler_goes_on_to_settings_that_train_otherwise() -> None:
    spec = make_spec(max_epochs=9)
    declared = Space.declared({"x": {"low": 0.0, "high": 100.0}})
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, declared))
    tens = set()
    for _ in range(24):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 100.0)
        tens.add(round(x, -1))
        for epoch, value in enumerate(rounded(x), start=1):
            trial.report(value, epoch)
        study.tell(trial, state=TrialState.PRUNED)
    assert len(tens) == 11
