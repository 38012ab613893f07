"""Nothing is found in what ships: every objective, over its whole space, on its tiny data."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ..contracts.test_objectives import NAMES
from .places import Check

# Sizes that take long to train, and mean what the smaller ones do.
SMALLER = {
    "cifar10_cnn": {"widths": [[16, 32], [32, 64]], "batch_size": [128, 256]},
    "lyrics_lstm": {"n_layers": [1, 2], "hidden_size": [128, 300]},
    "meli_cnn": {"n_filters": [10, 50], "hidden_layers": [[128], [256, 128]]},
    "meli_mlp": {"hidden_layers": [[512, 128], [256, 128]]},
}


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_objective_is_sound(checked: Check, name: str, tmp_path: Path) -> None:
    objective = importlib.import_module(f"objectives.{name}").objective
    metric, direction = next(iter(objective.metrics.items()))
    example = getattr(objective, "example", lambda directory: [next(iter(objective.datasets))])
    result = checked(
        f"objectives.{name}",
        seconds=600.0,
        dataset=example(tmp_path)[0],
        metric="balanced_accuracy" if "balanced_accuracy" in objective.metrics else metric,
        direction=direction,
        space=SMALLER.get(name, {}),
    )
    assert not result.findings
    left = {item.name for item in result.not_checked}
    assert not left & {"the parameters", "randomness", "the evaluation", "the baseline", "memory and cost"}
