"""Search spaces: narrowing, fixing, conditions, and what goes outside."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.spec.space import Choice, Fixed, Range, Space, SpaceError, decoded, encoded

DECLARED = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
    "width": {"low": 6, "high": 128, "default": 64},
    "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
    "momentum": {"low": 0.0, "high": 0.99, "default": 0.9, "when": {"optimizer": ["sgd"]}},
    "hidden_layers": {"choices": [[128], [256, 128]], "default": [128]},
    "frozen": {"choices": [True, False], "default": False},
}


@pytest.fixture
def space() -> Space:
    return Space.declared(DECLARED)


def first(name: str, domain: Range | Choice) -> Any:
    return encoded(domain.choices[0]) if isinstance(domain, Choice) else domain.low


def test_a_study_narrows_and_fixes(space: Space) -> None:
    narrowed = space.narrowed(
        {
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "optimizer": "sgd",
            "hidden_layers": [[256, 128]],
            "frozen": False,
        }
    )
    assert narrowed.parameters["learning_rate"].domain == Range(1e-4, 1e-2, log=True)
    assert narrowed.parameters["optimizer"].domain == Fixed("sgd")
    assert narrowed.suggest(first) == {
        "learning_rate": 1e-4,
        "width": 6,
        "optimizer": "sgd",
        "momentum": 0.0,
        "hidden_layers": [256, 128],
        "frozen": False,
    }


def test_a_list_that_is_one_of_the_choices_is_fixed(space: Space) -> None:
    assert space.narrowed({"hidden_layers": [256, 128]}).parameters["hidden_layers"].domain == Fixed([256, 128])


def test_a_parameter_exists_only_under_its_condition(space: Space) -> None:
    assert "momentum" not in space.narrowed({"optimizer": "adam"}).suggest(first)


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ({"learning_rat": 1}, "unknown parameter 'learning_rat'; did you mean learning_rate?"),
        ({"learning_rate": 2.0}, "learning_rate = 2.0 is outside"),
        ({"learning_rate": {"low": 1e-6, "high": 1e-2}}, "outside what the objective declares"),
        ({"learning_rate": {"low": 1e-2, "high": 1e-3}}, "low 0.01 above high 0.001"),
        ({"learning_rate": {"low": 1e-3}}, "needs numbers low and high, and has high = None"),
        ({"learning_rate": {"low": 1e-3, "hihg": 1e-2}}, "unknown key 'hihg'"),
        ({"learning_rate": {"low": math.nan, "high": 1e-2}}, "has low = nan"),
        ({"width": 64.5}, "width = 64.5 is outside"),
        ({"optimizer": ["adam", "adamw"]}, "optimizer = adamw is outside"),
        ({"frozen": 1}, "frozen = 1 is outside"),
        ({"optimizer": []}, "not a list of at least one"),
    ],
)
def test_outside_the_space(space: Space, study: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpaceError) as caught:
        space.narrowed(study)
    assert expected in str(caught.value)


def test_given_trials_are_completed_with_defaults(space: Space) -> None:
    narrowed = space.narrowed({"optimizer": "sgd", "width": {"low": 6, "high": 32}})
    assert narrowed.completed({"learning_rate": 0.01}) == {
        "learning_rate": 0.01,  # width's default of 64 was excluded: the sampler chooses it
        "optimizer": "sgd",
        "momentum": 0.9,
        "hidden_layers": [128],
        "frozen": False,
    }
    with pytest.raises(SpaceError, match="width = 64 is outside its space"):
        narrowed.completed({"width": 64})


@given(st.lists(st.one_of(st.integers(), st.text(), st.lists(st.integers())), min_size=1))
def test_every_choice_survives_the_storage(choices: list[Any]) -> None:
    texts_like_lists = [choice for choice in choices if isinstance(choice, str) and choice.startswith("[")]
    for choice in choices:
        if choice not in texts_like_lists:
            assert decoded(json.loads(json.dumps(encoded(choice)))) == choice


@given(st.floats(1e-5, 1e-1), st.floats(1e-5, 1e-1))
def test_a_narrowed_range_stays_inside(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    domain = Space.declared(DECLARED).narrowed({"learning_rate": {"low": low, "high": high}})
    found = domain.parameters["learning_rate"].domain
    assert isinstance(found, Range)
    assert 1e-5 <= found.low <= found.high <= 1e-1


def test_a_condition_must_look_back() -> None:
    with pytest.raises(SpaceError, match="not declared before it"):
        Space.declared({"a": {"choices": [1], "when": {"b": [1]}}, "b": {"choices": [1]}})


def test_exactly_the_parameters_of_one_trial() -> None:
    space = Space.declared(
        {
            "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
            "momentum": {"low": 0.0, "high": 1.0, "default": 0.5, "when": {"optimizer": ["sgd"]}},
        }
    )
    assert space.exactly({"momentum": 0.1, "optimizer": "sgd"}) == {"optimizer": "sgd", "momentum": 0.1}
    for wrong, expected in [
        ({"optimizer": "sgd"}, "'momentum' is missing"),
        ({"optimizer": "adam", "momentum": 0.1}, "'momentum' is given, and exists only when optimizer is"),
        ({"optimiser": "adam"}, "did you mean optimizer"),
        ({"optimizer": "lion"}, "outside its space"),
    ]:
        with pytest.raises(SpaceError, match=expected):
            space.exactly(wrong)
