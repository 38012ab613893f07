"""Prepared digits, as an objective gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DigitPictures:
    """The images of one role. pixels: memory-mapped, uint8 (n, 784), row after row. is_target: bool (n,)."""

    pixels: NDArray[np.uint8]
    is_target: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many images."""
        return len(self.is_target)

    def __add__(self, other: DigitPictures) -> DigitPictures:
        """These images and then the others, in memory."""
        return DigitPictures(
            np.concatenate([self.pixels, other.pixels]), np.concatenate([self.is_target, other.is_target])
        )


@dataclass
class Digits:
    """Prepared images; fulfils `Prepared`. summary: images, and targets among them, of each role."""

    name: str
    sha256: str
    summary: Mapping[str, int]
    target: int
    train: DigitPictures
    validation: DigitPictures
    test: DigitPictures
    directory: Path

    def with_validation(self) -> Digits:
        """The same data with the validation images among the train images."""
        return replace(self, train=self.train + self.validation)
