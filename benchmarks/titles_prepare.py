"""How fast, and in how much memory, titles in the course's form are prepared.

    python benchmarks/titles_prepare.py [ROWS]

Generates ROWS rows (300,000 unless given) of the course's JSON lines in a temporary directory: 632 classes,
words of a Zipf-like frequency, about 4.5 a title, 80/19/1 % train, validation, test. Prints seconds and peak
memory.
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from objectives._data.titles import load_titles
from objectives._data.titles_split import ROLES

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


def main() -> None:
    """Generate in a child, so that the peak is the preparation's own, then prepare."""
    import multiprocessing

    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        child = multiprocessing.get_context("spawn").Process(target=generate, args=(place, n_rows))
        child.start()
        child.join()
        started = time.perf_counter()
        titles = load_titles(str(place), place, place / "cache")
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        load_titles(str(place), place, place / "cache")
        again = time.perf_counter() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    per_million = seconds / n_rows * 1e6
    print(f"{n_rows:,} rows: {seconds:.1f} s, {per_million:.1f} s per million, peak {peak_mib:.0f} MiB")
    print(f"opened again in {again * 1e3:.1f} ms; {dict(titles.summary)}")


if __name__ == "__main__":
    main()
