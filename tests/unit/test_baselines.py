"""The linear baseline: what it is, that it is honest, and that it is computed once a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objectives._baselines import ridge
from objectives.meli_mlp import MeliMlp
from objectives.pmsm_temperature import PmsmTemperature
from studies.run.baselines import baselines_of, kept_baselines
from studies.settings import Settings


def test_ridge_finds_a_linear_function_and_knows_nothing_of_noise() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(2000, 5)).astype(np.float32)
    target = (inputs @ np.array([1.0, -2.0, 0.0, 0.5, 3.0]) + 7).astype(np.float32)
    errors = [np.abs(found - target[1000:]).max() for found in ridge(inputs[:1000], target[:1000], inputs[1000:])]
    assert min(errors) < 0.05
    assert errors == sorted(errors)
    noise = draw.normal(size=2000).astype(np.float32)
    for found in ridge(inputs[:1000], noise[:1000], inputs[1000:]):
        assert np.mean((found - noise[1000:]) ** 2) > 0.9 * noise[1000:].var()


def test_ridge_takes_columns_that_repeat_each_other() -> None:
    column = np.linspace(0, 1, 50, dtype=np.float32)
    inputs = np.stack([column, column, np.zeros_like(column)], axis=1)
    assert np.abs(next(ridge(inputs, column, inputs)) - column).max() < 0.05


@pytest.mark.parametrize(("kind", "least"), [(MeliMlp, 0.9), (PmsmTemperature, -10.0)])
def test_shipped_objectives_have_one(kind: Any, least: float, tmp_path: Path) -> None:
    """The motor's tiny example has sessions that nothing can be learnt from: not even the mean is right there."""
    objective = kind()
    example = objective.example(tmp_path)
    data = objective.prepare(example[0], tmp_path, tmp_path / "cache")
    found = baselines_of(objective, data)
    assert set(found) <= set(objective.metrics)
    metric = next(iter(objective.metrics))
    assert least < found[metric] <= 1


class Mine:
    """An objective of one's own whose baseline counts how often it is asked for."""

    def __init__(self) -> None:
        self.n_asked = 0

    def baselines(self, data: Any) -> dict[str, float]:
        self.n_asked += 1
        return {"accuracy": 0.5, "broken": float("nan")}


def test_it_is_computed_once_a_data_set(tmp_path: Path) -> None:
    settings, mine = Settings(None, tmp_path, tmp_path), Mine()
    for _ in range(2):
        assert kept_baselines(mine, object(), "a" * 64, settings) == {"accuracy": 0.5}
    assert mine.n_asked == 1
    kept_baselines(mine, object(), "b" * 64, settings)
    assert mine.n_asked == 2


def test_one_that_fails_keeps_nobody_from_training(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def baselines(self, data: Any) -> dict[str, float]:
            raise RuntimeError("no such column")

    assert baselines_of(Broken(), None) == {}
    assert "no such column" in capsys.readouterr().err
    assert baselines_of(object(), None) == {}
