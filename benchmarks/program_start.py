"""Trials of a script that imports torch, started by exec and by fork (`preload: [torch]`), taking turns.

    python benchmarks/program_start.py --trials 6 --train 2

A trial trains for so many seconds, and by exec imports torch before. Each trial is started,
listened to and ended as a worker does it, without a storage. What is printed: seconds a trial and trials an hour, of
each way the median, and how many times as many. The import that a worker does once is in the first trial by fork, which
is measured apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from studies.run.program import ProgramEnded, ProgramObjective
from studies.spec import StudySpec

SCRIPT = """
import sys, time
import torch
from studies import program

torch.manual_seed(program.seed)
x, w, ends = torch.rand(256, 64), torch.rand(64, 64), time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends:
    w = torch.tanh(x.T @ (x @ w) / 256)
program.report(1, score=w.mean().item())
"""
PRELOADS: dict[str, list[str]] = {"exec": [], "fork": ["torch"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=6, help="of each way")
    parser.add_argument("--train", type=float, default=2.0, help="seconds of training in a trial")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "train.py").write_text(SCRIPT)
        ways = {way: objective(directory, args.train, preload) for way, preload in PRELOADS.items()}
        print(f"the first trial by fork, with the import: {seconds_of(ways['fork'], 0):.1f} s")
        took: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(1, args.trials + 1):
            for way in ways if number % 2 else reversed(ways):
                took[way].append(seconds_of(ways[way], number))
    medians = {way: statistics.median(seconds) for way, seconds in took.items()}
    for way, seconds in took.items():
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"{way}: {medians[way]:.2f} s a trial ({spread}, n {len(seconds)}), {3600 / medians[way]:.0f} an hour")
    print(f"by fork {medians['exec'] / medians['fork']:.2f} times as many trials an hour")


def objective(directory: Path, train_s: float, preload: list[str]) -> ProgramObjective:
    """Return the script as an objective."""
    command = ["{python}", "train.py", str(train_s)]
    spec = {
        "name": "start", "objective": {"command": command, "directory": str(directory), "preload": preload},
        "metric": "score", "direction": "maximize", "n_trials": 1, "resources": {"gpus_per_worker": 0},
    }  # fmt: skip
    return ProgramObjective(StudySpec.model_validate(spec), directory)


def seconds_of(one: ProgramObjective, number: int) -> float:
    """Run one trial; return how long it took, its end included."""
    started = time.monotonic()
    training = one.start({}, None, seed=number, device="cpu", number=number)
    try:
        training.epoch()
    except ProgramEnded:
        pass
    finally:
        training.close()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
