"""Synthetic pictures in the format of CIFAR-10: ten kinds of figure, drawn from formulas. No photograph is in them.

Every picture has its own colours of figure and ground (which say nothing about the class), place, size and turn, a
colour gradient on the ground, and noise, so that a network must learn form and a bad learning rate shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from objectives._data.kit.decode import SIDE

DRAWING_VERSION = 1  # raise it whenever other pictures would be drawn
SEED = 32
TURN = 0.5  # radians, at most, either way
NOISE = 16.0  # standard deviation, in levels of 0 to 255
LEAST_CONTRAST = 60.0  # between the mean levels of figure and ground

CLASSES = (
    "circle", "square", "triangle", "cross", "ring", "frame", "half-circle", "bar", "two-bars", "checkers",
)  # fmt: skip

Floats = NDArray[np.float64]


def draw(n_of_class: int, stream: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return n_of_class pictures of each class, uint8 (n, SIDE, SIDE, 3), and their classes, (n,), in turn.

    stream: another number gives other pictures.
    """
    random = np.random.default_rng([SEED, stream])
    labels = np.tile(np.arange(len(CLASSES)), n_of_class)
    pictures = np.stack([_picture(CLASSES[label], random) for label in labels])
    return pictures, labels


def _picture(kind: str, random: np.random.Generator) -> NDArray[np.uint8]:
    half = (SIDE - 1) / 2
    down, right = np.meshgrid(np.arange(SIDE) - half, np.arange(SIDE) - half, indexing="ij")
    radius, turn = random.uniform(8, 12), random.uniform(-TURN, TURN)
    down, right = down - random.uniform(-4, 4), right - random.uniform(-4, 4)
    x = (np.cos(turn) * right + np.sin(turn) * down) / radius
    y = (np.cos(turn) * down - np.sin(turn) * right) / radius
    ground, figure = random.uniform(0, 255, (2, 3))
    while abs(ground.mean() - figure.mean()) < LEAST_CONTRAST:
        ground, figure = random.uniform(0, 255, (2, 3))
    slope = random.uniform(-2, 2, (2, 3))
    canvas = ground + down[..., None] * slope[0] + right[..., None] * slope[1]
    canvas = np.where(_inside(kind, x, y)[..., None], figure, canvas)
    picture: NDArray[np.uint8] = (canvas + random.normal(0, NOISE, canvas.shape)).clip(0, 255).astype(np.uint8)
    return picture


def _inside(kind: str, x: Floats, y: Floats) -> NDArray[np.bool_]:
    """Which points belong to a figure of radius 1 around the origin."""
    distance, farther = np.hypot(x, y), np.maximum(abs(x), abs(y))
    square = farther < 0.85
    bar = (abs(y) < 0.3) & (abs(x) < 1)
    figures: dict[str, NDArray[np.bool_]] = {
        "circle": distance < 1,
        "square": square,
        "triangle": (y > -0.6) & (np.sqrt(3) * abs(x) + y < 1.2),
        "cross": bar | ((abs(x) < 0.3) & (abs(y) < 1)),
        "ring": (distance < 1) & (distance > 0.55),
        "frame": square & (farther > 0.5),
        "half-circle": (distance < 1) & (y > 0),
        "bar": bar,
        "two-bars": (abs(abs(y) - 0.55) < 0.25) & (abs(x) < 1),
        "checkers": square & (x * y > 0),
    }
    return figures[kind]
