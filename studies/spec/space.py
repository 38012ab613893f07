"""A search space: the parameters that an objective declares, narrowed or fixed by a study file.

Both write them in the language of `domain`. An objective adds `default`, and `when` for a parameter that exists only
under some value of an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from studies.spec.condition import Condition, ConditionError
from studies.spec.domain import Choice, Domain, Fixed, Range, narrowed, parse_domain
from studies.spec.values import SpaceError, Value, as_plain, same, when_of
from studies.words import near, shown

COMMON_KEYS = {"default", "when"}
MOST_SETTINGS = 10_000  # of a space that is tried to its end


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
            parameters[name] = replace(parameters[name], domain=narrowed(parameters[name].domain, given, name))
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
                self._broken({**usual, name: value})
        return self

    def broken(self, values: Mapping[str, Value]) -> str | None:
        """Return why these values of a trial are not allowed: a condition they break, or that they cannot be put in."""
        try:
            condition = self._broken(values)
        except SpaceError as error:
            return str(error)
        return f"it breaks the condition {condition.text}" if condition else None

    def _broken(self, values: Mapping[str, Value]) -> Condition | None:
        """Return the first condition that these values break. Raises SpaceError where one cannot be computed."""
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


def _some_of(domain: Domain) -> list[Value]:
    return domain.values(100) or ([domain.low, domain.high] if isinstance(domain, Range) else [])
