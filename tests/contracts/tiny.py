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

from objectives._data.motor_simulated import simulate


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


def digits(directory: Path) -> str:
    """Thirty images of each digit in the form of the bundled file: noise, and a stroke where the digit says."""
    draw = random.Random(0)
    path = directory / "digits.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in range(300):
            digit = row % 10
            pixels = [draw.randrange(120) for _ in range(784)]
            for place in range(28 * (2 + 2 * digit), 28 * (3 + 2 * digit)):
                pixels[place] = draw.randrange(100, 256)
            writer.writerow([*pixels, digit])
    return f"{path}:3"


def motor(directory: Path) -> str:
    """Eight short sessions of the simulated motor, as a file of the measurements' first release."""
    simulation = simulate(n_sessions=8, samples=(100, 200), seed=3)
    path = directory / "motor.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*simulation.columns, "profile_id"])
        for values, session in zip(simulation.values.tolist(), simulation.sessions.tolist(), strict=True):
            writer.writerow([*values, session])
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
    "mnist_target": Tiny(digits, {"batch_size": 20}),
    "pmsm_temperature": Tiny(motor, {"batch_size": 128}),
}
