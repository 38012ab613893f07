"""Which parameters an objective asks for, and where: params[...] of a class, trial.suggest_... of a plain function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial

from studies.check.own_code import OwnCode
from studies.search.distributions import domain_of
from studies.spec.domain import Choice, Domain, Range
from studies.spec.space import Parameter, Space


class Asked:
    """What was asked for, by name.

    read: the first place that did. missing: the first place that asked for a missing one, and whether it had a default.
    """

    def __init__(self, source: OwnCode) -> None:
        self._source = source
        self.read: dict[str, str | None] = {}
        self.missing: dict[str, tuple[str | None, bool]] = {}

    def for_one(self, name: str, found: bool, has_default: bool = False) -> None:
        """Note that one parameter was asked for."""
        where = self._source.here()
        if found:
            self.read.setdefault(name, where)
        else:
            self.missing.setdefault(name, (where, has_default))


class AskedParams(dict[str, Any]):
    """A trial's parameters, as a worker hands them to an objective, that note who reads which."""

    def __init__(self, params: Mapping[str, Any], asked: Asked) -> None:
        super().__init__(params)
        self._asked = asked

    def __getitem__(self, name: str) -> Any:
        self._asked.for_one(name, dict.__contains__(self, name))
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """See dict."""
        self._asked.for_one(name, dict.__contains__(self, name), has_default=True)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """See dict."""
        self._asked.for_one(name, dict.__contains__(self, name), has_default=bool(default))
        return super().pop(name, *default)

    def __iter__(self) -> Iterator[str]:  # with one of its own, {**params} and dict(params) use __getitem__
        return super().__iter__()

    def items(self) -> Any:
        """See dict."""
        for name in self:
            self._asked.for_one(name, found=True)
        return super().items()

    def values(self) -> Any:
        """See dict."""
        for name in self:
            self._asked.for_one(name, found=True)
        return super().values()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(super().items()),)


class AskedTrial(FixedTrial):
    """A trial for a plain function: it answers with what it is given, otherwise with the middle of the range.

    reported: called with each value that the function reports. last_step: the greatest of them.
    """

    last_step = 0

    def __init__(self, params: Mapping[str, Any], seed: int, asked: Asked, reported: Callable[[float], None]) -> None:
        super().__init__(dict(params))
        self._asked = asked
        self._reported = reported
        self._user_attrs["seed"] = seed  # as a worker has it

    def report(self, value: float, step: int) -> None:
        """See BaseTrial."""
        self.last_step = max(self.last_step, step)
        self._reported(float(value))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self._asked.for_one(name, found=True)
        if name not in self._params or not self._allows(distribution, self._params[name]):
            self._params[name] = middle(domain_of(distribution))
        return super()._suggest(name, distribution)

    @staticmethod
    def _allows(distribution: BaseDistribution, value: Any) -> bool:
        try:
            return distribution._contains(distribution.to_internal_repr(value))
        except (TypeError, ValueError):
            return False

    def space(self) -> Space:
        """Return the space of what was suggested, as an objective would declare it."""
        return Space(
            {
                name: Parameter(name, domain_of(distribution), self._params[name])
                for name, distribution in self._distributions.items()
            }
        )


def default_of(parameter: Parameter) -> Any:
    """Return a parameter's default, or what is in the middle where it has none that its domain allows."""
    return parameter.default if parameter.default in parameter.domain else middle(parameter.domain)


def middle(domain: Domain) -> Any:
    """Return a value from the middle of a domain: the geometric mean of a log range, the first choice."""
    if isinstance(domain, Choice):
        return domain.choices[0]
    if not isinstance(domain, Range):
        return domain.value
    value = (domain.low * domain.high) ** 0.5 if domain.log else (domain.low + domain.high) / 2
    if domain.step:
        value = domain.low + round((value - domain.low) / domain.step) * domain.step
    return round(value) if domain.whole else value
