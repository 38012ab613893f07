"""A parameter's domain as Optuna has it, and the other way round."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from studies.spec.domain import Choice, Domain, Range
from studies.spec.values import encoded


def distribution_of(domain: Range | Choice) -> BaseDistribution:
    """Return the domain as Optuna has it."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([encoded(choice) for choice in domain.choices])
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def domain_of(distribution: BaseDistribution) -> Domain:
    """Return a distribution of Optuna's in this package's own words."""
    if isinstance(distribution, CategoricalDistribution):
        return Choice(tuple(distribution.choices))
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return Range(distribution.low, distribution.high, distribution.log, distribution.step)
