"""Prepared pictures, as an objective gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureRows:
    """The pictures of one role, memory-mapped: pixels uint8 (n, 32, 32, 3), red green blue; labels int64 (n,).

    Mapped copy-on-write, so that torch wraps them without a copy and without a warning; nobody writes to them.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.labels)

    def __add__(self, other: PictureRows) -> PictureRows:
        """These pictures and then the others, in memory."""
        return PictureRows(np.concatenate([self.pixels, other.pixels]), np.concatenate([self.labels, other.labels]))


@dataclass
class PictureSet:
    """A prepared data set of pictures; fulfils `Prepared`.

    summary: rows, rows of each role, classes, and how many pictures to score are, pixel for pixel, also train pictures
    (0 unless the source came with its split). classes: sorted names.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    train: PictureRows
    validation: PictureRows
    test: PictureRows
    classes: list[str]
    directory: Path

    def with_validation(self) -> PictureSet:
        """The same data with the validation pictures among the train pictures."""
        return replace(self, train=self.train + self.validation)
