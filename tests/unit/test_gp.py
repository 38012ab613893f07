"""The default sampler: what it observes of a study, and what it suggests from that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy.optimize import check_grad

from studies.names import CONTINUES, REASON, Reason
from studies.search.asha import directions_of, rungs_of
from studies.search.cube import Cube
from studies.search.knowledge import observations as known_of
from studies.search.observed import Observation, Observed, weighed
from studies.search.process import Process
from studies.search.samplers import make_sampler
from studies.spec.space import Space

from ..reports import make_spec
from .test_ranking import trial_with

SPEC = make_spec(max_epochs=9)  # rungs after 1 and 3 epochs, of which the second says something
RUNGS = [3, 9]
X = {"x": {"low": 0.0, "high": 100.0, "default": 5.0}}
SPACE = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "dropout": FloatDistribution(0.0, 0.8, step=0.2),
    "width": IntDistribution(16, 1024, log=True),
    "layers": IntDistribution(1, 9, step=2),
    "fixed": FloatDistribution(2.0, 2.0),
    "optimizer": CategoricalDistribution(["adam", "sgd", "rmsprop"]),
}


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def observations(study: optuna.Study, *weights: float) -> list[Observation]:
    trials = study.get_trials()
    return Observed(trials, directions_of(study), RUNGS[-1], weights or (1.0,)).at_each(RUNGS)


def observed(study: optuna.Study) -> dict[float, list[float]]:
    """Return the scores at each share of max_epochs, the best first."""
    found: dict[float, list[float]] = {}
    for each in observations(study):
        found.setdefault(round(each.share, 3), []).append(round(each.score, 3))
    return {share: sorted(scores, reverse=True) for share, scores in found.items()}


def test_points_are_in_the_cube_and_their_settings_in_the_space() -> None:
    cube, rng = Cube(SPACE), np.random.default_rng(0)
    points = cube.at_random(rng, 200)
    points = np.concatenate([points, cube.near(rng, points[0], 200)])
    assert points.min() >= 0
    assert points.max() <= 1
    for point in points:
        params = cube.params(point)
        assert all(SPACE[name]._contains(SPACE[name].to_internal_repr(value)) for name, value in params.items())
        assert isinstance(params["width"], int)
        assert isinstance(params["rate"], float)
        assert cube.params(cube.points([params])[0]) == params
    assert {cube.params(point)["layers"] for point in points} == {1, 3, 5, 7, 9}
    assert {round(cube.params(point)["dropout"], 6) for point in points} == {0.0, 0.2, 0.4, 0.6, 0.8}


def test_choices_are_equally_far_apart_and_what_is_missing_is_in_the_middle() -> None:
    cube = Cube({"optimizer": SPACE["optimizer"], "momentum": FloatDistribution(0.0, 0.9)})
    points = cube.points([{"optimizer": name} for name in ("adam", "sgd", "rmsprop")])
    features = cube.features(points)
    distances = [float(np.linalg.norm(features[i] - features[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert distances == pytest.approx([1.0, 1.0, 1.0])
    assert set(points[:, 1]) == {0.5}
    assert cube.points([{"momentum": 0.9}, {}, {"optimizer": "of another study"}])[:, 1].tolist() == [1.0, 0.5, 0.5]
    assert cube.points([]).shape == (0, 2)


def test_a_process_climbs_along_its_gradient_and_finds_out_what_matters() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((60, 3))
    process = Process(inputs, np.sin(6 * inputs[:, 0]) + inputs[:, 1], last_length=0.6)
    squares = np.square(inputs.T[:, :, None] - inputs.T[:, None, :]).reshape(3, -1)
    given = squares, np.log([0.6, 0.6, 0.6, 0.05]), np.array([0.8, 0.8, 0.8, 1.0])
    error = check_grad(
        lambda at: process._unlikelihood(at, *given)[0],
        lambda at: process._unlikelihood(at, *given)[1],
        np.log([0.4, 0.9, 2.0, 0.02]),
    )
    assert error < 1e-3
    new = rng.random((200, 3))
    assert np.abs(process.expected(new) - np.sin(6 * new[:, 0]) - new[:, 1]).mean() < 0.05
    assert process._lengths[2] > 3 * process._lengths[0]
    near, far = process.uncertainty(np.array([inputs[0], [5.0, 5.0, 5.0]]))
    assert near < far / 5


def test_settings_are_observed_at_each_rung_by_their_ranks(study: optuna.Study) -> None:
    trial_with(study, [0.9], TrialState.PRUNED)  # after one epoch of nine: it says nothing
    for value in (0.1, 0.4, 1e9):
        trial_with(study, [0.0, 0.0, value], TrialState.PRUNED)
    trial_with(study, [0.0, 0.0, 0.2] + [0.3] * 6, TrialState.COMPLETE)
    trial_with(study, [0.8], TrialState.RUNNING)
    assert observed(study) == {0.5: [1.15, 0.319, -0.319, -1.15], 1.0: [0.0]}


def test_equal_values_have_equal_scores_and_a_continued_trial_is_observed_once(study: optuna.Study) -> None:
    paused = trial_with(study, [0.0, 0.0, 0.3], TrialState.PRUNED)
    trial_with(study, [0.0, 0.0, 0.3] + [0.4] * 6, TrialState.COMPLETE, **{CONTINUES: paused})
    trial_with(study, [0.0, 0.0, 0.3], TrialState.PRUNED)
    assert observed(study) == {0.5: [0.0, 0.0], 1.0: [0.0]}


def test_what_diverged_is_as_bad_as_the_worst_and_what_was_stopped_says_nothing() -> None:
    study = optuna.create_study(direction="minimize")
    for reason in (Reason.NAN, Reason.STOPPED, None):
        trial = study.ask({"x": FloatDistribution(0.0, 9.0)})
        if reason is None:
            trial.report(1e12, 3)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr(REASON, reason)
            study.tell(trial, state=TrialState.FAIL)
    found = observations(study)
    assert [each.params for each in found] == [study.trials[2].params, study.trials[0].params]
    assert found[0].score > found[1].score


def near_70(study: optuna.Study, n: int, first: int = 0) -> int:
    """Ask for n trials, the best of which has x = 70; return how many from the first on are near that."""
    near = 0
    for number in range(n):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 100.0)
        near += number >= first and abs(x - 70) < 10
        for epoch in (1, 2, 3):
            trial.report(-abs(x - 70.0), epoch)
        study.tell(trial, state=TrialState.PRUNED)
    return near


def test_one_trial_in_three_is_random_and_the_others_find_the_best() -> None:
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, Space.declared(X)))
    assert 13 <= near_70(study, 40, first=20) <= 17  # of 20: two in three, and of the random ones one in five
    assert min(abs(trial.params["x"] - 70) for trial in study.trials) < 0.5


def test_it_finds_the_best_of_a_plain_function_whose_parameters_nobody_declares() -> None:
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, Space.declared({})))
    assert near_70(study, 30, first=15) >= 8


def test_it_learns_from_what_is_known_of_other_studies() -> None:
    space = Space.declared(X)
    known = known_of(space, [({"x": 10 * n / 3}, [-abs(10 * n / 3 - 70.0)]) for n in range(30)])
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, space, known))
    first = [study.ask().suggest_float("x", 0.0, 100.0) for _ in range(8)]
    assert sum(abs(x - 70) < 15 for x in first) >= 4, first


def test_no_setting_is_tried_twice_before_all_are() -> None:
    """But for the random ones, which may be."""
    declared = {"a": {"choices": [1, 2, 3], "default": 1}, "b": {"low": 1, "high": 4, "default": 1}}
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, Space.declared(declared)))
    seen = set()
    for _ in range(16):
        trial = study.ask()
        a, b = trial.suggest_categorical("a", [1, 2, 3]), trial.suggest_int("b", 1, 4)
        seen.add((a, b))
        trial.report(float(a * b), 3)
        study.tell(trial, state=TrialState.PRUNED)
    assert len(seen) >= 10


def test_conditions_between_parameters_are_kept_by_what_it_suggests() -> None:
    declared: dict[str, Any] = {"x": X["x"], "y": X["x"]}
    spec = make_spec(max_epochs=9, require=["x + y <= 20"])
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, spec.resolve(declared)))
    best = 0.0
    for _ in range(20):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0.0, 100.0), trial.suggest_float("y", 0.0, 100.0)
        assert x + y <= 20
        best = max(best, x + 2 * y)
        trial.report(x + 2 * y, 3)
        study.tell(trial, state=TrialState.PRUNED)
    assert best > 37  # of 40, which is at the very edge


def test_many_rungs_leave_something_to_suggest() -> None:
    spec = make_spec(max_epochs=300, pruner={"name": "asha", "reduction_factor": 2})
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, Space.declared(X)))
    suggested = []
    for _ in range(30):
        trial = study.ask()
        suggested.append(x := trial.suggest_float("x", 0.0, 100.0))
        for rung in rungs_of(spec)[:6]:  # those that nothing is learned from but what to leave out
            trial.report(-abs(x - 70), rung)
        study.tell(trial, state=TrialState.PRUNED)
    assert len(rungs_of(spec)) == 8
    assert sum(abs(x - 70) < 20 for x in suggested[15:]) >= 10


def test_several_metrics_count_by_their_ranks_as_they_are_weighed() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for x, values in enumerate(([0.1, 900.0], [0.9, 100.0], [0.5, 500.0], [0.8, 1000.0])):
        given = {"params": {"x": x}, "distributions": {"x": IntDistribution(0, 3)}}
        study.add_trial(optuna.trial.create_trial(values=values, **given))

    def ranked(*weights: float) -> list[int]:
        best_first = sorted(observations(study, *weights), key=lambda each: -each.score)
        return [each.params["x"] for each in best_first if each.share == 1.0]

    assert ranked(0.99, 0.01) == [1, 3, 2, 0]
    assert ranked(0.01, 0.99) == [1, 2, 0, 3]


def test_no_metric_is_weighed_by_its_scale_and_one_that_is_infinite_is_the_worst() -> None:
    assert weighed([(1.0, 1e9), (2.0, -math.inf), (math.inf, 0.0)], [0.5, 0.5]) == [1, 0, 2]
    assert weighed([(3.0,), (1.0,), (3.0,), (2.0,)], [1.0]) == [1, 3, 0, 2]
    assert weighed([], [0.5, 0.5]) == []


def test_rungs_screen_what_is_suggested() -> None:
    """In nine epochs the first rung is early. Half of the space is hopeless there, and is seldom tried again."""
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, Space.declared(X)))
    suggested = []
    for _ in range(40):
        trial = study.ask()
        suggested.append(x := trial.suggest_float("x", 0.0, 100.0))
        trial.report(float(x > 50) + x / 1000, 1)  # nobody comes to the rung that is learned from
        study.tell(trial, state=TrialState.PRUNED)
    assert sum(x > 50 for x in suggested[20:]) >= 15


def test_workers_that_ask_at_a_time_get_different_settings() -> None:
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, Space.declared(X)))
    near_70(study, 12)
    at_once = [study.ask().suggest_float("x", 0.0, 100.0) for _ in range(6)]
    assert len({round(x, 1) for x in at_once}) == 6
