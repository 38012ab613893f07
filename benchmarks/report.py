"""How long does the report of a large study take, in how much memory, and how large is its page?

    python benchmarks/report.py [--trials 5000] [--repeats 3]

Launches a study of so many trials of 20 epochs, six parameters and ten classes, none pruned, on an embedded
server of its own, and then types `studies report` several times. Seconds are the clock's, with the command's start;
memory is the peak of the command's resident set.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OBJECTIVE = """
import random

CLASSES = [f"class {n}" for n in range(10)]

class Training:
    def __init__(self, params, seed):
        self.draw, self.n, self.params = random.Random(seed), 0, params

    def epoch(self):
        self.n += 1
        right = 0.9 - 0.5 * 0.8**self.n - (self.params["dropout"] - 0.3) ** 2 + self.draw.gauss(0, 0.01)
        self.right = min(max(right, 0.0), 1.0)
        return {"accuracy": self.right, "train_loss": 1 - right, "validation_loss": 1.1 - right, "examples_per_s": 1e4}

    def evidence(self):
        right = round(100 * self.right)
        return {"classes": CLASSES, "confusion": [[right if i == j else (100 - right) // 9 for j in range(10)] for i in range(10)]}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Quick:
    metrics = {"accuracy": "maximize"}
    datasets = {"none": "It needs none."}
    space = {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
        "dropout": {"low": 0.0, "high": 0.7, "default": 0.3},
        "batch_size": {"choices": [32, 64, 128, 256], "default": 64},
        "n_layers": {"low": 1, "high": 6, "default": 2},
        "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
        "hidden_layers": {"choices": [[128], [256, 128]], "default": [128]},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params, seed)
"""  # noqa: E501 - it is another file's text

STUDY = """
name: large
objective: quick:Quick
dataset: none
metric: accuracy
direction: maximize
n_trials: {n_trials}
max_epochs: 20
sampler: {{name: random, seed: 1}}
pruner: {{name: none}}
"""


def timed(arguments: list[str], directory: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run a command of `studies`; return its seconds and its peak memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "studies", *arguments], cwd=directory, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"studies {' '.join(arguments)} failed")
    return took, used.ru_maxrss / 1024


def main() -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("STUDIES_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the launch leaves compiled modules, as an installation does
    environment |= {"STUDIES_HOME": str(place / "home"), "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        (place / "quick.py").write_text(OBJECTIVE)
        (place / "large.yaml").write_text(STUDY.format(n_trials=given.trials))
        timed(["storage", "up"], place, environment)
        took, _ = timed(["launch", "./large.yaml", "--workers", "2"], place, environment)
        print(f"{given.trials:,} trials launched in {took:.0f} s, {given.trials / took:.0f} a second")
        runs = [timed(["report", "large", "-o", "large.html"], place, environment) for _ in range(given.repeats)]
        size = (place / "large.html").stat().st_size / 2**20
        seconds, memory = zip(*runs, strict=True)
        print(
            f"report: median {statistics.median(seconds):.1f} s ({', '.join(f'{each:.1f}' for each in seconds)}), "
            f"at most {max(memory):.0f} MiB, page {size:.1f} MiB"
        )
        timed(["storage", "down"], place, environment)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
