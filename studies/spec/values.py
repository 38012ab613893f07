"""The values of parameters: as they are declared, as the storage has them, and which are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeGuard

from studies.words import shown

Value: TypeAlias = "bool | int | float | str | list[Any] | None"

PLAIN = {bool, int, float, str}
PLAIN_WORDS = "numbers, text, true, false, null or lists of these, such as a name to look it up by"


class SpaceError(ValueError):
    """A space, or a value, that is not allowed. `path` leads to the place inside the study file's `space`."""

    def __init__(self, reason: str, *path: str | int) -> None:
        super().__init__(reason)
        self.path = path


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


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, which True and False are not, although Python takes them for 1 and 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def encoded(value: Any) -> Any:
    """Return what the storage holds: a list as JSON text, for Optuna's choices are scalars."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def same(left: object, right: object) -> bool:
    """Equality that tells True from 1, which Python does not, but not 1 from 1.0."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def is_whole(number: float) -> bool:
    """Whether a number of steps is whole, but for rounding, as Optuna has it."""
    return abs(number - round(number)) < 1e-8


def when_of(given: Any, name: str, known: Mapping[str, Any]) -> dict[str, list[Value]]:
    """Return the values of others with which a parameter exists; a single one needs no list.

    known: the domains of those declared before it. Raises SpaceError.
    """
    if not isinstance(given, Mapping):
        expected = "values of an earlier parameter, such as {optimizer: [sgd]}"
        raise SpaceError(f"when of {name!r} is {shown(given)}; expected {expected}", name, "when")
    if unknown := set(given) - set(known):
        raise SpaceError(f"parameter {name!r} depends on {sorted(unknown)}, not declared before it", name)
    when = {other: allowed if isinstance(allowed, list) else [allowed] for other, allowed in given.items()}
    for other, allowed in when.items():
        is_fixed = len(known[other].values(2) or (0, 1)) == 1  # by a study that does without this one
        if not is_fixed and not any(value in known[other] for value in allowed):
            what = f"{name!r} exists only when {other} is {' or '.join(map(shown, allowed)) or 'nothing'}"
            raise SpaceError(f"{what}, which it never is ({known[other]})", name, "when", other)
    return when
