"""Which pairs of parameters interact: the variance of the metric that a pair explains beyond what each does alone.

A functional ANOVA (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance",
ICML 2014) on the trials themselves rather than on a forest fitted to them: every parameter is cut into a few levels
with as many trials each (choices are levels already, and where a parameter does not exist is a level of its own), and
the metric is fitted by least squares, first by the levels of all parameters, then with one pair's cells as well.
Whether a parameter exists is up to another, the one that interacts if that is all there is to it, and does not count.
What the cells add, less what as many meaningless columns would add, is the pair's share of the variance. The metric's
worst tenth counts as its tenth percentile: one divergence would outweigh everything else.

A share is established when chance does not give it. The residuals of the fit without interactions are shuffled
(Freedman and Lane, "A nonstochastic interpretation of reported significance levels", 1983) and the largest of all
pairs' standardised shares is noted each time, so that many pairs do not make one of them look significant (Westfall and
Young, "Resampling-based multiple testing", 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from studies.spec.values import is_number
from studies.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studies.record.study import StudyRecord, TrialRecord
    from studies.spec.values import Value

MIN_TRIALS = 40
MIN_SPARE = 20  # residual degrees of freedom, or nothing can be told from noise
MAX_TRIALS = 2000
MAX_CHOICES = 6  # rarer choices share a level
N_LEVELS = 3
N_FINE_LEVELS = 6  # of what a parameter does alone, so that a bend within a level is not taken for an interaction
MIN_TRIALS_FOR_FINE = 100
N_SHUFFLES = 400
SIGNIFICANT = 0.05
NOTICEABLE = 0.01  # a smaller share is of no use, and thousands of trials make any share significant
SHARED_LEVEL = "the others"
ABSENT = "(absent)"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """A parameter's levels: which one each trial is at [n], what they are called, and the trials that have it [n]."""

    name: str
    at: NDArray[np.int64]
    labels: Sequence[str]
    exists: NDArray[np.bool_]


@dataclass(frozen=True)
class Interaction:
    """Two parameters. share: of the metric's variance, beyond both alone. chance: of one as large without any."""

    first: Levels
    second: Levels
    share: float
    chance: float

    @property
    def established(self) -> bool:
        """Whether chance is an unlikely explanation, and the share worth a thought."""
        return self.chance < SIGNIFICANT and self.share >= NOTICEABLE

    def cells(self, values: Matrix) -> tuple[list[list[float | None]], list[list[int]]]:
        """Return the median of values [n] in each cell, None in an empty one, and how many trials are there."""
        medians: list[list[float | None]] = []
        counts: list[list[int]] = []
        for row in range(len(self.first.labels)):
            own = [
                values[(self.first.at == row) & (self.second.at == column)] for column in range(len(self.second.labels))
            ]
            medians.append([float(np.median(found)) if found.size else None for found in own])
            counts.append([found.size for found in own])
        return medians, counts


def interactions(trials: Sequence[TrialRecord], record: StudyRecord, names: Sequence[str]) -> list[Interaction] | None:
    """Return the pairs among these parameters, the largest share first; None when too few trials can tell.

    trials: completed ones, evenly drawn from many.
    """
    if len(trials) < MIN_TRIALS:
        return None
    values = winsorised(np.array([trial.value for trial in trials], dtype=np.float64), record.sign)
    levels = [own for name in names if len((own := levels_of(name, trials)).labels) > 1]
    if len(levels) < 2 or not np.ptp(values):
        return None
    fine = [levels_of(one.name, trials, N_FINE_LEVELS) for one in levels if len(trials) >= MIN_TRIALS_FOR_FINE]
    alone = _basis(np.column_stack([np.ones(len(values)), *(_indicators(one) for one in [*levels, *fine])]))
    residual = _without(values, alone)
    total = float(((values - values.mean()) ** 2).sum())
    pairs = list(combinations(levels, 2))
    found = zip(pairs, _beyond(pairs, alone), strict=True)
    known = [one for one in found if one[1].shape[1] and len(values) - alone.shape[1] - one[1].shape[1] >= MIN_SPARE]
    if not known or not residual.any():
        return None
    chances = _chances(residual, alone, [basis for _, basis in known])
    shares = [
        Interaction(first, second, _share(residual, alone, basis, total), chance)
        for ((first, second), basis), chance in zip(known, chances, strict=True)
    ]
    return sorted(shares, key=lambda one: (not one.established, -one.share))


def evenly(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return at most MAX_TRIALS of the trials, evenly drawn."""
    step = max(1, -(-len(trials) // MAX_TRIALS))
    return list(trials[::step])


def winsorised(values: Matrix, sign: int) -> Matrix:
    """Return values of which the worst tenth counts as the tenth percentile. sign: 1 where larger is better."""
    limit = np.quantile(sign * values, 0.1)
    return np.asarray(sign * np.maximum(sign * values, limit))


def levels_of(name: str, trials: Sequence[TrialRecord], n_levels: int = N_LEVELS) -> Levels:
    """Return a parameter's levels among these trials, n_levels of a range."""
    exists = np.array([name in trial.params for trial in trials])
    given = [trial.params.get(name) for trial in trials]
    numbers = [float(value) for value in given if is_number(value)]
    if len(numbers) == exists.sum() and len(set(numbers)) > MAX_CHOICES:
        return _of_numbers(name, np.array([np.nan if value is None else value for value in given], float), n_levels)
    texts = [_label(value) if there else ABSENT for value, there in zip(given, exists, strict=True)]
    frequent = sorted(set(texts), key=lambda text: (-texts.count(text), text))
    kept = frequent if len(frequent) <= MAX_CHOICES else frequent[: MAX_CHOICES - 1]
    labels = [*sorted(kept, key=_by_size)] + ([SHARED_LEVEL] if len(kept) < len(frequent) else [])
    place = {text: index for index, text in enumerate(labels)}
    return Levels(name, np.array([place.get(text, len(labels) - 1) for text in texts]), labels, exists)


def _of_numbers(name: str, given: Matrix, n_levels: int) -> Levels:
    """Return the levels of numbers [n]; NaN where there is none."""
    exists = ~np.isnan(given)
    numbers = given[exists]
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, n_levels + 1)[1:-1]))
    ends = [float(numbers.min()), *edges.tolist(), float(numbers.max())]
    labels = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(ends)]
    at = np.where(exists, np.searchsorted(edges, given), len(labels))
    return Levels(name, at, labels if exists.all() else [*labels, ABSENT], exists)


def _label(value: Value) -> str:
    return value if isinstance(value, str) else shown(value)


def _by_size(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _indicators(levels: Levels) -> Matrix:
    """Return a column for each level [n, n_levels], 1 where a trial is at it."""
    return np.asarray(levels.at[:, None] == np.arange(len(levels.labels)), dtype=np.float64)


def _cells(first: Levels, second: Levels) -> Matrix:
    """Return a column for each pair of levels [n, n_first * n_second]."""
    return (_indicators(first)[:, :, None] * _indicators(second)[:, None, :]).reshape(len(first.at), -1)


def _beyond(pairs: Sequence[tuple[Levels, Levels]], alone: Matrix) -> Iterator[Matrix]:
    """Yield for each pair a basis of what its cells can tell beyond what all parameters do alone [n, rank]."""
    cells = [_cells(first, second) for first, second in pairs]
    ends = np.cumsum([one.shape[1] for one in cells])
    # One product for all pairs: one for each would take longer to share among threads than to compute.
    beyond = np.split(_without(np.column_stack(cells), alone), ends[:-1], axis=1)
    for (first, second), columns in zip(pairs, beyond, strict=True):
        existing = [
            one.exists[:, None] * _indicators(other)
            for one, other in ((first, second), (second, first))
            if not one.exists.all()
        ]
        if existing:
            columns = _without(columns, _basis(_without(np.column_stack(existing), alone)))
        yield _basis(columns)


def _basis(columns: Matrix) -> Matrix:
    """Return orthonormal columns [n, rank] that span the same space."""
    # From their products [k, k], of which there are few: a decomposition of thousands of rows takes ten times as long.
    squares, vectors = np.linalg.eigh(columns.T @ columns)
    kept = squares > 1e-9 * max(1.0, float(squares.max(initial=0.0)))
    basis: Matrix = columns @ (vectors[:, kept] / np.sqrt(squares[kept]))
    return basis


def _without(values: Matrix, basis: Matrix) -> Matrix:
    """Return values [n] or [n, k] less what the basis explains of them."""
    rest: Matrix = values - basis @ (basis.T @ values)
    return rest


def _share(residual: Matrix, alone: Matrix, basis: Matrix, total: float) -> float:
    """Return what the basis explains of the residual, less what as many meaningless columns would, of the total."""
    explained, left = float(((basis.T @ residual) ** 2).sum()), float((residual**2).sum())
    noise = (left - explained) / (len(residual) - alone.shape[1] - basis.shape[1])
    return float(max(0.0, (explained - basis.shape[1] * noise) / total))


def _chances(residual: Matrix, alone: Matrix, bases: Sequence[Matrix]) -> list[float]:
    """Return for each pair how often shuffled residuals give any pair as large a standardised share."""
    draw = np.random.default_rng(0)
    shuffled = np.column_stack([residual, *(draw.permutation(residual) for _ in range(N_SHUFFLES))])
    shuffled = _without(shuffled, alone)
    shuffled /= np.sqrt((shuffled**2).sum(axis=0))
    squares = (np.column_stack(bases).T @ shuffled) ** 2
    starts = np.cumsum([0, *(basis.shape[1] for basis in bases[:-1])])
    shares = np.add.reduceat(squares, starts, axis=0)  # [n_pairs, 1 + n_shuffles]
    mean, deviation = shares[:, 1:].mean(axis=1, keepdims=True), shares[:, 1:].std(axis=1, keepdims=True)
    standard = (shares - mean) / np.where(deviation > 0, deviation, 1)
    largest = standard[:, 1:].max(axis=0)
    return [float((1 + np.count_nonzero(largest >= one)) / (1 + N_SHUFFLES)) for one in standard[:, 0]]
