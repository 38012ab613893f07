"""How much each parameter matters for reaching the best trials: PED-ANOVA, on numpy alone.

A parameter matters as far as its values in the best trials are spread otherwise than in all (Watanabe, Bansal and
Hutter, "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces", IJCAI 2023). Both
densities are estimated on a grid and compared by their Pearson divergence. A parameter that exists only under some
value of another is weighed by how many of the best trials have it, and how many of all.

The shares are those of Optuna's PedAnovaImportanceEvaluator, with which a test compares them. That one imports
scikit-learn, scipy and pandas where they are installed, which takes longer than the rest of a report.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from studies.spec.domain import Choice, Range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from studies.spec.domain import Domain

TARGET = 0.1  # the share of trials that are the best
N_TARGET = 5  # at least so many
N_CELLS = 50  # at most, of a range
LEAST_WIDTH = 0.5 / 1.64  # of a kernel, in cells: nine tenths of it are in its own
TINY = 1e-12
ABSENT = object()  # None may be a choice

Vector = NDArray[np.float64]


def importances(trials: Sequence[tuple[float, Mapping[str, Any]]], domains: Mapping[str, Domain]) -> dict[str, float]:
    """Return each searched parameter's share, the largest first; empty where nothing is searched.

    trials: what each is worth (larger is better) and its parameters. A value outside its domain counts as none.
    """
    trials = [(worth, params) for worth, params in trials if math.isfinite(worth)]
    searched = {
        name: domain
        for name, domain in domains.items()
        if isinstance(domain, Choice) or (isinstance(domain, Range) and domain.low < domain.high)
    }
    cells = {
        name: _cells(domain, [params.get(name, ABSENT) for _, params in trials]) for name, domain in searched.items()
    }
    cells = {name: own for name, own in cells.items() if not np.isnan(own).all()}
    if not cells:
        return {}
    worths = np.array([worth for worth, _ in trials])
    n_best = min(max(math.ceil(TARGET * len(worths)), N_TARGET), len(worths))
    best = worths >= np.sort(worths)[-n_best]
    found = {name: _divergence(searched[name], own, best) for name, own in cells.items()}
    total = sum(found.values())
    shares = {name: one / total if total else 1 / len(found) for name, one in found.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _cells(domain: Choice | Range, values: Sequence[Any]) -> Vector:
    """Return the cell of each value [n]; NaN for one that is not in the domain."""
    if isinstance(domain, Choice):
        return np.array([domain.index(value) for value in values], float)
    numbers = np.array([value if value in domain else math.nan for value in values], float)
    low, high = float(domain.low), float(domain.high)
    if domain.log:
        numbers, low, high = np.log(numbers), math.log(low), math.log(high)
    last = _n_cells(domain) - 1
    return np.clip(np.ceil((numbers - low) / (high - low) * last - 0.5), 0, last)


def _n_cells(domain: Choice | Range) -> int:
    if isinstance(domain, Choice):
        return len(domain.choices)
    if domain.whole and domain.log:
        return min(math.ceil(math.log2(domain.high - domain.low + 1)) + 1, N_CELLS)
    step = domain.step or (1 if domain.whole else None)
    return N_CELLS if step is None else min(round((domain.high - domain.low) / step) + 1, N_CELLS)


def _divergence(domain: Choice | Range, cells: Vector, best: NDArray[np.bool_]) -> float:
    """Return how far the parameter's spread in the best trials is from that in all. cells [n]: NaN where it is not."""
    exists = ~np.isnan(cells)
    n, density = _n_cells(domain), _of_choices if isinstance(domain, Choice) else _of_numbers
    every, among = (np.bincount(cells[some].astype(int), minlength=n) for some in (exists, exists & best))
    if n < 2 or every.sum() < 2 or not among.sum():
        return 0.0
    everywhere, there = density(every) + TINY, density(among) + TINY
    share_of_best, share_of_all = among.sum() / best.sum(), every.sum() / len(cells)
    return float(share_of_best**2 / share_of_all * (everywhere @ (there / everywhere - 1) ** 2))


def _of_choices(counts: NDArray[np.int64]) -> Vector:
    """Return the density [n] of a choice, each seen so often [n]: mixed with one even vote for all."""
    seen = counts > 0
    even = 1 / (seen.sum() + 1)  # what a kernel gives to every choice beside its own
    votes = (counts + counts.sum() * even) / (1 + len(counts) * even) + 1 / len(counts)
    return np.asarray(votes / (counts.sum() + 1))


def _of_numbers(counts: NDArray[np.int64]) -> Vector:
    """Return the density [n] of a range's cells, each seen so often [n].

    A normal kernel for each cell, as wide as Scott's rule says, cut off at the ends, and one for the whole range.
    """
    centres = np.flatnonzero(counts)
    weights = counts[centres]
    total, seen = weights.sum(), weights.cumsum()
    deviation = math.sqrt(((centres - centres @ weights / total) ** 2 @ weights) / max(1, total - 1))
    upper = centres[min(np.searchsorted(seen, total * 3 // 4, side="right"), len(centres) - 1)]
    quartiles = upper - centres[np.searchsorted(seen, total // 4)]
    width = max(1.059 * min(quartiles / 1.34, deviation) * total**-0.2, LEAST_WIDTH)
    n = len(counts)
    middles = np.append(centres, (n - 1) / 2)[:, None]
    widths = np.append(np.full(len(centres), width), n)[:, None]
    below = _normal((np.arange(n + 1) - 0.5 - middles) / widths)  # [n_kernels, n + 1]
    kernels = np.diff(below) / (below[:, -1:] - below[:, :1])
    return np.asarray(np.append(weights, 1) @ kernels / (total + 1))


def _normal(x: Vector) -> Vector:
    """Return the share of a normal distribution below each x."""
    return np.asarray(0.5 + 0.5 * np.vectorize(math.erf)(x / math.sqrt(2)))
