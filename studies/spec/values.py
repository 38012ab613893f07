"""The values of parameters: as they are declared, as the storage has them, and which are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Any] | None"


def as_plain(value: Any) -> Any:
    """Return a declared value as the storage and YAML have it: a tuple is a list."""
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    return {key: as_plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def encoded(value: Any) -> Any:
    """Return what the storage holds: a list as JSON text, for Optuna's choices are scalars."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def same(left: object, right: object) -> bool:
    """Equality that tells True from 1, which Python does not, but not 1 from 1.0."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def is_whole(number: float) -> bool:
    """Whether a number of steps is whole, but for rounding, as Optuna has it."""
    return abs(number - round(number)) < 1e-8
