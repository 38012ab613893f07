"""Several metrics in one study: how a file says so, which trials are paused, and how one of the best is chosen."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState, create_trial

from studies.errors import ChooseFromFront, WrongInput, WrongSpec
from studies.exporters import export
from studies.model.winner import Winner
from studies.names import PAUSED, RUNGS, Direction
from studies.record.choice import chosen
from studies.record.diagnose import judged
from studies.record.study import StudyRecord
from studies.report.page import render
from studies.search.asha import Asha
from studies.search.pruners import make_pruner
from studies.search.ranking import Ranked
from studies.search.samplers import make_sampler
from studies.spec import SpecFile, StudySpec
from studies.spec.file import Override
from studies.spec.space import Space
from studies.spec.values import SpaceError
from studies.storage.budget import Tally

from ..reports import make_report, make_trial

KEYS = {"name": "x", "objective": "a.b", "n_trials": 3}
METRICS = {"accuracy": "maximize", "n_parameters": "minimize"}
TWO = (Direction.MAXIMIZE, Direction.MINIMIZE)


def spec(**given: Any) -> StudySpec:
    return SpecFile("x.yaml", KEYS | given).spec()


def test_both_forms_of_one_metric_are_one_study() -> None:
    assert spec(metrics={"r2": "maximize"}) == spec(metric="r2", direction="maximize")
    assert "metrics" not in spec(metric="r2", direction="maximize").model_dump()


def test_several_are_stored_as_they_are_written() -> None:
    found = spec(metrics=METRICS)
    assert (found.metric, found.direction, found.directions) == ("accuracy", "maximize", TWO)
    stored = json.loads(json.dumps(found.model_dump()))
    assert {key for key in stored if "metric" in key or key == "direction"} == {"metrics"}
    assert StudySpec.model_validate(stored) == found


def test_another_order_is_another_study_for_the_storage_has_values_without_names() -> None:
    other = spec(metrics=dict(reversed(METRICS.items())))
    assert json.dumps(spec(metrics=METRICS).identity()) != json.dumps(other.identity())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metrics": METRICS, "metric": "accuracy"}, "it stands in place of `metric` and `direction`; remove `metric`"),
        ({"metrics": METRICS, "direction": "maximize", "metric": "r2"}, "remove `metric` and `direction`"),
        ({"metrics": {"a": "up", "b": "minimize"}}, "a is 'up': it should be 'maximize' or 'minimize'"),
        ({"metrics": ["a"]}, r"expected such as {accuracy: maximize, n_parameters: minimize}"),
        ({"metrics": {}}, r"expected such as {accuracy: maximize, n_parameters: minimize}"),
        ({}, "the key 'direction' is missing"),
    ],
)
def test_what_is_neither_form_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongSpec) as raised:
        spec(**given)
    assert said in str(raised.value)


def test_set_may_ask_for_several_in_place_of_the_one_in_a_file() -> None:
    file = SpecFile("x.yaml", KEYS | {"metric": "accuracy", "direction": "maximize"})
    override = Override.parsed("metrics={accuracy: maximize, n_parameters: minimize}")
    assert file.spec([override]).metrics == METRICS


@pytest.mark.parametrize("pruner", ["median", "hyperband", "successive_halving"])
def test_pruners_for_one_metric_are_refused(pruner: str) -> None:
    with pytest.raises(SpaceError, match=f"pruner '{pruner}' compares trials by one metric.*expected asha or none"):
        make_pruner(spec(metrics=METRICS, pruner={"name": pruner}))


def test_a_sampler_for_one_metric_is_refused_and_others_draw() -> None:
    space = Space.declared({"x": {"low": 0.0, "high": 1.0}})
    with pytest.raises(SpaceError, match="sampler 'cmaes' is for one metric"):
        make_sampler(spec(metrics=METRICS, sampler={"name": "cmaes"}), space)
    for name in ("tpe", "nsga2", "random", "qmc"):
        make_sampler(spec(metrics=METRICS, sampler={"name": name}), space)


def at_rung(accuracy: float, n_parameters: float, **given: Any) -> FrozenTrial:
    """Return a trial that is paused after its first epoch."""
    attributes = {RUNGS: {"1": [accuracy, n_parameters]}, PAUSED: True}
    return create_trial(
        state=TrialState.PRUNED, intermediate_values={1: math.nan}, user_attrs=attributes | given.pop("user_attrs", {})
    )


def study_of(trials: list[FrozenTrial]) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials(trials)
    return study


def test_what_is_on_the_front_at_a_rung_is_resumed_first_and_what_it_beats_is_not() -> None:
    beaten = [at_rung(0.5, 200.0 + n) for n in range(4)]
    study = study_of([*beaten, at_rung(0.9, 1000.0), at_rung(0.6, 100.0)])
    pruner = Asha(1, 9, 3)
    first = pruner.next(study, 100)
    assert first is not None
    assert first.number == 4, "the best in the first metric comes first"
    assert pruner.may_resume(study.trials, TWO, 6) == {4, 5, 0}  # when all have begun, N_FINISHED go on


def test_a_sampler_sees_places_in_place_of_values() -> None:
    study = study_of([at_rung(0.5, 200.0), at_rung(0.9, 1000.0), at_rung(0.6, 100.0)])
    ranked = Ranked(study, spec(metrics=METRICS, max_epochs=6), is_random=False)
    shown = {trial.number: trial.values for trial in ranked._get_trials()}
    assert shown == {1: [0.0], 2: [1.0], 0: [2.0]}
    assert ranked.direction == optuna.study.StudyDirection.MINIMIZE


def record_of(*points: tuple[float, float]) -> StudyRecord:
    trials = [
        make_trial(number, [first], value=first, others=(second,), params={"learning_rate": 1e-3 * (number + 1)})
        for number, (first, second) in enumerate(points)
    ]
    return judged(replace(make_report([]), trials=trials, spec=spec(metrics=METRICS, name="made-up", max_epochs=6)))


RECORD = record_of((0.90, 500.0), (0.95, 900.0), (0.70, 100.0), (0.80, 600.0))


def test_there_is_no_best_but_a_front_unless_it_has_one_trial() -> None:
    assert [trial.number for trial in RECORD.front] == [1, 0, 2]
    assert RECORD.best is None
    alone = record_of((0.9, 100.0), (0.8, 200.0))
    assert alone.best is not None
    assert alone.best.number == 0


def test_of_equal_points_the_front_has_the_first() -> None:
    twice = record_of((0.9, 500.0), (0.9, 500.0), (0.7, 100.0), (0.9, 600.0))
    assert [trial.number for trial in twice.front] == [0, 2]
    same = record_of((0.9, 500.0), (0.9, 500.0))
    assert same.best is not None
    assert (same.best.number, chosen(same, pick="accuracy >= .9").chosen) == (0, 0)


@pytest.mark.parametrize(
    ("pick", "number"),
    [
        ("accuracy >= .9", 0),  # of both, the smaller
        ("accuracy < .95", 2),
        ("n_parameters <= 600", 0),  # of both, the more accurate
        ("accuracy > .6 and n_parameters < 1000", 1),  # it names all: the best in the first
    ],
)
def test_a_condition_picks_the_best_in_the_metric_that_it_does_not_name(pick: str, number: int) -> None:
    best = chosen(RECORD, pick=pick).best
    assert best is not None
    assert best.number == number


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pick": "accuracy > 2"}, "satisfies --pick 'accuracy > 2'; its front is trial 1 (accuracy 0.9500, "),
        ({"pick": "acuracy > .5"}, "has the unknown metric 'acuracy'; did you mean accuracy?"),
        ({"pick": "1 > 0"}, "names no metric"),
        ({"pick": "1 / (accuracy - .9) > 1"}, "cannot be computed for accuracy = 0.9 (float division by zero)"),
        ({"pick": "accuracy > 'high'"}, "cannot be computed for accuracy = 0.95 ("),
        ({"pick": "accuracy ** 9 ** 99 > 1"}, "it comes to something too large"),
        ({"pick": "accuracy = .9"}, "for = write =="),
        ({"pick": "accuracy >"}, "is no condition"),
        ({"trial": 9}, "--trial 9: the study has 4 trials, numbered from 0"),
        ({"trial": 1, "pick": "accuracy > .5"}, "expected one of them"),
    ],
)
def test_what_cannot_be_chosen_is_said(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongInput) as raised:
        chosen(RECORD, **asked)
    assert said in str(raised.value)


def test_without_a_choice_the_points_are_named_and_what_to_type() -> None:
    with pytest.raises(ChooseFromFront) as raised:
        export(RECORD, "yaml")
    assert "trial 1 (accuracy 0.9500, n_parameters 900.0), 0 (" in str(raised.value)
    assert "--pick 'accuracy >= 0.9' or --trial 0" in str(raised.value)


def test_a_choice_is_exported_and_read_back() -> None:
    content = yaml.safe_load(str(export(chosen(RECORD, trial=3), "yaml")))
    assert content["metrics"] == METRICS
    assert content["values"] == {"accuracy": 0.8, "n_parameters": 600.0}
    winner = Winner.model_validate(content)
    assert (winner.metric, winner.value, winner.spec("none").metrics) == ("accuracy", 0.8, METRICS)


def test_all_trials_are_exported_with_each_value_and_the_front() -> None:
    rows = list(csv.DictReader(io.StringIO(str(export(RECORD, "csv")))))
    assert [row["values_n_parameters"] for row in rows] == ["500", "900", "100", "600"]
    assert [row["front"] for row in rows] == ["True", "True", "True", "False"]
    content = json.loads(export(RECORD, "json"))
    assert (content["best"], content["front"]) == (None, [1, 0, 2])
    assert content["trials"][0]["values"] == {"accuracy": 0.9, "n_parameters": 500.0}


def test_the_report_answers_with_the_front() -> None:
    page = render(RECORD, "md")
    assert "3 of 4 completed trials are on the Pareto front" in page.replace("\\", "")
    assert "| 1 | 0.9500 | 900.0 |" in page
    assert '"on the front"' in render(RECORD, "html")


def test_patience_counts_trials_since_the_front_last_changed() -> None:
    ended = [
        [0, "COMPLETE", 1.0, [-0.9, 500.0]],
        [1, "COMPLETE", 1.0, [-0.7, 100.0]],  # on the front beside it
        [2, "COMPLETE", 1.0, [-0.8, 600.0]],  # beaten
        [3, "COMPLETE", 1.0, [-0.9, 500.0]],  # the same again
        [4, "COMPLETE", 1.0, [None, 1.0]],  # an infinite value, which PostgreSQL keeps as null
    ]
    row = [10, None, -1, 4, [], 0, 0.0, None, None, ended, None, None]
    assert Tally().budget([row]).since_best == 3
