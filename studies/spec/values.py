"""The values of parameters: as they are declared, as the storage has them, and which are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Any] | None"

PLAIN = {bool, int, float, str}
PLAIN_WORDS = "numbers, text, true, false, null or lists of these, such as a name to look it up by"


def as_plain(value: Any) -> Any:
    """Return a declared value as the storage and YAML have it: a tuple is a list, and a number of numpy's a number."""
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [as_plain(item) for item in value]
    if hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    for kind in (bool, int, float, str):  # members of an enum may be of one
        if isinstance(value, kind):
            return kind.__str__(value) if kind is str else kind(value)
    return value


def is_plain(value: Any) -> bool:
    """Whether the storage and YAML can have a value."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    return all(map(is_plain, value)) if isinstance(value, list) else value is None or type(value) in PLAIN


def encoded(value: Any) -> Any:
    """Return what the storage holds: a list as JSON text, for Optuna's choices are scalars."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def same(left: object, right: object) -> bool:
    """Equality that tells True from 1, which Python does not, but not 1 from 1.0."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def is_whole(number: float) -> bool:
    """Whether a number of steps is whole, but for rounding, as Optuna has it."""
    return abs(number - round(number)) < 1e-8
