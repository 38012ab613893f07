"""A search space: what an objective declares, narrowed or fixed by a study file.

Both are written in one language of plain data, so a space travels between processes as it is:

    {"low": 1e-5, "high": 1e-1, "log": True}     a range; of whole numbers when both ends are
    {"choices": [64, 128, 256]} or [64, 128]     a choice
    0.001                                        a fixed value (study files only)

An objective adds `default`, and `when` for a parameter that exists only under some value of an earlier one.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from studies.spec.condition import Condition, ConditionError
from studies.spec.values import PLAIN_WORDS, is_plain, is_whole, same, when_of
from studies.spec.values import SpaceError as SpaceError
from studies.spec.values import Value as Value
from studies.spec.values import as_plain as as_plain
from studies.spec.values import encoded as encoded
from studies.words import near, shown

RANGE_KEYS, COMMON_KEYS = {"low", "high", "log", "step"}, {"default", "when"}
FORMS = "{low: 1, high: 10}, {low: 1e-5, high: 0.1, log: true}, {low: 0.0, high: 1.0, step: 0.1}, or [64, 128]"
MOST_SETTINGS = 10_000  # of a space that is tried to its end
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
        if isinstance(value, bool) or not isinstance(value, (int, float)):
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
        """Return its values; None where there are more than MOST_SETTINGS, or no end of them."""
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


@dataclass(frozen=True)
class Parameter:
    """One parameter: its domain, its default, and the values of others under which it exists."""

    name: str
    domain: Domain
    default: Value = None
    when: Mapping[str, list[Value]] = field(default_factory=dict)

    def exists(self, others: Mapping[str, Value]) -> bool:
        """Whether it exists beside these values of the parameters before it."""
        return all(any(same(others.get(name), value) for value in allowed) for name, allowed in self.when.items())

    @property
    def condition(self) -> str:
        """What has to be so that it exists, in words: `optimizer is "sgd"`; nothing where it always does."""
        return " and ".join(f"{name} is {' or '.join(map(shown, allowed))}" for name, allowed in self.when.items())

    def as_data(self) -> dict[str, Any]:
        """Return it in the language of an objective, or of a study file when it is fixed."""
        domain = self.domain.as_data()
        data: dict[str, Any] = dict(domain) if isinstance(domain, dict) else {"choices": [domain]}
        return data | {"default": self.default} | ({"when": dict(self.when)} if self.when else {})


@dataclass(frozen=True)
class Space:
    """Parameters in the order in which they are suggested, and the conditions between them."""

    parameters: Mapping[str, Parameter]
    require: tuple[Condition, ...] = ()

    @classmethod
    def declared(cls, data: Mapping[str, Any]) -> Space:
        """Read what an objective declares; SpaceError when it is not in the language above."""
        parameters: dict[str, Parameter] = {}
        for name, found in data.items():
            given = as_plain(found)
            common = {key: given[key] for key in COMMON_KEYS if key in given} if isinstance(given, dict) else {}
            domain = parse_domain({k: v for k, v in given.items() if k not in common} if common else given, name)
            when = when_of(common.get("when", {}), name, {name: other.domain for name, other in parameters.items()})
            parameter = Parameter(name, domain, common.get("default"), when)
            if "default" in common and parameter.default not in domain:
                raise SpaceError(f"the default of {name!r} is {shown(parameter.default)}, not in {domain}", name)
            parameters[name] = parameter
        return cls(parameters)

    def narrowed(self, data: Mapping[str, Any]) -> Space:
        """Return the space with a study file's `space` applied; SpaceError where it goes outside."""
        parameters = dict(self.parameters)
        for name, given in data.items():
            if name not in parameters:
                raise SpaceError(f"unknown parameter {name!r}{near(name, parameters)}", name)
            parameters[name] = replace(parameters[name], domain=_narrowed(parameters[name].domain, given, name))
        return Space(parameters)

    def requiring(self, texts: list[str]) -> Space:
        """Return the space with a study file's `require` applied; SpaceError for what is no condition of its own."""
        conditions = []
        for index, text in enumerate(texts):
            try:
                conditions.append(Condition.read(text, self.parameters))
            except ConditionError as error:
                raise SpaceError(str(error), "require", index) from None
        return Space(self.parameters, tuple(conditions))._computed()

    def _computed(self) -> Space:
        """Return it. Raises SpaceError for a condition that defaults, few values or ends of a range cannot be in."""
        usual = {
            name: parameter.default if parameter.default in parameter.domain else _some_of(parameter.domain)[0]
            for name, parameter in self.parameters.items()
        }
        for name in sorted({name for condition in self.require for name in condition.names}):
            for value in [usual[name], *_some_of(self.parameters[name].domain)]:
                self.broken({**usual, name: value})
        return self

    def broken(self, values: Mapping[str, Value]) -> Condition | None:
        """Return the first condition that these values of a trial break; None where they keep all.

        Raises SpaceError where one cannot be computed.
        """
        for index, condition in enumerate(self.require):
            try:
                if not condition.holds(values):
                    return condition
            except ConditionError as error:
                raise SpaceError(str(error), "require", index) from None
        return None

    def possible(self, parameter: Parameter) -> bool:
        """Whether the parameter can exist under what the study file has fixed."""
        domains = {name: self.parameters[name].domain for name in parameter.when}
        return all(any(value in domains[name] for value in allowed) for name, allowed in parameter.when.items())

    def settings(self) -> list[dict[str, Value]] | None:
        """Return every setting that keeps the conditions; None for more than MOST_SETTINGS, or no end of them.

        A plain function's space is known to it alone, and has none here.
        """
        if not self.parameters:
            return None
        found: list[dict[str, Value]] = [{}]
        for name, parameter in self.parameters.items():
            longer: list[dict[str, Value]] = []
            for setting in found:
                values = parameter.domain.values(MOST_SETTINGS) if parameter.exists(setting) else []
                if values is None or len(longer) + len(values) > MOST_SETTINGS:
                    return None
                longer += [{**setting, name: value} for value in values] or [setting]
            found = longer
        return [setting for setting in found if self.broken(setting) is None]

    def completed(self, given: Mapping[str, Any], *path: str | int) -> dict[str, Value]:
        """Return these values with every missing one at its default; SpaceError for one that is not in the space.

        A default that the study file has excluded is left out, and so to the sampler.
        """
        for name, value in given.items():
            if name not in self.parameters:
                raise SpaceError(f"unknown parameter {name!r}{near(name, self.parameters)}", *path, name)
            if value not in self.parameters[name].domain:
                allowed = self.parameters[name].domain
                raise SpaceError(f"{name} = {shown(value)} is outside its space ({allowed})", *path, name)
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            if parameter.exists(values):
                value = given.get(name, parameter.default)
                if isinstance(parameter.domain, Fixed):
                    values[name] = parameter.domain.value
                elif value in parameter.domain:
                    values[name] = value
        return values

    def together(self, given: Mapping[str, Any], *path: str | int) -> dict[str, Value]:
        """Return them as `completed` does; SpaceError also for one that does not exist beside the others."""
        completed = self.completed(given, *path)
        for name in given:
            if name not in completed:
                condition = self.parameters[name].condition
                raise SpaceError(f"{name!r} is given, and exists only when {condition}", *path, name)
        return completed

    def exactly(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Return these values in the order of the space; SpaceError unless they are those of one trial of it."""
        completed = self.together(given)
        for name in completed:
            if name not in given:
                raise SpaceError(f"the parameter {name!r} is missing ({self.parameters[name].domain})", name)
        return completed

    def suggest(self, suggest: Callable[[str, Range | Choice], Any]) -> dict[str, Value]:
        """Return a value for every parameter that exists, asking `suggest(name, domain)` for the free ones."""
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            if not parameter.exists(values):
                continue
            if isinstance(parameter.domain, Fixed):
                values[name] = parameter.domain.value
            else:
                chosen = suggest(name, parameter.domain)
                values[name] = parameter.domain.from_stored(chosen) if isinstance(parameter.domain, Choice) else chosen
        return values

    def values_of(self, stored: Mapping[str, Any]) -> dict[str, Value]:
        """Return the values a trial trained with, from what the storage holds: fixed ones are not stored."""
        return self.suggest(lambda name, _: stored[name])

    def as_data(self) -> dict[str, Any]:
        """Return the space as a study file would fix it entirely."""
        return {name: parameter.domain.as_data() for name, parameter in self.parameters.items()}


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
        if not _is_number(value):
            raise SpaceError(f"{name!r} has {key} = {shown(value)}, not a number; expected {FORMS}", name)
        if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
            raise SpaceError(f"{name!r} has {key} = {reprlib.repr(value)}; whole numbers are kept up to 2**53", name)
    if not isinstance(log := given.get("log", False), bool):
        raise SpaceError(f"{name!r} has log = {shown(log)}; expected true or false, without quotes", name, "log")
    step = given.get("step")
    if step is not None and not (_is_number(step) and step > 0):
        raise SpaceError(f"{name!r} has step = {shown(step)}; expected a number above 0", name, "step")
    found = Range(given["low"], given["high"], log, step)
    if found.low > found.high:
        raise SpaceError(f"{name!r} has low {found.low:g} above high {found.high:g}", name)
    if found.log and (found.low <= 0 or found.step is not None):
        raise SpaceError(f"{name!r} is log, so its low must be above 0 and it can have no step", name)
    return found


def _some_of(domain: Domain) -> list[Value]:
    return domain.values(100) or ([domain.low, domain.high] if isinstance(domain, Range) else [])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _narrowed(declared: Domain, given: Any, name: str) -> Domain:
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
