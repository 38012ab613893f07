"""What a parameter may be: a range, a choice or a fixed value, in one language of plain data.

So a space travels between processes as it is:

    {"low": 1e-5, "high": 1e-1, "log": True}     a range; of whole numbers when both ends are
    {"choices": [64, 128, 256]} or [64, 128]     a choice
    0.001                                        a fixed value (study files only)
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeAlias

from studies.spec.values import PLAIN_WORDS, SpaceError, Value, encoded, is_number, is_plain, is_whole, same
from studies.words import near, shown

RANGE_KEYS = {"low", "high", "log", "step"}
FORMS = "{low: 1, high: 10}, {low: 1e-5, high: 0.1, log: true}, {low: 0.0, high: 1.0, step: 0.1}, or [64, 128]"
LARGEST_WHOLE = 2**53  # Optuna's tables hold a parameter as a double, which skips whole numbers beyond


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; whole ones when `whole`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only whole numbers belong to it."""
        return all(isinstance(part, int) for part in (self.low, self.high, self.step or 1))

    def __contains__(self, value: object) -> bool:
        if not is_number(value):
            return False
        if not self.low <= value <= self.high or (self.whole and not float(value).is_integer()):
            return False
        return self.step is None or is_whole((value - self.low) / self.step)

    def includes(self, other: Range) -> bool:
        """Whether every value of another range belongs to it."""
        if other.low not in self or other.high > self.high or (self.whole and not float(other.high).is_integer()):
            return False
        on_step = self.step is None or (other.step is not None and is_whole(other.step / self.step))
        return on_step or other.low == other.high

    def values(self, most: int) -> list[Value] | None:
        """Return its values; None where there are more than `most`, or no end of them."""
        step = self.step or (1 if self.whole else None)
        if self.low == self.high:
            return [self.low]
        if step is None or (self.high - self.low) / step >= most:
            return None
        return [self._after(n, step) for n in range(math.floor((self.high - self.low) / step + 1e-8) + 1)]

    def snapped(self, value: Any) -> Any:
        """Return a value as `values` has it: not every sampler computes steps to the last bit alike."""
        if self.step is None or self.whole:
            return value
        return self._after(round((value - self.low) / self.step), self.step)

    def _after(self, n: int, step: float) -> Value:
        if self.whole:
            return int(self.low + n * step)
        return float(Decimal(str(self.low)) + n * Decimal(str(step)))  # .1 + 2 * .1 is .3, and no more than high

    def __str__(self) -> str:
        step = f", step {self.step:.15g}" if self.step else ""
        return f"{self.low:.15g} to {self.high:.15g}" + (", log" if self.log else step)

    def as_data(self) -> dict[str, Any]:
        """Return it in the language of a study file."""
        data: dict[str, Any] = {"low": self.low, "high": self.high}
        return data | ({"log": True} if self.log else {}) | ({"step": self.step} if self.step else {})


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    choices: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return self.index(value) is not None

    def __str__(self) -> str:
        return " | ".join(shown(choice) for choice in self.choices)

    def values(self, most: int) -> list[Value] | None:
        """Return its values; None where there are more than `most`."""
        return list(self.choices) if len(self.choices) <= most else None

    def as_data(self) -> dict[str, Any]:
        """Return it in the language of a study file."""
        return {"choices": list(self.choices)}

    def index(self, value: object) -> int | None:
        """Return the place of a value among the choices; None where it is none of them."""
        return next((index for index, choice in enumerate(self.choices) if same(value, choice)), None)

    def from_stored(self, value: Any) -> Value:
        """Return the choice that the storage holds as this value; what is no choice stays as it is."""
        return next((choice for choice in self.choices if same(encoded(choice), value)), value)


@dataclass(frozen=True)
class Fixed:
    """A single value: nothing to suggest."""

    value: Value

    def __contains__(self, value: object) -> bool:
        return same(value, self.value)

    def __str__(self) -> str:
        return f"fixed at {shown(self.value)}"

    def values(self, most: int) -> list[Value] | None:
        """Return its only value."""
        return [self.value]

    def as_data(self) -> Value:
        """Return it in the language of a study file."""
        return self.value


Domain: TypeAlias = Range | Choice | Fixed


def parse_domain(given: Any, name: str) -> Domain:
    """Read a range, a choice or a fixed value; SpaceError when it is none."""
    if isinstance(given, list):
        given = {"choices": given}
    if not isinstance(given, Mapping):
        return Fixed(*_choice([given], name).choices)
    if set(given) == {"choices"}:
        return _choice(given["choices"], name)
    if unknown := set(given) - RANGE_KEYS:
        wrong = sorted(map(str, unknown))[0]
        raise SpaceError(f"unknown key {wrong!r} in {name!r}{near(wrong, RANGE_KEYS | {'choices'})}", name, wrong)
    return _range(given, name)


def _choice(choices: Any, name: str) -> Choice:
    if not isinstance(choices, list) or not choices:
        raise SpaceError(f"the choices of {name!r} are {choices!r}, not a list of at least one", name)
    for index, choice in enumerate(choices):
        if not is_plain(choice):
            raise SpaceError(f"{name!r} has the choice {reprlib.repr(choice)}; expected {PLAIN_WORDS}", name)
        # Optuna's tables hold a list as its JSON text.
        twin = next((other for other in choices[:index] if same(encoded(other), encoded(choice))), None)
        if twin is not None:
            raise SpaceError(
                f"{name!r} has the choice {shown(choice)} twice ({shown(twin)} is stored as the same)", name
            )
    return Choice(tuple(choices))


def _range(given: Mapping[str, Any], name: str) -> Range:
    for key in ("low", "high"):
        value = given.get(key)
        if not _is_finite(value):
            raise SpaceError(f"{name!r} has {key} = {shown(value)}, not a number; expected {FORMS}", name)
        if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
            raise SpaceError(f"{name!r} has {key} = {reprlib.repr(value)}; whole numbers are kept up to 2**53", name)
    if not isinstance(log := given.get("log", False), bool):
        raise SpaceError(f"{name!r} has log = {shown(log)}; expected true or false, without quotes", name, "log")
    step = given.get("step")
    if step is not None and not (_is_finite(step) and step > 0):
        raise SpaceError(f"{name!r} has step = {shown(step)}; expected a number above 0", name, "step")
    found = Range(given["low"], given["high"], log, step)
    if found.low > found.high:
        raise SpaceError(f"{name!r} has low {found.low:g} above high {found.high:g}", name)
    if found.log and (found.low <= 0 or found.step is not None):
        raise SpaceError(f"{name!r} is log, so its low must be above 0 and it can have no step", name)
    return found


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def narrowed(declared: Domain, given: Any, name: str) -> Domain:
    """Return what a study file makes of what an objective declares. Raises SpaceError for what is outside of that."""
    if given in declared:  # a list may itself be one of the choices, as hidden_layers are
        return Fixed(given)
    if isinstance(declared, Range) and isinstance(given, Mapping) and given.keys() == {"low", "high"}:
        given = {**declared.as_data(), **given}  # its log or step stays
    domain = parse_domain(given, name)
    if isinstance(domain, Range) and isinstance(declared, Range):
        if declared.includes(domain):
            return domain if domain.whole or not declared.whole else replace(domain, low=int(domain.low))
    elif isinstance(domain, Choice):
        outside = [value for value in domain.choices if value not in declared]
        if not outside:
            return domain
        domain = Fixed(outside[0])
    found = shown(domain.value) if isinstance(domain, Fixed) else domain
    raise SpaceError(f"{name} = {found} is outside what the objective declares ({declared})", name)
