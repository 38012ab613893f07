"""How far from each other settings still train alike: nearer than that to one that was tried, nothing new is learned.

Where a parameter is rounded, has no effect, or only a few settings exist, different settings report the very same
epochs. Small steps from the best then lead to what is known already, and a sampler that takes them is behind one that
draws at random (`benchmarks/results/search.md`, TaskSet).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from studies.search.asha import Setting
from studies.search.cube import Cube, squared_distances

N_EPOCHS = 3  # that two settings have to share: two scores of few examples are often equal by chance
SHARE_ALIKE = 1 / 4  # of the settings with so many epochs; fewer are no sign of a space that repeats itself
N_NEWEST = 400  # of them are looked at: where thousands train alike, all distances would take a second
QUANTILE = 0.9  # of the distances from each such setting to the nearest that trains like it


def apart(points: np.ndarray, cube: Cube, settings: Sequence[Setting], trials: Sequence[FrozenTrial]) -> np.ndarray:
    """Return points, [n, parameters], those first in their order that are beyond reach of all tried, then by distance.

    settings: those of the trials.
    """
    within = reach(settings, cube)
    if not within:
        return points
    tried = cube.features(cube.points([each.params for each in trials if each.params]))
    distances = np.sqrt(squared_distances(cube.features(points), tried).min(axis=1))
    return points[np.argsort(-np.minimum(distances, within), kind="stable")]


def reach(settings: Sequence[Setting], cube: Cube) -> float:
    """Return the distance, as the cube has it, within which settings train alike; 0 where most do not."""
    trained = [each for each in settings if len(each.curve) >= N_EPOCHS and each.last.params][-N_NEWEST:]
    groups: dict[tuple[tuple[float, ...], ...], list[Setting]] = {}
    for setting in trained:
        begin = tuple(setting.curve[epoch] for epoch in sorted(setting.curve)[:N_EPOCHS])
        if _says_something(begin):
            groups.setdefault(begin, []).append(setting)
    alike = [group for group in groups.values() if len(group) > 1]
    if sum(map(len, alike)) < SHARE_ALIKE * len(trained):
        return 0.0
    nearest = [_nearest(cube.features(cube.points([each.last.params for each in group]))) for group in alike]
    return float(np.quantile(np.concatenate(nearest), QUANTILE)) if nearest else 0.0


def _says_something(values: Sequence[tuple[float, ...]]) -> bool:
    """Whether epochs differ, and are numbers: settings that have not begun to learn all report the same."""
    return len(set(values)) > 1 and all(math.isfinite(value) for each in values for value in each)


def _nearest(points: np.ndarray) -> np.ndarray:
    """Return how far each of several points is from the nearest of the others, [n]."""
    squares = squared_distances(points, points)
    squares[np.diag_indices(len(points))] = np.inf
    nearest: np.ndarray = np.sqrt(squares.min(axis=1))
    return nearest
