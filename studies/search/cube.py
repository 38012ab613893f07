"""Settings as points of the unit cube, one coordinate for each parameter, and as what distances are measured between.

A range's coordinate is where a value lies in it, on a logarithmic scale where the range has one. A choice has an equal
part of [0, 1] for each of its values, and in `features` a coordinate for each: all of them are equally far apart. What
a setting does not have, as a parameter with `when`, is in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

MIDDLE = 0.5
STEP_SIZES = (0.03, 0.1, 0.3)  # of a range, for settings near another
MOVED = (0.3, 1.0)  # how likely a parameter differs: a few of them, or all


def squared_distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the square of how far each of the points is from each of the others, [n, m]."""
    squares: np.ndarray = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1)[None] - 2 * points @ others.T
    squares = np.maximum(squares, 0)
    return squares


class Cube:
    """The unit cube of a search space."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._axes = {name: _axis(distribution) for name, distribution in space.items()}

    def points(self, settings: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return the points of settings as the storage has them, [n, parameters]."""
        points = np.full((len(settings), len(self._axes)), MIDDLE)
        for index, (name, axis) in enumerate(self._axes.items()):
            having = [place for place, params in enumerate(settings) if name in params]
            points[having, index] = axis.units_of([settings[place][name] for place in having])
        return points

    def params(self, point: np.ndarray) -> dict[str, Any]:
        """Return the setting at a point, as the storage has it."""
        return {name: axis.value_at(unit) for (name, axis), unit in zip(self._axes.items(), point, strict=True)}

    def snapped(self, points: np.ndarray) -> np.ndarray:
        """Return for each point the one of its setting, [n, parameters]: whole numbers, steps and choices are few."""
        return np.column_stack([axis.snapped(points[:, index]) for index, axis in enumerate(self._axes.values())])

    def features(self, points: np.ndarray) -> np.ndarray:
        """Return what distances between settings are measured by, [n, parameters and choices]."""
        columns = [axis.features(points[:, index]) for index, axis in enumerate(self._axes.values())]
        return np.concatenate(columns, axis=1)

    def at_random(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return n random points, [n, parameters]."""
        return self.snapped(rng.random((n, len(self._axes))))

    def near(self, rng: np.random.Generator, point: np.ndarray, n: int) -> np.ndarray:
        """Return n points that differ from a point in a few parameters or in all, a little or much."""
        size = rng.choice(STEP_SIZES, size=(n, 1))
        is_moved = rng.random((n, len(point))) < rng.choice(MOVED, size=(n, 1))
        moved = np.abs(point + size * rng.normal(size=is_moved.shape))
        moved = np.clip(np.where(moved > 1, 2 - moved, moved), 0, 1)  # reflected at both ends
        other = np.where([axis.is_choice for axis in self._axes.values()], rng.random(is_moved.shape), moved)
        return self.snapped(np.where(is_moved, other, point))


class _Numbers:
    """A range. Of whole numbers and steps, each value has an equal part of the axis, or of its logarithm."""

    is_choice = False

    def __init__(self, given: FloatDistribution | IntDistribution) -> None:
        self._given = given
        self._low, self._high = float(given.low), float(given.high)
        if given.step is not None:
            self._low, self._high = self._low - given.step / 2, self._high + given.step / 2
        if given.log:
            self._low, self._high = float(np.log(self._low)), float(np.log(self._high))
        self._width = (self._high - self._low) or 1.0

    def units_of(self, values: Sequence[float]) -> np.ndarray:
        units: np.ndarray = np.clip(self._units(np.array(values, dtype=float)), 0, 1)
        return units

    def value_at(self, unit: float) -> float | int:
        value = float(self._values(np.array([unit]))[0])
        return round(value) if isinstance(self._given, IntDistribution) else value

    def snapped(self, units: np.ndarray) -> np.ndarray:
        return units if self._given.step is None else self._units(self._values(units))

    def features(self, units: np.ndarray) -> np.ndarray:
        return units[:, None]

    def _values(self, units: np.ndarray) -> np.ndarray:
        values = self._low + units * self._width
        values = np.exp(values) if self._given.log else values
        if self._given.step is not None:
            values = self._given.low + np.round((values - self._given.low) / self._given.step) * self._given.step
        return np.clip(values, self._given.low, self._given.high)

    def _units(self, values: np.ndarray) -> np.ndarray:
        return ((np.log(values) if self._given.log else values) - self._low) / self._width


class _Choices:
    """Values without an order."""

    is_choice = True

    def __init__(self, given: CategoricalDistribution) -> None:
        self._given = given

    def units_of(self, values: Sequence[Any]) -> np.ndarray:
        return np.array([self._unit_of(value) for value in values])

    def _unit_of(self, value: Any) -> float:
        try:
            return (self._given.to_internal_repr(value) + 0.5) / len(self._given.choices)
        except ValueError:  # of another study, which had other choices
            return MIDDLE

    def value_at(self, unit: float) -> Any:
        return self._given.choices[int(self._indices(np.array([unit]))[0])]

    def snapped(self, units: np.ndarray) -> np.ndarray:
        return (self._indices(units) + 0.5) / len(self._given.choices)

    def features(self, units: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.eye(len(self._given.choices))[self._indices(units)] / np.sqrt(2)
        return found

    def _indices(self, units: np.ndarray) -> np.ndarray:
        n = len(self._given.choices)
        indices: np.ndarray = np.minimum((units * n).astype(int), n - 1)
        return indices


def _axis(distribution: BaseDistribution) -> _Numbers | _Choices:
    if isinstance(distribution, CategoricalDistribution):
        return _Choices(distribution)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return _Numbers(distribution)
