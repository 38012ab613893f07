"""Numbers of any range as the bytes of a picture."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError

DEEPEST = 65535  # of 16 bits
BLACK_AND_WHITE = "files_of_pixels_0_and_1"  # the notice of them


def scaled(values: NDArray[Any], largest: float, where: str) -> NDArray[np.uint8]:
    """Return values from 0 to `largest` as 0 to 255, rounded. where: what a message calls them. Raises DataError."""
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    if not (least >= 0 and most <= largest):
        raise DataError(
            f"{where} has brightness from {least:g} to {most:g}; expected 0 to {largest:g}: convert it to 8 bits"
        )
    return np.rint(values * (255 / largest)).astype(np.uint8)


def as_bytes(values: NDArray[Any], where: str, notices: Counter[str] | None = None) -> NDArray[np.uint8]:
    """Return the brightness of all pictures of a file as bytes.

    What has no more than 1 goes from 0 to 1, whole numbers, too: no picture of 8 bits is that dark. Other 8 bits stay;
    whole numbers of more bits go up to 255 or to 65535, as do whole numbers that are written as fractions up to 255.
    notices: counts files whose whole numbers go from 0 to 1. Raises DataError for others.
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    whole, fractions = (np.issubdtype(values.dtype, kind) for kind in (np.integer, np.floating))
    if not whole and not fractions:
        raise DataError(f"{where} is of type {values.dtype}; expected numbers, best uint8")
    most = values.max(initial=0)
    if whole and most == 1 and notices is not None:
        notices[BLACK_AND_WHITE] = 1
    if most <= 1:
        return scaled(values, 1, where)
    if values.dtype == np.uint8:
        return values
    if fractions:
        return scaled(values, 255 if (values == np.floor(values)).all() else 1, where)
    return scaled(values, 255 if most <= 255 else DEEPEST, where)
