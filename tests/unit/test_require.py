"""Conditions between parameters: what they may say, and that no sampler suggests what breaks one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.run.trial import _suggest
from studies.search.samplers import make_sampler
from studies.spec import StudySpec
from studies.spec.condition import Condition, ConditionError
from studies.spec.space import Space
from studies.spec.values import SpaceError

SPACE: dict[str, Any] = {
    "n_filters": {"low": 16, "high": 512, "log": True, "default": 64},
    "kernels": {"choices": [[3], [3, 4, 5]], "default": [3]},
    "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
    "momentum": {"low": 0.0, "high": 0.99, "default": 0.9, "when": {"optimizer": ["sgd"]}},
    "learning_rate": {"low": 1e-5, "high": 1.0, "log": True, "default": 1e-3},
}


def spec(require: list[str], **keys: Any) -> StudySpec:
    given = {"name": "x", "objective": "a.b", "direction": "minimize", "n_trials": 3, "require": require}
    return StudySpec.model_validate(given | keys)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("n_filters * 4 <= 1024", {"n_filters": 256}, True),
        ("n_filters * 4 <= 1024", {"n_filters": 257}, False),
        ("n_filters * len(kernels) < 300", {"n_filters": 100, "kernels": [3, 4, 5]}, False),
        ("optimizer != 'sgd' or learning_rate > 1e-3", {"optimizer": "sgd", "learning_rate": 1e-4}, False),
        ("optimizer in ['adam', 'sgd']", {"optimizer": "adam"}, True),
        ("momentum < .5", {"optimizer": "adam"}, True),  # there is no momentum to speak of
        ("16 <= n_filters <= 64", {"n_filters": 65}, False),
        ("log(learning_rate) > -3 if optimizer == 'sgd' else True", {"learning_rate": 1e-5, "optimizer": "adam"}, True),
    ],
)
def test_a_condition_says_what_it_would_in_python(text: str, values: dict[str, Any], expected: bool) -> None:
    assert Condition.read(text, SPACE).holds(values) is expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "1 / (n_filters - 64) < 3",
            r'"1 / \(n_filters - 64\) < 3" cannot be computed for n_filters = 64 \(division by zero',
        ),
        ("log(learning_rate - 1e-5) < 3", "cannot be computed for learning_rate = 1e-05"),
        ("kernels[1] < 9", r"cannot be computed for kernels = \[3\]"),
        ("optimizer == sgd", r"has the unknown parameter 'sgd'; as text it is 'sgd', in quotes$"),
    ],
)
def test_what_cannot_be_computed_for_a_default_a_choice_or_an_end_is_refused_where_it_stands(
    text: str, sentence: str
) -> None:
    with pytest.raises(SpaceError, match=sentence) as refused:
        spec([text]).resolve(SPACE)
    assert refused.value.path == ("require", 0)


def test_a_name_may_have_dots_as_those_of_a_config_file_have() -> None:
    known = {"opt.lr": None, "lr": None}
    assert Condition.read("opt.lr < lr", known).holds({"opt.lr": 0.1, "lr": 0.2})
    assert not Condition.read("opt.lr < lr", known).holds({"opt.lr": 0.2, "lr": 0.1})
    with pytest.raises(ConditionError, match=r"has the unknown parameter 'op\.lr'; did you mean opt\.lr"):
        Condition.read("op.lr < 1", known)


def test_a_condition_that_is_too_deep_is_none() -> None:
    with pytest.raises(ConditionError, match=r"is no condition \(it is too deep\)"):
        Condition.read(f"{'not ' * 2000} n_filters", SPACE)


def test_a_condition_is_computed_only_where_those_before_it_hold() -> None:
    spec(["n_filters > 16", "1 / (n_filters - 16) < 3", "len(kernels) < 2 or kernels[1] == 4"]).resolve(SPACE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("n_filter < 3", r'"n_filter < 3" has the unknown parameter \'n_filter\'; did you mean n_filters\?'),
        ("n_filters <", r'"n_filters <" is no condition \(invalid syntax'),
        ("", r'"" is no condition'),
        ("3 < 4", "names no parameter"),
        ("n_filters = 3", r'"n_filters = 3" is no condition \(.*\); for = write ==$'),
        ("n_filters <= 3 && momentum >= 1", "for && write and"),
        ("n_filters <= 3 (momentum", "expected such as"),
        ("__import__('os').system('true') or n_filters", r"calls .*; it may call abs, min, max"),
        ("n_filters.bit_length() > 3", "calls 'n_filters.bit_length'"),
        ("[1].append(2)", "calls 'a method'"),
        ("n_filters.__class__ == 3", "has the unknown parameter 'n_filters.__class__'"),
        ("kernels[0].real == 3", 'has "kernels.0..real", which is for programs'),
        ("[n for n in kernels]", 'has ".n for n in kernels.", which is for programs'),
        ("n_filters @ kernels", "is for programs"),
        (f"{'x' * 1000} < 3", f'^"{"x" * 97}[.]{{3}}" has the unknown parameter'),
        ("open('/etc/passwd') and n_filters", "calls 'open'"),
    ],
)
def test_what_is_no_condition_is_said(text: str, sentence: str) -> None:
    with pytest.raises(ConditionError, match=sentence):
        Condition.read(text, SPACE)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optimizer < 3", {"optimizer": "adam"}),
        ("1 / (n_filters - 16) < 3", {"n_filters": 16}),
        ("kernels[5] == 3", {"kernels": [3]}),
        ("n_filters ** 9999999 > 3", {"n_filters": 9}),
        ("kernels * 10 ** 9 == 3", {"kernels": [3]}),
        ("log(n_filters) > 0", {"n_filters": -1}),
    ],
)
def test_what_cannot_be_computed_is_said_with_its_values(text: str, values: dict[str, Any]) -> None:
    with pytest.raises(ConditionError, match="cannot be computed for "):
        Condition.read(text, SPACE).holds(values)


def test_the_functions_that_may_be_called_stay_as_they_are() -> None:
    """simpleeval adds functions of its own to those that it is given."""
    Condition.read("n_filters < 3", SPACE).holds({"n_filters": 3})
    with pytest.raises(ConditionError, match=r"it may call abs, min, max, len, round, log, sqrt$"):
        Condition.read("set(kernels) == 3", SPACE)


@given(st.one_of(st.text(max_size=30), st.text("n_filters<>=!()[]{}.,:+-*/%&|^~'\"3 \n", max_size=30)))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    values = {"n_filters": 64, "kernels": [3], "optimizer": "adam", "learning_rate": 0.1}
    with suppress(ConditionError):
        Condition.read(text, SPACE).holds(values)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize(
    ("require", "is_kept"),
    [
        (["n_filters * len(kernels) <= 96"], lambda params: params["n_filters"] * len(params["kernels"]) <= 96),
        (
            ["optimizer == 'adam' or momentum > .9", "learning_rate < 1e-3"],
            lambda params: params.get("momentum", 1.0) > 0.9 and params["learning_rate"] < 1e-3,
        ),
    ],
)
def test_a_setting_that_breaks_one_is_never_suggested(sampler: str, require: list[str], is_kept: Any) -> None:
    settings = tried(spec(require, sampler={"name": sampler}))
    assert all(is_kept(params) for params in settings)
    assert len({str(params) for params in settings}) == len(settings)
    assert settings == tried(spec(require, sampler={"name": sampler}))
    assert settings != tried(spec(require, sampler={"name": sampler, "seed": 1}))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("high", [140, 100_000])  # tried to its end, or not
def test_a_setting_for_which_one_cannot_be_computed_is_never_suggested(sampler: str, high: int) -> None:
    study_spec = spec(["1 / (n % 7 - 3) > -9"], sampler={"name": sampler})
    settings = tried(
        study_spec, declared={"n": {"low": 1, "high": high, "default": 1}}, score=lambda params: params["n"]
    )
    assert all(params["n"] % 7 != 3 for params in settings)


def test_without_conditions_nothing_changes() -> None:
    """The settings of a study follow from its seed as before there were conditions."""
    free = tried(spec([]))
    assert tried(spec(["learning_rate <= 1"])) == free
    assert "require" not in spec([]).model_dump()


def tried(
    study_spec: StudySpec,
    n_trials: int = 20,
    declared: dict[str, Any] = SPACE,
    score: Callable[[dict[str, Any]], float] = lambda params: params["n_filters"] * params["learning_rate"],
) -> list[dict[str, Any]]:
    """Return the settings of a study's first trials, larger nets and rates being better."""
    space = study_spec.resolve(declared)
    study = optuna.create_study(sampler=make_sampler(study_spec, space))
    settings = []
    for _ in range(n_trials):
        trial = study.ask()
        params = space.suggest(partial(_suggest, trial))
        study.tell(trial, -score(params))
        settings.append(params)
    return settings


def test_a_grid_is_what_is_left_of_it() -> None:
    space_of = {"a": {"choices": [1, 2, 3]}, "b": {"choices": [1, 2, 3]}}
    study_spec = spec(["a < b"], sampler={"name": "grid"})
    space = study_spec.resolve(space_of)
    study = optuna.create_study(sampler=make_sampler(study_spec, space))
    seen = []
    for _ in range(3):
        trial = study.ask()
        seen.append(tuple(space.suggest(partial(_suggest, trial)).values()))
        study.tell(trial, 0.0)
    assert sorted(seen) == [(1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_conditions_that_nothing_keeps_are_refused(sampler: str) -> None:
    study_spec = spec(["a > 3"], sampler={"name": sampler})
    with pytest.raises(SpaceError, match=r"none of .* keeps a > 3; expected a wider space") as caught:
        make_sampler(study_spec, study_spec.resolve({"a": {"choices": [1, 2, 3]}}))
    assert caught.value.path == ("require",)


def test_a_condition_that_cannot_be_computed_is_refused_before_a_trial() -> None:
    study_spec = spec(["n_filters > 3", "optimizer < 3"])
    with pytest.raises(SpaceError, match="cannot be computed for optimizer") as caught:
        make_sampler(study_spec, study_spec.resolve(SPACE))
    assert caught.value.path == ("require", 1)


def test_a_start_that_breaks_one_is_refused_where_it_stands() -> None:
    study_spec = spec(["n_filters < 100"], start_with=[{"n_filters": 16}, {"n_filters": 128}])
    with pytest.raises(SpaceError, match="it breaks the condition n_filters < 100") as caught:
        study_spec.resolve(SPACE)
    assert caught.value.path == ("start_with", 1)


def test_a_start_for_which_one_cannot_be_computed_is_refused_where_it_stands() -> None:
    study_spec = spec(["1 / (n_filters - 128) < 3"], start_with=[{"n_filters": 16}, {"n_filters": 128}])
    with pytest.raises(SpaceError, match="cannot be computed for n_filters = 128") as caught:
        study_spec.resolve(SPACE)
    assert caught.value.path == ("start_with", 1)


def test_a_start_with_a_value_that_it_would_not_have_is_refused_where_it_stands() -> None:
    space = {"kind": {"choices": ["sgd", "adam"]}, "momentum": {"low": 0.0, "high": 1.0, "when": {"kind": ["sgd"]}}}
    study_spec = spec([], start_with=[{"kind": "sgd", "momentum": 0.5}, {"kind": "adam", "momentum": 0.5}])
    with pytest.raises(SpaceError, match="'momentum' is given, and exists only when kind is \"sgd\"") as caught:
        study_spec.resolve(space)
    assert caught.value.path == ("start_with", 1, "momentum")


def test_a_queued_setting_is_run_as_it_is() -> None:
    study_spec = spec(["n_filters < 100"])
    space = study_spec.resolve(SPACE)
    study = optuna.create_study(sampler=make_sampler(study_spec, space))
    queued = {"n_filters": 500, "kernels": "[3]", "optimizer": "adam", "learning_rate": 0.1}
    study.enqueue_trial(queued)
    study.enqueue_trial({"n_filters": 99})
    whole, part = study.ask(), study.ask()
    assert space.suggest(partial(_suggest, whole))["n_filters"] == 500
    assert space.suggest(partial(_suggest, part))["n_filters"] == 99


def test_a_space_travels_with_its_conditions() -> None:
    space = Space.declared(SPACE).requiring(["n_filters < 100"])
    assert pickle.loads(pickle.dumps(space)) == space
