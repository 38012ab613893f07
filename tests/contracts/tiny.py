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

import numpy as np
from PIL import Image


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


def pictures(directory: Path) -> str:
    """Three classes of sixty noisy pictures, each class of another brightness, as a tree of PNG files."""
    draw = np.random.default_rng(0)
    for row in range(180):
        kind = row % 3
        (place := directory / "pictures" / f"kind {kind}").mkdir(parents=True, exist_ok=True)
        pixels = draw.normal(64 + 64 * kind, 60, (32, 32, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{row}.png")
    return str(directory / "pictures")


def songs(directory: Path) -> str:
    """Twenty songs of sixty words each, in the format of songdata.csv; a word depends on the one before it."""
    draw = random.Random(0)
    path = directory / "songs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["artist", "song", "link", "text"])
        for row in range(20):
            words = [draw.randrange(9)]
            for _ in range(59):
                words.append((words[-1] * 2 + draw.randrange(2)) % 9)
            writer.writerow(["Anna", f"Song {row}", "", " ".join("abcdefghi"[word] * 2 for word in words)])
    return str(path)


TINY = {
    "cifar10_cnn": Tiny(pictures, {"batch_size": 128}),
    "lyrics_lstm": Tiny(songs, {"batch_size": 5, "bptt": 20, "adam_learning_rate": 1e-2}),
    "meli_cnn": Tiny(titles, {"n_filters": 10, "batch_size": 64}),
    "meli_mlp": Tiny(titles, {"batch_size": 64}),
}
