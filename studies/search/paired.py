"""Two sets of parameters under the same seeds: is one better than the other, and by how much?

The test is the paired t-test: only the differences under the same seed count, so what a seed does to everybody drops
out, and no two contenders are assumed to be equally noisy. It supposes that the differences are about normal: with five
seeds nothing weaker could ever decide (the smallest p of Wilcoxon's signed-rank test is 1/32).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

SAME = 1e-9  # of the larger value: differences that differ by less are the same


@dataclass(frozen=True)
class Difference:
    """The mean difference over n pairs, and the two ends of its interval."""

    n: int
    mean: float
    low: float
    high: float


def difference(own: Mapping[int, float], other: Mapping[int, float], level: float) -> Difference | None:
    """Return own minus other over the seeds they share; None of fewer than two.

    level: the probability that the interval is wrong on one side.
    """
    found = [own[seed] - other[seed] for seed in own if seed in other]
    if len(found) < 2:
        return None
    middle = fmean(found)
    margin = t_quantile(level, len(found) - 1) * stdev(found) / math.sqrt(len(found))
    return Difference(len(found), middle, middle - margin, middle + margin)


def is_larger(own: Mapping[int, float], other: Mapping[int, float], level: float) -> bool:
    """Whether own is larger than other in the mean, with a probability of at most `level` of saying so wrongly.

    Metrics that count, as accuracy does, often give the same difference several times, of which the t-test would
    believe that it never varies. Then a bound on the probability of seeing that by chance decides: 1/2 for each pair,
    1/4 where neither side itself ever varied, as with an objective that draws nothing from its seed.
    """
    seeds = [seed for seed in own if seed in other]
    found = [own[seed] - other[seed] for seed in seeds]
    n = len(found)
    if n < 2 or fmean(found) <= 0:
        return False
    size = SAME * max(abs(own[seed]) + abs(other[seed]) for seed in seeds)
    if max(found) - min(found) <= size:
        constant = all(max(side[s] for s in seeds) - min(side[s] for s in seeds) <= size for side in (own, other))
        return float(0.25 if constant else 0.5) ** n <= level
    return fmean(found) > t_quantile(level, n - 1) * stdev(found) / math.sqrt(n)


def t_tail(t: float, df: int) -> float:
    """Return the probability that Student's t with df degrees of freedom is above t.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(df))
    cosine2 = math.cos(angle) ** 2
    term = total = 1.0
    for k in range(2 + df % 2, df - 1, 2):
        term *= cosine2 * (k - 1) / k
        total += term
    if df % 2:
        total = 2 / math.pi * (angle + (math.sin(angle) * math.cos(angle) * total if df > 1 else 0.0))
    else:
        total *= math.sin(angle)
    return (1 - total) / 2


@lru_cache(maxsize=1024)
def t_quantile(tail: float, df: int) -> float:
    """Return the t above which Student's t with df degrees of freedom lies with probability tail."""
    low, high = -math.pi / 2, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(math.tan(middle) * math.sqrt(df), df) > tail else (low, middle)
    return math.tan(low) * math.sqrt(df)
