"""How fast, and in how much memory, titles in the course's form are prepared and trained on.

    python benchmarks/titles_prepare.py [ROWS] [--workers 4]

Generates ROWS rows (300,000 unless given) of the course's JSON lines in a temporary directory: 632 classes,
words of a Zipf-like frequency, about 4.5 a title, 80/19/1 % train, validation, test. Prints seconds and peak
memory. With --workers, so many processes are forked from one that has imported the objective, as the launcher does,
train the title perceptron on the same arrays, and say what memory of theirs no other process shares (USS).
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import resource
import tempfile
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np

from objectives._data.kit.split import ROLES
from objectives._data.titles import load_titles

N_CLASSES = 632
SHARES = (0.80, 0.19, 0.01)


def generate(directory: Path, n_rows: int) -> None:
    """Write the three files."""
    rng = np.random.default_rng(0)
    spelling = np.array(
        [f"w{number:x}".translate(str.maketrans("0123456789", "ghijklmnop")) + "e" for number in range(1_000_000)]
    )
    for role, share in zip(ROLES, SHARES, strict=True):
        with gzip.open(directory / f"spanish.{role}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as file:
            for row in range(int(n_rows * share)):
                words = spelling[np.minimum(rng.zipf(1.15, size=rng.integers(2, 8)), len(spelling)) - 1].tolist()
                record = {
                    "language": "spanish",
                    "label_quality": "reliable",
                    "title": " ".join(words).title() + " 2",
                    "category": f"CATEGORY_{row % N_CLASSES}",
                    "split": role,
                    "tokenized_title": words,
                    "data": [1] * len(words),
                    "target": row % N_CLASSES,
                    "n_labels": N_CLASSES,
                    "size": n_rows,
                }
                file.write(json.dumps(record) + "\n")


def train(data: str, cache: str, n_batches: int, barrier: Any, answers: Any) -> None:
    """Be one worker: train on some batches and score, then say one's memory while the others still have theirs."""
    import itertools

    import psutil
    import torch

    from objectives.meli_mlp import objective
    from studies.spec.space import Space

    torch.set_num_threads(1)
    titles = objective.prepare(data, Path(data), Path(cache))
    params = Space.declared(objective.space).completed({"batch_size": 256})
    training: Any = objective.start(params, titles, seed=os.getpid(), device="cpu")
    batches = training._batches
    training._batches = lambda order: itertools.islice(batches(order), n_batches)
    training.epoch()
    barrier.wait()
    memory = psutil.Process().memory_full_info()
    barrier.wait()
    answers.put((memory.uss, memory.pss, memory.rss))


def share(data: str, cache: str, n_workers: int) -> None:
    """Print what each of the workers needs for itself."""
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["objectives.meli_mlp", "studies.run.worker"])
    barrier, answers = context.Barrier(n_workers), context.Queue()
    workers = [context.Process(target=train, args=(data, cache, 200, barrier, answers)) for _ in range(n_workers)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    for kind, values in zip(("USS", "PSS", "RSS"), zip(*found, strict=True), strict=True):
        print(f"{n_workers} workers, {kind} in MiB: {', '.join(f'{value / 2**20:.0f}' for value in sorted(values))}")


def main() -> None:
    """Generate in a child, so that the peak is the preparation's own, then prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="?", default=300_000)
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        child = multiprocessing.get_context("spawn").Process(target=generate, args=(place, given.rows))
        child.start()
        child.join()
        started = time.perf_counter()
        titles = load_titles(str(place), place, place / "cache")
        seconds = time.perf_counter() - started
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.perf_counter()
        load_titles(str(place), place, place / "cache")
        again = time.perf_counter() - started
        per_million = seconds / given.rows * 1e6
        print(f"{given.rows:,} rows: {seconds:.1f} s, {per_million:.1f} s per million, peak {peak_mib:.0f} MiB")
        print(f"opened again in {again * 1e3:.1f} ms; {dict(titles.summary)}", flush=True)
        if given.workers:
            share(str(place), str(place / "cache"), given.workers)


if __name__ == "__main__":
    main()
