"""How much faster do the nets on rows of numbers train than in the loops they replace, to the same value?

    python benchmarks/training.py              speeds, as Markdown tables
    python benchmarks/training.py --quality    the reference results of the objectives' docstrings
    python benchmarks/training.py --rows       the authors' motor net, split by rows as they did and by sessions

Two loops are compared with ours; each has the same model, parameters, rows and one thread; ours leaves out the pixels
that are dark in every training image. `loader` draws items one by one through a DataLoader over a TensorDataset, the
usual way. `slices` cuts batches out of arrays without shuffling them anew, as both groups of authors did. Both use
torch's optimizer as it comes and read each step's loss with `.item()`; every loop scores the validation rows after each
epoch, by the same code. The three take turns, a seed each turn. Time is the process's CPU time, which on one thread is
the wall clock of an idle machine, so that neighbours do not decide the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from objectives import mnist_target, pmsm_temperature
from objectives._contract import Objective
from objectives._data.digits import Digits
from objectives._data.motor import COLUMNS, Motor
from objectives._metrics import r_squared
from objectives._tabular import PerceptronFit
from studies.spec.space import Space

LOOPS = ("loader", "slices", "ours")
# The authors' nets, with settings that learn something within the few epochs of a measurement.
DIGITS = {"hidden_layers": [32, 64], "dropout": 0.0, "weight_decay": 0.0, "positive_weight": 1.0}
MOTOR = {"width": 6, "depth": 5, "learning_rate": 1e-3, "features": "stator+coolant+ambient"}
BEST_MOTOR = {"features": "stator+coolant+ambient"}
BEST_DIGITS: dict[str, Any] = {}


def started(
    objective: Objective, data: Any, given: Mapping[str, Any], seed: int, device: str = "cpu"
) -> tuple[PerceptronFit, dict[str, Any]]:
    """Return a training with these parameters, and all of them."""
    params = Space.declared(objective.space).completed(given)
    training = objective.start(params, data, seed=seed, device=device)
    assert isinstance(training, PerceptronFit)
    return training, params


def authors_epoch(model: nn.Module, batches: Iterator[Any], optimizer: torch.optim.Optimizer, digits: bool) -> float:
    """Train on every batch as the authors did; return the summed loss."""
    model.train()
    total = 0.0
    for inputs, target in batches:
        optimizer.zero_grad()
        answers = model(inputs)
        loss = F.binary_cross_entropy_with_logits(answers, target) if digits else F.mse_loss(answers, target)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(target)
    return total


def authors_optimizer(model: nn.Module, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return torch's optimizer as it comes."""
    if params.get("optimizer") == "adam":
        return torch.optim.Adam(model.parameters(), lr=params["learning_rate"])
    return torch.optim.SGD(model.parameters(), lr=params["learning_rate"], momentum=params["momentum"])


def slices(inputs: Tensor, target: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches in the order of the rows."""
    for begin in range(0, len(target), batch_size):
        yield inputs[begin : begin + batch_size], target[begin : begin + batch_size]


def all_pixels(data: Digits) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the numbers of all pixels: leaving dark ones out is a part of what is compared."""
    return np.arange(data.train.pixels.shape[1])


def timed(
    loop: str,
    objective: Objective,
    data: Any,
    given: Mapping[str, Any],
    n_epochs: int,
    seed: int,
    device: str = "cpu",
) -> Any:
    """Return examples a second, and the metrics after the last epoch; on a GPU, of the wall clock."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    with nullcontext() if loop == "ours" else patch.object(mnist_target, "lit_pixels", all_pixels):
        training, params = started(objective, data, given, seed, device)
    batches = training._batches(torch.Generator().manual_seed(seed))
    inputs, target = map(torch.cat, zip(*((rows.clone(), answers) for rows, answers in batches), strict=True))
    optimizer = authors_optimizer(training.model, params)
    torch.manual_seed(seed)
    rows = TensorDataset(inputs.cpu(), target.cpu())  # as the usual way has them
    loader = DataLoader(rows, batch_size=params["batch_size"], shuffle=True)
    metrics: dict[str, float] = {}
    began = clock()
    for _ in range(n_epochs):
        if loop == "ours":
            metrics = training.epoch()
        else:
            moved = ((each.to(device), answers.to(device)) for each, answers in loader)
            batches = moved if loop == "loader" else slices(inputs, target, params["batch_size"])
            authors_epoch(training.model, batches, optimizer, objective is mnist_target.objective)
            metrics = training._scored("validation")
    return len(target) * n_epochs / (clock() - began), metrics


def speeds(data: Mapping[Objective, Any], n_seeds: int) -> None:
    """Print what each loop does in a second, and what its net is worth afterwards."""
    cases = [
        (mnist_target.objective, DIGITS, [10, 50, 100, 750], 10, "balanced_accuracy"),
        (pmsm_temperature.objective, MOTOR, [128, 512, 2048], 1, "r2"),
    ]
    for objective, given, batch_sizes, n_epochs, metric in cases:
        print(f"\n{type(objective).__name__}, {metric} after {n_epochs} epochs, n = {n_seeds} seeds\n")
        print("| batch | loader, 1/s | slices, 1/s | ours, 1/s | ours / loader | ours / slices |", end="")
        print(" value: loader | slices | ours |\n|" + "---|" * 9)
        for batch_size in batch_sizes:
            found: dict[str, list[tuple[float, float]]] = {loop: [] for loop in LOOPS}
            timed("ours", objective, data[objective], {**given, "batch_size": batch_size}, 1, 0)  # warm up
            for seed in range(n_seeds):
                for loop in LOOPS:
                    each = timed(loop, objective, data[objective], {**given, "batch_size": batch_size}, n_epochs, seed)
                    found[loop].append((each[0], each[1][metric]))
            row = [f"{statistics.median(speed for speed, _ in found[loop]):,.0f}" for loop in LOOPS]
            for other in LOOPS[:2]:
                ratios = [ours / theirs for (ours, _), (theirs, _) in zip(found["ours"], found[other], strict=True)]
                row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            row += [spread([value for _, value in found[loop]]) for loop in LOOPS]
            print(f"| {batch_size} | {' | '.join(row)} |", flush=True)


def quality(data: Mapping[Objective, Any], n_seeds: int) -> None:
    """Print the validation value of the best epoch, whose weights then meet the test rows."""
    for objective, given, n_epochs in [
        (mnist_target.objective, BEST_DIGITS, 30),
        (pmsm_temperature.objective, BEST_MOTOR, 8),
        (pmsm_temperature.objective, {}, 8),
    ]:
        metric = next(iter(objective.metrics))
        best, last, test = [], [], []
        for seed in range(n_seeds):
            training, _ = started(objective, data[objective], given, seed)
            values, kept = [], training.state_dict()
            for _ in range(n_epochs):
                values.append(training.epoch()[metric])
                if values[-1] == max(values):
                    kept = {
                        **training.state_dict(),
                        "model": {k: v.clone() for k, v in training.model.state_dict().items()},
                    }
            training.model.load_state_dict(kept["model"])
            best.append(max(values))
            last.append(values[-1])
            test.append(training.test()[metric])
        print(f"{type(objective).__name__} {given or 'defaults'}, {metric}, {n_epochs} epochs, n = {n_seeds} seeds:")
        print(f"  best epoch {spread(best)}, last {spread(last)}, test at the best epoch {spread(test)}", flush=True)


def rows(motor: Motor, n_seeds: int) -> None:
    """Print R2 of H, H-1, H-1, H-2, H-3 with a sigmoid over a standardised target, on two splits."""
    inputs = motor.values[:, [COLUMNS.index(name) for name in pmsm_temperature.FEATURES["inputs"]]]
    pm = motor.values[:, COLUMNS.index("pm")]
    by_session = motor.rows("train"), motor.rows("validation")
    for split in ("rows", "sessions"):
        for kind in ("adam, a sigmoid at the end", "adam, linear at the end"):
            found = []
            for seed in range(n_seeds):
                torch.manual_seed(seed)
                shuffled = torch.randperm(len(pm)).numpy()
                cut = len(pm) * 2 // 3  # test_size = 0.33
                train, test = (shuffled[:cut], shuffled[cut:]) if split == "rows" else by_session
                x, y = torch.from_numpy(inputs[train]), torch.from_numpy(pm[train])
                middle, size = y.mean(), y.std()
                widths = [inputs.shape[1], 6, 5, 5, 4, 3]
                layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
                end = [nn.Sigmoid()] if "sigmoid" in kind else []
                model = nn.Sequential(*layers, nn.Linear(3, 1), *end, nn.Flatten(0))
                optimizer = torch.optim.Adam(model.parameters())
                for _ in range(5):
                    shuffle = torch.randperm(len(y))
                    authors_epoch(model, slices(x[shuffle], (y[shuffle] - middle) / size, 512), optimizer, False)
                with torch.inference_mode():
                    answers = model(torch.from_numpy(inputs[test])) * size + middle
                found.append(r_squared(pm[test], answers.numpy()))
            print(f"split by {split}, {kind}: R2 {spread(found)}, n = {n_seeds} seeds", flush=True)


def spread(values: list[float]) -> str:
    """Return mean and standard deviation."""
    return f"{statistics.mean(values):.4f} +- {statistics.stdev(values):.4f}" if len(values) > 1 else f"{values[0]:.4f}"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--rows", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "studies" / "benchmarks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    digits = mnist_target.objective.prepare("mnist-5k", given.cache, given.cache)
    motor = pmsm_temperature.objective.prepare("simulated", given.cache, given.cache)
    data = {mnist_target.objective: digits, pmsm_temperature.objective: motor}
    if given.quality:
        quality(data, given.seeds)
    elif given.rows:
        rows(motor, given.seeds)
    else:
        speeds(data, given.seeds)


if __name__ == "__main__":
    np.seterr(all="ignore")  # a net that diverges is a result, not a warning
    main()
