"""Ten epochs of sleep as an objective of a study."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

N_REPORTS = 10


class Training:
    """A trial. Its journal and its seconds are given by the environment, as they are no matter of the search."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.x, self.n = params["x"], 0
        self.seconds = float(os.environ["SLEEPING_TRIAL_S"])
        self._tell("begin")

    def epoch(self) -> dict[str, float]:
        """Sleep."""
        self.n += 1
        time.sleep(self.seconds / N_REPORTS)
        if self.n == N_REPORTS:
            self._tell("end")
        return {"loss": self.x + 1 / self.n}

    def state_dict(self) -> dict[str, Any]:
        """See `objectives.Training`."""
        return {"n": self.n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `objectives.Training`."""
        self.n = state["n"]

    def _tell(self, what: str) -> None:
        with Path(os.environ["SLEEPING_JOURNAL"]).open("a") as journal:
            journal.write(f"{what} {os.getpid()} {time.monotonic()}\n")


class Sleep:
    """An objective that needs nothing."""

    metrics: ClassVar[dict[str, str]] = {"loss": "minimize"}
    datasets: ClassVar[dict[str, str]] = {"none": "It needs none."}
    space: ClassVar[dict[str, Any]] = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> None:
        """Nothing."""

    def start(self, params: dict[str, Any], data: None, *, seed: int, device: str) -> Training:
        """Begin a trial."""
        return Training(params)
