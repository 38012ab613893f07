"""What does it cost a training with a thread for each core that another program wants the cores, too?

    python benchmarks/busy_cores.py [--rounds 3]

torch's threads wait for each other at the end of every operation, by OpenMP's default for about a millisecond without
letting go of their core. A thread that shares its core has then used up its turn when there is work, and all wait for
its next one. `studies` lets them wait for some microseconds before they sleep (GOMP_SPINCOUNT). This trains the title
perceptron, whose operations are short, with and without that: alone, beside a process that computes, and beside
another training like itself. Prints seconds of an epoch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from studies.cli import SPINS

TRAIN = """
import sys, time
from pathlib import Path
from objectives.meli_mlp import objective

cache, n_epochs = Path(sys.argv[1]), int(sys.argv[2])
data = objective.prepare("pricerunner", cache, cache)
params = {name: domain["default"] for name, domain in objective.space.items() if name != "momentum"}
params |= {"batch_size": 256, "freeze_embeddings": True, "hidden_layers": [512, 256, 256, 128]}
training = objective.start(params, data, seed=0, device="cpu")
print("begins", flush=True)
for _ in range(n_epochs):
    started = time.perf_counter()
    training.epoch()
    print(time.perf_counter() - started, flush=True)
"""
SETTINGS = {"OpenMP's default": None, f"GOMP_SPINCOUNT={SPINS}": SPINS}
BESIDE = ("nothing", "a process that computes", "another such training")


def command(cache: str, n_epochs: int) -> list[str]:
    """Return what trains."""
    return [sys.executable, "-c", TRAIN, cache, str(n_epochs)]


@contextmanager
def beside(what: str, cache: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Let something else want the cores."""
    if what == "nothing":
        yield
        return
    busy = [sys.executable, "-c", "print('begins', flush=True)\nwhile True: pass"]
    words = busy if what == "a process that computes" else command(cache, 10**6)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        try:
            yield
        finally:
            process.kill()


def epoch_s(spins: str | None, what: str, cache: str) -> float:
    """Return the seconds of one epoch in a new process with a thread for each core."""
    environment = os.environ | {"OMP_NUM_THREADS": str(os.cpu_count()), "PYTHONPATH": "."}
    environment.pop("GOMP_SPINCOUNT", None)
    if spins is not None:
        environment["GOMP_SPINCOUNT"] = spins
    with beside(what, cache, environment):
        done = subprocess.run(command(cache, 1), env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(given.rounds):
            for what in BESIDE:
                for name, spins in SETTINGS.items():
                    found.setdefault((what, name), []).append(epoch_s(spins, what, cache))
    print(f"Seconds of an epoch, {os.cpu_count()} threads, n = {given.rounds}: median (each)\n")
    print(f"| beside it | {' | '.join(SETTINGS)} |\n|---|{'---|' * len(SETTINGS)}")
    for what in BESIDE:
        cells = [found[what, name] for name in SETTINGS]
        shown = [f"{statistics.median(each):.2f} ({', '.join(f'{s:.2f}' for s in each)})" for each in cells]
        print(f"| {what} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
