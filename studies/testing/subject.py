"""An objective with data to try it on: its own example, or the first of its data sets that is there."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from studies.run.encoding import decoded, encoded
from studies.run.objective import import_objective
from studies.spec.domain import Choice, Range
from studies.spec.space import Parameter, Space

TIMED = ("_per_s", "_s", "_mib")  # how a metric's name ends when its value depends on the machine


class Subject:
    """An objective with a data set and quick parameters.

    dataset, params: in place of those of the objective's `example`. device: to train on. inputs: what to ask its
    predictor; none where the objective does not say.
    """

    def __init__(
        self, path: str, directory: Path, dataset: str | None, params: Mapping[str, Any], device: str = "cpu"
    ) -> None:
        self.path, self.directory, self.device = path, directory, device
        self.objective: Any = import_objective(path)
        self.space = Space.declared(self.objective.space)
        example: tuple[Any, ...] = getattr(self.objective, "example", lambda directory: (None,))(directory)
        self.quick: dict[str, Any] = {**(example[1] if len(example) > 1 else {}), **params}
        self.inputs: Sequence[str] = example[2] if len(example) > 2 else ()
        chosen = dataset or example[0]
        self.dataset, self.data = self._first_there([chosen] if chosen else list(self.objective.datasets))

    def _first_there(self, datasets: Sequence[str]) -> tuple[str, Any]:
        why = "it declares none"
        for dataset in datasets:
            try:
                return dataset, self.prepare(dataset, "cache")
            except ValueError as error:  # the objectives' DataError among them
                why = str(error)
        pytest.skip(f"no data set of {self.path} is here ({why}); write example(), or set `dataset`")

    def prepare(self, dataset: str, cache: str) -> Any:
        """Prepare a data set in a cache of this name."""
        return self.objective.prepare(dataset, self.directory, self.directory / cache, lambda what, fraction: None)

    def params(self, **given: Any) -> dict[str, Any]:
        """Return a trial's parameters: the quick ones, the defaults of the others, and these."""
        return self.space.completed(self.quick | given)

    def start(self, seed: int = 7, **given: Any) -> Any:
        """Return a training that has done no epoch yet."""
        return self.objective.start(self.params(**given), self.data, seed=seed, device=self.device)

    def values(self, seed: int = 7, n_epochs: int = 3, **given: Any) -> list[dict[str, float]]:
        """Return the metrics of a fresh training's epochs, without those that depend on the machine."""
        training = self.start(seed, **given)
        return [untimed(training.epoch()) for _ in range(n_epochs)]


def untimed(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that do not depend on how fast or large the machine is."""
    return {name: value for name, value in metrics.items() if not name.endswith(TIMED)}


def through_a_checkpoint(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training's state as it comes out of a checkpoint."""
    restored: dict[str, Any] = decoded(encoded({"state": state}))["state"]
    return restored


def another(parameter: Parameter, value: Any) -> Any:
    """Return a value of the parameter that is not `value`, or `value` where there is no other."""
    if isinstance(parameter.domain, Choice):
        return next((choice for choice in parameter.domain.choices if choice != value), value)
    assert isinstance(parameter.domain, Range)
    return parameter.domain.low if value != parameter.domain.low else parameter.domain.high


def disturb(seed: int) -> None:
    """Change the state of every random generator of the process, as whatever else runs in it does."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
