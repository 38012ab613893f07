"""Which results are best where several metrics count: the Pareto front, and an order of everything else behind it.

One result dominates another where it is as good in every metric and better in one. Those that none dominates are the
front. `order` peels front after front, as NSGA-II does (Deb et al., 2002), and puts those of one front in the order of
an epsilon-net: first the best in the first metric, then each time the one that is farthest from all before it. So a
few from the top of the order cover the whole front, where crowding distances favour its ends and gaps. MO-ASHA promotes
with the same order (Schmucker et al., Multi-objective Asynchronous Successive Halving, 2021).

With one metric the order is that of the values. Everything here takes losses: lower is better.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from studies.names import Direction

Losses = Sequence[float]


def losses_of(values: Iterable[float], directions: Iterable[Direction]) -> tuple[float, ...]:
    """Return a trial's values as losses."""
    return tuple(float(-to.sign * value) for value, to in zip(values, directions, strict=True))


def dominates(one: Losses, other: Losses) -> bool:
    """Whether one result is as good as another in every metric; so it is where both are equal."""
    return all(map(float.__le__, one, other))


def front(losses: Sequence[Losses]) -> list[int]:
    """Return the places of those that none dominates, the best in the first metric first; of equal ones the first."""
    found: list[int] = []
    for place in _by_loss(losses):
        if not any(dominates(losses[one], losses[place]) for one in found):
            found.append(place)
    return found


def order(losses: Sequence[Losses]) -> list[int]:
    """Return all places, the best first; of equal ones the first."""
    if losses and len(losses[0]) == 1:
        return _by_loss(losses)
    return [place for one in _fronts(losses) for place in _spread_out(one, losses)]


def _by_loss(losses: Sequence[Losses]) -> list[int]:
    return sorted(range(len(losses)), key=lambda place: tuple(losses[place]))  # of equal ones the first stays first


def _fronts(losses: Sequence[Losses]) -> list[list[int]]:
    """Return front after front. What a front dominates, those before it dominate as well: each is found by bisection.

    Zhang et al., An Efficient Approach to Nondominated Sorting, 2015.
    """
    found: list[list[int]] = []
    for place in _by_loss(losses):

        def is_free(one: list[int], place: int = place) -> bool:
            return not any(dominates(losses[other], losses[place]) for other in reversed(one))

        index = bisect_left(found, True, key=is_free)
        if index == len(found):
            found.append([])
        found[index].append(place)
    return found


def _spread_out(places: Sequence[int], losses: Sequence[Losses]) -> list[int]:
    """Return the places of one front as an epsilon-net: each as far as can be from those before it."""
    points = _scaled([losses[place] for place in places])
    nearest = dict.fromkeys(range(len(places)), math.inf)  # the distance to those that are chosen
    chosen: list[int] = []
    while nearest:
        index = max(nearest, key=lambda one: (nearest[one], -one))
        del nearest[index]
        chosen.append(places[index])
        nearest = {one: min(gap, math.dist(points[one], points[index])) for one, gap in nearest.items()}
    return chosen


def _scaled(losses: Sequence[Losses]) -> list[tuple[float, ...]]:
    """Return each metric between 0 and 1; an infinite one at its end."""
    columns = []
    for column in zip(*losses, strict=True):
        finite = [value for value in column if math.isfinite(value)]
        low, width = (min(finite), (max(finite) - min(finite)) or 1.0) if finite else (0.0, 1.0)
        columns.append([min(max((value - low) / width, 0.0), 1.0) for value in column])
    return list(zip(*columns, strict=True))
