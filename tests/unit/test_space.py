"""Search spaces: narrowing, fixing, conditions, and what goes outside."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.spec.domain import Choice, Fixed, Range
from studies.spec.space import Space
from studies.spec.values import SpaceError, encoded

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
        ({"learning_rate": {"low": 1e-3}}, "has high = null, not a number"),
        ({"learning_rate": {"low": 1e-3, "hihg": 1e-2}}, "unknown key 'hihg'"),
        ({"learning_rate": {"low": math.nan, "high": 1e-2}}, "has low = NaN, not a number"),
        ({"width": 64.5}, "width = 64.5 is outside"),
        ({"optimizer": ["adam", "adamw"]}, 'optimizer = "adamw" is outside'),
        ({"frozen": 1}, "frozen = 1 is outside"),
        ({"frozen": "true"}, 'frozen = "true" is outside'),
        ({"width": "64"}, 'width = "64" is outside'),
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


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(["[CLS]", "[1, 2]", "[", "{}"]))


@given(st.lists(st.one_of(SCALARS, st.lists(SCALARS), st.dictionaries(st.text(), SCALARS)), min_size=1))
def test_every_choice_survives_the_storage(choices: list[Any]) -> None:
    try:
        space = Space.declared({"x": {"choices": choices}})
    except SpaceError as error:
        assert "twice" in str(error)  # noqa: PT017 - the storage could not tell two of them apart
        return
    for choice in choices:
        stored = json.loads(json.dumps(encoded(choice)))
        assert not isinstance(stored, (list, dict))
        (found,) = space.values_of({"x": stored}).values()
        assert (found, type(found)) == (choice, type(choice))


def test_what_the_storage_could_not_tell_apart_is_refused() -> None:
    with pytest.raises(SpaceError, match="twice"):
        Space.declared({"x": {"choices": [[1, 2], "[1, 2]"]}})


def test_a_class_may_declare_lists_scalars_and_tuples() -> None:
    space = Space.declared(
        {"a": [1, 2], "b": 3, "c": {"choices": ((0.9, 0.999), (0.8, 0.99)), "default": (0.9, 0.999)}}
    )
    assert [parameter.domain for parameter in space.parameters.values()] == [
        Choice((1, 2)),
        Fixed(3),
        Choice(([0.9, 0.999], [0.8, 0.99])),
    ]
    assert space.parameters["c"].default == [0.9, 0.999]
    assert space.exactly({"a": 1, "b": 3, "c": [0.8, 0.99]})["c"] == [0.8, 0.99]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"low": 0.1, "high": 0.5, "log": "false"}, 'log = "false"; expected true or false'),
        ({"low": 0.1, "high": 0.5, "log": 1}, "log = 1; expected true or false"),
        ({"low": 0.1, "high": 0.5, "step": 0}, "step = 0; expected a number above 0"),
        ({"low": 0.1, "high": 0.5, "step": -0.1}, "step = -0.1; expected a number above 0"),
        ({"low": 0.1, "high": 0.5, "step": "a"}, 'step = "a"; expected a number above 0'),
        ({"low": 0.1, "high": 0.5, "step": math.nan}, "step = NaN; expected a number above 0"),
        ({"low": 0.1, "high": 0.5, "step": True}, "step = true; expected a number above 0"),
        ({"low": "1e-5", "high": 0.5}, 'low = "1e-5", not a number; expected {low: 1, high: 10}'),
        ({"low": 0.1}, "high = null, not a number"),
        ({"low": 0.1, "high": math.inf}, "high = Infinity, not a number"),
        ({"low": 1, "high": 3, "default": 5}, "the default of 'x' is 5, not in 1 to 3"),
        ({"choices": ["a"], "default": "b"}, 'the default of \'x\' is "b", not in "a"'),
    ],
)
def test_a_range_that_is_none_is_refused_where_it_is_read(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpaceError) as raised:
        Space.declared({"x": given})
    assert expected in str(raised.value)


def test_whole_numbers_with_a_broken_step_are_floats() -> None:
    domain = Space.declared({"x": {"low": 0, "high": 1, "step": 0.25}}).parameters["x"].domain
    assert isinstance(domain, Range)
    assert not domain.whole


@given(st.floats(1e-5, 1e-1), st.floats(1e-5, 1e-1))
def test_a_narrowed_range_stays_inside(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    domain = Space.declared(DECLARED).narrowed({"learning_rate": {"low": low, "high": high}})
    found = domain.parameters["learning_rate"].domain
    assert isinstance(found, Range)
    assert 1e-5 <= found.low <= found.high <= 1e-1


class Size(enum.IntEnum):
    SMALL = 8


class Optimizer(str, enum.Enum):  # noqa: UP042 - as people have them
    ADAM = "adam"


def test_what_numpy_and_enums_declare_is_plain() -> None:
    declared = {
        "x": {"low": np.float32(0), "high": np.int64(1), "default": np.float64(0.5)},
        "width": {"choices": np.array([1, 2]), "default": np.int64(2)},
        "flag": {"choices": (np.True_, np.False_), "default": np.False_},
        "size": {"choices": [*Size], "default": Size.SMALL},
        "optimizer": {"choices": [*Optimizer], "default": Optimizer.ADAM},
        "depth": {"choices": range(1, 3), "default": 1},
    }
    space = Space.declared(declared)
    data = json.loads(json.dumps({name: parameter.as_data() for name, parameter in space.parameters.items()}))
    assert data == {
        "x": {"low": 0.0, "high": 1, "default": 0.5},
        "width": {"choices": [1, 2], "default": 2},
        "flag": {"choices": [True, False], "default": False},
        "size": {"choices": [8], "default": 8},
        "optimizer": {"choices": ["adam"], "default": "adam"},
        "depth": {"choices": [1, 2], "default": 1},
    }
    assert all(type(value) in (bool, int, float, str) for value in space.completed({}).values())


@pytest.mark.parametrize("given", [{"choices": [len, max]}, [np.ndarray], len, {"choices": [{1: 2}]}, [object()]])
def test_what_cannot_be_written_is_no_choice(given: Any) -> None:
    with pytest.raises(SpaceError, match=r"'x' has the choice .*; expected numbers, text, true, false, null or lists"):
        Space.declared({"x": given})


STEPPED = {"width": {"low": 8, "high": 64, "step": 8, "default": 16}, "share": {"low": 0.1, "high": 1.0, "step": 0.3}}


def test_a_narrowed_range_keeps_the_declared_scale_and_step() -> None:
    """Or a width of 13 would reach a net that is declared for multiples of 8."""
    space = Space.declared(DECLARED | STEPPED)
    parameters = space.narrowed(
        {
            "learning_rate": {"low": 1e-4, "high": 1e-2},
            "width": {"low": 16, "high": 40},
            "share": {"low": 0.4, "high": 0.7},
        }
    ).parameters
    assert parameters["learning_rate"].domain == Range(1e-4, 1e-2, log=True)
    assert parameters["width"].domain == Range(16, 40, step=8)
    assert str(parameters["share"].domain) == "0.4 to 0.7, step 0.3"
    linear = space.narrowed({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": False}}).parameters["learning_rate"]
    assert linear.domain == Range(1e-4, 1e-2)
    assert space.narrowed({"width": {"low": 8, "high": 64, "step": 16}}).parameters["width"].domain == Range(
        8, 64, step=16
    )


@pytest.mark.parametrize(
    "given",
    [
        12, [16, 20], {"low": 12, "high": 40}, {"low": 8, "high": 40, "step": 4}, {"low": 8, "high": 72},
        {"low": 8, "high": 40, "log": True}, {"low": 8, "high": 40.5, "step": 8},
    ],
)  # fmt: skip
def test_what_is_off_the_declared_steps_is_outside(given: Any) -> None:
    with pytest.raises(SpaceError, match=r"outside what the objective declares \(8 to 64, step 8\)"):
        Space.declared(STEPPED).narrowed({"width": given})


def test_a_value_is_on_the_steps_of_its_range() -> None:
    space = Space.declared(STEPPED)
    assert space.completed({"width": 24, "share": 0.1 + 3 * 0.3}) == {"width": 24, "share": 0.1 + 3 * 0.3}
    with pytest.raises(SpaceError, match=r"width = 20 is outside its space \(8 to 64, step 8\)"):
        space.completed({"width": 20})
    with pytest.raises(SpaceError, match="the default of 'width' is 20, not in 8 to 64, step 8"):
        Space.declared({"width": {"low": 8, "high": 64, "step": 8, "default": 20}})
    assert space.narrowed({"width": {"low": 24, "high": 64}}).completed({}) == {}  # neither has a default in it


def test_a_condition_must_look_back() -> None:
    with pytest.raises(SpaceError, match="not declared before it"):
        Space.declared({"a": {"choices": [1], "when": {"b": [1]}}, "b": {"choices": [1]}})


def test_a_single_value_of_a_condition_needs_no_list() -> None:
    """It was taken for the list of its letters, and the parameter never existed."""
    mode = {"choices": ["plain", "many"], "default": "plain"}
    space = Space.declared({"mode": mode, "x": {"low": 0.0, "high": 1.0, "default": 0.5, "when": {"mode": "many"}}})
    assert space.completed({"mode": "many"}) == {"mode": "many", "x": 0.5}
    assert space.completed({}) == {"mode": "plain"}


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ({"mode": ["manny"]}, """'x' exists only when mode is "manny", which it never is \\("plain" | "many"\\)"""),
        ({"mode": []}, "'x' exists only when mode is nothing, which it never is"),
        (["mode"], """when of 'x' is \\["mode"\\]; expected values of an earlier parameter, such as"""),
    ],
)
def test_a_condition_that_never_holds_is_refused(when: Any, sentence: str) -> None:
    declared = {"mode": ["plain", "many"], "x": {"low": 0.0, "high": 1.0, "when": when}}
    with pytest.raises(SpaceError, match=sentence.replace("|", "\\|")):
        Space.declared(declared)
    assert Space.declared(declared | {"mode": "plain", "x": {"low": 0, "high": 1, "when": {"mode": ["many"]}}})


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
        ({"optimizer": "adam", "momentum": 0.1}, "'momentum' is given, and exists only when optimizer is \"sgd\""),
        ({"optimiser": "adam"}, "did you mean optimizer"),
        ({"optimizer": "lion"}, "outside its space"),
    ]:
        with pytest.raises(SpaceError, match=expected):
            space.exactly(wrong)
