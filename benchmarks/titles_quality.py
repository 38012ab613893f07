"""What the two title classifiers reach on the bundled titles, from several seeds.

    python benchmarks/titles_quality.py

The settings are those of a few tries by hand, not the best of a study; their epoch is that of the best validation
value, whose weights then meet the test titles once. results/titles-baseline.md has a linear model on the same split.
Writes results/titles-quality.md.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from objectives import meli_cnn, meli_mlp
from objectives._titles import TitleObjective

RESULTS = Path(__file__).parent / "results" / "titles-quality.md"
SETTINGS: list[tuple[str, TitleObjective, int, dict[str, Any]]] = [
    ("pricerunner", meli_cnn.objective, 6, {"learning_rate": 2e-3, "batch_size": 128, "dropout": 0.3}),
    ("pricerunner", meli_mlp.objective, 8, {"learning_rate": 2e-3, "batch_size": 128, "dropout": 0.3}),
    ("pricerunner-clusters", meli_cnn.objective, 25, {"learning_rate": 2e-3, "batch_size": 128, "dropout": 0.3}),
    (
        "pricerunner-clusters", meli_mlp.objective, 25,
        {"learning_rate": 2e-3, "batch_size": 64, "dropout": 0.5, "hidden_layers": [2048, 1024]},
    ),
]  # fmt: skip
HEAD = """# The title classifiers on the bundled titles

Balanced accuracy, mean ± standard deviation over n = {n} seeds on the one fixed split, at the epoch of the best
validation value. Machine: virtual machine, 2 cores of an AMD EPYC, no GPU, one thread, torch {torch}.
Command: `python benchmarks/titles_quality.py`

| data set | classes | model | epochs | settings besides the defaults | validation | test | seconds a training |
|---|---|---|---|---|---|---|---|"""


def trained(
    objective: TitleObjective, data: Any, given: dict[str, Any], n_epochs: int, seed: int
) -> tuple[float, float]:
    """The best validation value of a training, and the test value of its weights."""
    defaults = {name: domain["default"] for name, domain in objective.space.items() if "when" not in domain}
    training = objective.start(defaults | given, data, seed=seed, device="cpu")
    best, kept = 0.0, training.model.state_dict()
    for _ in range(n_epochs):
        value = training.epoch()["balanced_accuracy"]
        if value > best:
            best, kept = value, copy.deepcopy(training.model.state_dict())
    training.model.load_state_dict(kept)
    return best, training.test()["balanced_accuracy"]


def rows(n_seeds: int, cache: Path) -> Iterator[str]:
    """A row of the table for each of SETTINGS."""
    for dataset, objective, n_epochs, given in SETTINGS:
        data = objective.prepare(dataset, cache, cache)
        began = time.perf_counter()
        values = [trained(objective, data, given, n_epochs, seed) for seed in range(n_seeds)]
        seconds = (time.perf_counter() - began) / n_seeds
        validation, test = (spread(list(role)) for role in zip(*values, strict=True))
        model = type(objective).__name__.removeprefix("Meli").upper()
        settings = ", ".join(f"{name} {value}" for name, value in given.items())
        yield (
            f"| {dataset} | {data.summary['classes']} | {model} | {n_epochs} | {settings} | {validation} | {test} "
            f"| {seconds:.0f} |"
        )


def spread(values: list[float]) -> str:
    """The mean and the standard deviation; of one seed its value."""
    return f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "studies" / "benchmarks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.cache.mkdir(parents=True, exist_ok=True)
    lines = [HEAD.format(n=given.seeds, torch=torch.__version__.partition("+")[0])]
    for row in rows(given.seeds, given.cache):
        print(row, flush=True)
        lines.append(row)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
