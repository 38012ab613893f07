"""A user's objective whose value depends on its seed and on nothing that happens to it, and a study of it."""

from __future__ import annotations

import random

MODULE = """
import random, time
from pathlib import Path

class Training:
    def __init__(self, params, seed):
        self.params, self.n = params, 0
        self.noise = random.Random(f"{seed} {params['x']}").gauss(0, params["noise"])

    def epoch(self):
        self.n += 1
        time.sleep(0 if Path("quick").exists() else self.params["seconds"])
        if self.params["mood"] == "raises":
            raise RuntimeError("the objective broke")
        loss = (self.params["x"] - 2) ** 2 + 1 / self.n + self.noise
        return {"loss": loss, "train_loss": loss}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Noisy:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "x": {"low": -10.0, "high": 10.0, "default": 0.0},
        "mood": {"choices": ["fine", "raises"], "default": "fine"},
        "noise": {"low": 0.0, "high": 5.0, "default": 0.1},
        "seconds": {"low": 0.0, "high": 60.0, "default": 0.0},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params, seed)
"""

N_EPOCHS = 3

STUDY = f"""
name: noisy
objective: noisy:Noisy
dataset: none
metric: loss
direction: minimize
n_trials: 8
max_epochs: {N_EPOCHS}
space: {{mood: fine, seconds: 0.0, noise: 0.1}}
pruner: {{name: none}}
start_with: [{{x: 0.5}}, {{x: 2.0}}, {{x: 2.05}}, {{x: 9.0}}]
"""


def value(x: float, seed: int, noise: float = 0.1) -> float:
    """Return what a training of it ends with."""
    return (x - 2) ** 2 + 1 / N_EPOCHS + random.Random(f"{seed} {x}").gauss(0, noise)
