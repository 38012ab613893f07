"""Numbers of any range as the bytes of a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError

DEEPEST = 65535  # of 16 bits


def scaled(values: NDArray[Any], largest: float, where: str) -> NDArray[np.uint8]:
    """Return values from 0 to `largest` as 0 to 255, rounded. where: what a message calls them. Raises DataError."""
    least, most = (values.min(), values.max()) if values.size else (0, 0)
    if not (least >= 0 and most <= largest):
        raise DataError(
            f"{where} has brightness from {least:g} to {most:g}; expected 0 to {largest:g}: convert it to 8 bits"
        )
    return np.rint(values * (255 / largest)).astype(np.uint8)


def as_bytes(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """Return the brightness of all pictures of an array as bytes.

    8 bits stay; whole numbers of more bits go up to 255 or to 65535; fractions go from 0 to 1, or are whole numbers up
    to 255. Raises DataError for others.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(values.dtype, np.integer) and not np.issubdtype(values.dtype, np.floating):
        raise DataError(f"{where} is of type {values.dtype}; expected numbers, best uint8")
    most = values.max(initial=0)
    if np.issubdtype(values.dtype, np.floating):
        whole = most > 1 and bool((values == np.floor(values)).all())
        return scaled(values, 255 if whole else 1, where)
    return scaled(values, 255 if most <= 255 else DEEPEST, where)
