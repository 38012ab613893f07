"""The best known value and the median random setting of each task, which regret is measured by.

Of recorded tasks both are facts. Of LCBench the best is what a long search found: random settings, then small steps
from the best of them. `python benchmarks/search.py --find-best` repeats it and writes `known.json` beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from studies.spec.domain import Range
from studies.spec.space import Space

from .regret import Known
from .simulation import Task
from .tasks import LCBENCH_EPOCHS, TIME, VAL_ACCURACY, LcbenchTask, RecordedTask, lcbench

FILE = Path(__file__).with_name("known.json")
N_RANDOM, N_STARTS, N_STEPS = 2_000, 8, 60  # settings, of which so many are improved, each by so many rounds of steps
N_MEDIAN = 1_000  # of the random settings
STEP_SIZES = (0.2, 0.05, 0.01)  # of a parameter's range


def known(task: Task) -> Known:
    """Return what regret on this task is measured by."""
    if isinstance(task, RecordedTask):
        return _recorded(task)
    return Known(**json.loads(FILE.read_text())[task.name])


def _recorded(task: RecordedTask) -> Known:
    best = np.where(np.isnan(task.losses), np.inf, task.losses).min(axis=1)  # some diverge in the first epoch
    return Known(float(best.min()), float(np.median(best)))


def find(task: LcbenchTask, seed: int = 0) -> Known:
    """Return the best of a long search and the median of random settings. A minute and less."""
    rng = np.random.default_rng(seed)
    domains: list[Any] = [parameter.domain for parameter in Space.declared(task.space).parameters.values()]
    units = rng.random((N_RANDOM, len(domains)))
    values = _best_of_curves(task, _settings(domains, units))
    seconds = task.predict(_settings(domains, units[:N_MEDIAN]), [0, LCBENCH_EPOCHS])[:, :, TIME]
    best = values.max()
    for start in np.argsort(-values)[:N_STARTS]:
        best = max(best, _climbed(task, domains, units[start], float(values[start]), rng))
    epoch_s = float(np.median(seconds[:, 1] - seconds[:, 0])) / LCBENCH_EPOCHS
    some = values[:N_MEDIAN]
    figures = float(best), float(np.median(some)), epoch_s, float(some.max())
    return Known(*(round(figure, 4) for figure in figures))


def find_all(curves: Path) -> None:
    """Write FILE anew. curves: the folder with the trained model. Raises DataMissing."""
    found = {task.name: asdict(find(task)) for task in lcbench(curves)}
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def _climbed(
    task: LcbenchTask, domains: Sequence[Range], unit: np.ndarray, value: float, rng: np.random.Generator
) -> float:
    for step in range(N_STEPS):
        size = STEP_SIZES[step * len(STEP_SIZES) // N_STEPS]
        moved = rng.random((6, len(domains))) < 0.4
        near = np.clip(unit + moved * rng.normal(0, size, moved.shape), 0, 1)
        found = _best_of_curves(task, _settings(domains, near))
        if found.max() > value:
            unit, value = near[found.argmax()], float(found.max())
    return value


def _best_of_curves(task: LcbenchTask, settings: list[list[float]]) -> np.ndarray:
    """Return the best value of each setting's whole training, [n]."""
    parts = [settings[first : first + 100] for first in range(0, len(settings), 100)]
    curves = [task.predict(part, range(1, LCBENCH_EPOCHS + 1))[:, :, VAL_ACCURACY] for part in parts]
    return np.concatenate(curves).max(axis=1)


def _settings(domains: Sequence[Range], units: np.ndarray) -> list[list[float]]:
    """Return settings for points of the unit cube, [n, parameters]."""
    columns = [_scaled(domain, units[:, index]) for index, domain in enumerate(domains)]
    return np.column_stack(columns).tolist()


def _scaled(domain: Range, unit: np.ndarray) -> np.ndarray:
    half = 0.5 if domain.whole else 0.0
    low, high = domain.low - half, domain.high + half
    values = np.exp(np.log(low) + unit * np.log(high / low)) if domain.log else low + unit * (high - low)
    return np.clip(np.round(values), domain.low, domain.high) if domain.whole else values
