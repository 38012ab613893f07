"""What share of all epochs a study trains, by its pruner."""

from __future__ import annotations

import math

from studies.search.asha import N_FINISHED, rungs
from studies.spec import Pruner


def typical_share(pruner: Pruner, max_epochs: int, n_trials: int) -> float:
    """Return the share of all epochs that are trained when each rung keeps the best 1 / reduction_factor of its trials.

    That is what successive halving does with trials in step (Li et al., "A system for massively parallel
    hyperparameter tuning", MLSys 2020); Hyperband has brackets that begin at later and later rungs. A median pruner
    stops half of the trials at its first epoch, were no curves to cross. ASHA trains the best few to their end, however
    few trials there are.
    """
    if pruner.name == "asha":
        return _asha(pruner, max_epochs, n_trials)
    if pruner.name == "median":
        first = min(pruner.min_epochs + 1, max_epochs)
        return (first + 0.5 * (max_epochs - first)) / max_epochs
    if pruner.name == "successive_halving":
        return _halving(pruner, max_epochs, 0)
    if pruner.name == "hyperband":
        return _hyperband(pruner, max_epochs)
    return 1.0  # none, or one of which nothing is known


def _halving(pruner: Pruner, max_epochs: int, skipped: int) -> float:
    """Return the share in a bracket whose first rungs are skipped."""
    eta = pruner.reduction_factor
    kept, spent, before, rung = 1.0, 0.0, 0, pruner.min_epochs * eta**skipped
    while before < max_epochs:
        end = min(rung, max_epochs)
        spent, kept, before, rung = spent + kept * (end - before), kept / eta, end, rung * eta
    return spent / max_epochs


def _hyperband(pruner: Pruner, max_epochs: int) -> float:
    eta = pruner.reduction_factor
    n_brackets = max(0, math.floor(math.log(max_epochs / pruner.min_epochs, eta) + 1e-9)) + 1
    # As many trials for each bracket as Optuna's HyperbandPruner gives it.
    weights = [math.ceil(n_brackets * eta**left / (left + 1)) for left in reversed(range(n_brackets))]
    spent = sum(weight * _halving(pruner, max_epochs, skipped) for skipped, weight in enumerate(weights))
    return float(spent / sum(weights))


def _asha(pruner: Pruner, max_epochs: int, n_trials: int) -> float:
    kept, spent, before = float(n_trials), 0.0, 0
    for end in [*rungs(pruner.min_epochs, max_epochs, pruner.reduction_factor), max_epochs]:
        spent += kept * (end - before)
        before, kept = end, max(kept / pruner.reduction_factor, min(N_FINISHED, n_trials))
    return spent / (n_trials * max_epochs)
