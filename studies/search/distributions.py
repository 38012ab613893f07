"""A parameter's domain as Optuna has it."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from studies.spec.space import Choice, Range, encoded


def distribution_of(domain: Range | Choice) -> BaseDistribution:
    """Return the domain as Optuna has it."""
    if isinstance(domain, Choice):
        return CategoricalDistribution([encoded(choice) for choice in domain.choices])
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log, step=int(domain.step or 1))
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
