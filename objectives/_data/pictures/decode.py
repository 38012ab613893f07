"""Picture files as pixels of one size."""

from __future__ import annotations

import warnings
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from objectives._contract import DataError

SIDE = 32
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".tif", ".tiff")
Pixels = NDArray[np.uint8]


def decoded(where: str, file: IO[bytes], mode: str = "RGB", side: int = SIDE) -> Pixels:
    """Return a picture's pixels, (side, side, 3), or (side, side) of mode "L". where: what a message calls it."""
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return fitted(np.asarray(image.convert(mode)), side)
    # Pillow raises SyntaxError, struct.error and others for damaged files.
    except Exception as error:
        why = "of no known form" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataError(f"{where}: not a picture that can be read ({why}); replace or remove it") from error


def fitted(pixels: Pixels, side: int = SIDE) -> Pixels:
    """Return the central square of a picture (height, width, ...), scaled to (side, side, ...)."""
    height, width = pixels.shape[:2]
    if (height, width) == (side, side):
        return pixels
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    square = Image.fromarray(pixels[top : top + least, left : left + least])
    return np.asarray(square.resize((side, side), Image.Resampling.BOX if least > side else Image.Resampling.BILINEAR))
