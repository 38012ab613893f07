"""A study for launchers: a quick objective whose value is known, which workers import wherever they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studies.spec import StudySpec


class Training:
    """Some epochs of sleep."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.x, self.seconds, self.n = float(params["x"]), float(params["seconds"]), 0

    def epoch(self) -> dict[str, float]:
        """Wait, and come closer to the value."""
        time.sleep(self.seconds)
        self.n += 1
        return {"loss": self.x**2 + 1 / self.n}

    def state_dict(self) -> dict[str, Any]:
        """Everything the next epoch depends on."""
        return {"n": self.n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the training that `state` was taken from."""
        self.n = state["n"]


class Parabola:
    """The smallest x**2."""

    metrics: Mapping[str, str] = {"loss": "minimize"}
    datasets: Mapping[str, str] = {"none": "It needs none."}
    space: Mapping[str, Mapping[str, Any]] = {
        "x": {"low": -10.0, "high": 10.0, "default": 1.0},
        "seconds": {"low": 0.0, "high": 60.0, "default": 0.0},
    }

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Callable[[str, float], None]) -> None:
        """Prepare nothing, and say so."""
        progress("nothing", 1.0)

    def start(self, params: Mapping[str, Any], data: Any, *, seed: int, device: str) -> Training:
        """Return a training."""
        return Training(params)


def parabola(name: str, n_trials: int, seconds: float, **given: Any) -> StudySpec:
    """Return a study of so many trials, of two epochs of so many seconds each."""
    known = {
        "name": name, "objective": f"{__name__}:Parabola", "dataset": "none", "metric": "loss", "direction": "minimize",
        "n_trials": n_trials, "max_epochs": 2, "space": {"seconds": seconds}, "pruner": {"name": "none"},
    }  # fmt: skip
    return StudySpec.model_validate(known | given)
