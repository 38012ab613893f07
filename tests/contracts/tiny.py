"""A tiny data set for each objective, made at test time, and parameters that make an epoch quick.

An objective without an entry fails the contract suite: add one here.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tiny:
    """make: writes the data below a directory and returns the `dataset` to prepare. params: quick ones."""

    make: Callable[[Path], str]
    params: dict[str, Any] = field(default_factory=dict)


def titles(directory: Path) -> str:
    """Three categories of sixty titles whose words overlap a little, as a PriceRunner file."""
    draw = random.Random(0)
    path = directory / "titles.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in range(180):
            kind = row % 3
            words = [f"word{kind}{draw.randrange(12)}" for _ in range(draw.randint(1, 7))]
            words += [f"common{draw.randrange(5)}" for _ in range(draw.randint(0, 3))]
            writer.writerow([row, " ".join(words) + f" n{row}", 1, kind, f"cluster {kind}", kind, f"Category {kind}"])
    return str(path)


TINY = {
    "meli_cnn": Tiny(titles, {"n_filters": 10, "batch_size": 64}),
    "meli_mlp": Tiny(titles, {"batch_size": 64}),
}
