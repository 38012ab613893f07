"""What a person reads as a value, and types to mean it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from studies.errors import WrongSpec
from studies.spec.space import Space
from studies.steering import text_of, value_of, written


@pytest.mark.parametrize(
    "value",
    ["adam", "1", "no", "null", "1e-3", "{", "[a]", "a: b", "x #y", 'say "hi"', '"', " a", "", "a\nb", None, True, 1,
     1e-5, ["x", 2]],
)  # fmt: skip
def test_what_is_shown_for_a_value_is_read_as_that_value(value: Any) -> None:
    read = value_of(text_of(value), "x")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("typed", ["[64", "\x1b[31m", "a\udcff", "[" * 9000])
def test_what_is_no_value_is_named_as_it_was_typed(typed: str) -> None:
    with pytest.raises(
        WrongSpec, match=rf"^layers={re.escape(typed)}: {re.escape(repr(typed)[:70])}.* is not a YAML value$"
    ):
        value_of(typed, "layers")


def test_the_choices_are_written_as_a_person_types_them() -> None:
    space = Space.declared({"decay": {"choices": [None, True, "1", "adam", [64, 32]], "default": "1"}})
    assert written(space.parameters["decay"]) == 'null, true, "1", adam, [64, 32]'
