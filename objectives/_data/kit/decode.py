"""Picture files as pixels of one size."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from objectives._contract import DataError
from objectives._data.kit.content import N_FIRST, foreign
from objectives._data.kit.packed import ADDED
from objectives._data.kit.pixels import DEEPEST, scaled

SIDE = 32
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")  # Pillow's modes of one channel with more than 8 bits
FRAMES = ("GIF", "WEBP", "PNG", "TIFF")  # formats that may hold several pictures
ORIENTATION = 0x0112  # Exif's
# What pictures are called, those that Pillow may not read among them: an error is better than to leave them out.
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff",
    ".jp2", ".tga", ".ico", ".heic", ".heif", ".avif", ".svg",
)  # fmt: skip
Pixels = NDArray[np.uint8]


def decoded(
    where: str, file: IO[bytes], mode: str = "RGB", side: int = SIDE, notices: Counter[str] | None = None
) -> Pixels:
    """Return a picture's pixels, (side, side, 3), or (side, side) of mode "L".

    It is turned as its camera says, its brightness goes from 0 to 255 whatever its depth, and what is transparent is
    white. Of several frames the first is used. where: what a message calls it. notices: counts pictures of several
    frames. Raises DataError.
    """
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if notices is not None and image.format in FRAMES and getattr(image, "n_frames", 1) > 1:
                image.seek(0)
                notices["pictures_of_several_frames"] += 1
            return fitted(np.asarray(seen(image, where).convert(mode)), side)
    except DataError:
        raise
    # Pillow raises SyntaxError, struct.error and others for damaged files.
    except Exception as error:
        why = str(error)
        if isinstance(error, UnidentifiedImageError):
            file.seek(0)
            why = foreign(file.read(N_FIRST)) or "of no known form"
        raise DataError(f"{where}: not a picture that can be read ({why}); replace or remove it") from error


def seen(image: Image.Image, where: str = "the picture") -> Image.Image:
    """Return a picture as a person sees it, opaque, 8 bits a channel; itself if it is so already."""
    if image.mode in DEEP:
        image = _shallow(image, where)
    if image.has_transparency_data:
        image = _opaque(image)
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    return image


def is_shown(path: Path, root: Path) -> bool:
    """Whether a file below `root` is a picture by its name, and neither hidden nor in a hidden directory."""
    parts = path.relative_to(root).parts
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") or part in ADDED for part in parts)


def looks_otherwise(content: bytes) -> bool:
    """Whether a picture has other pixels than before pictures were decoded as they are seen."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            special = image.mode in DEEP or image.has_transparency_data or image.getexif().get(ORIENTATION, 1) != 1
            return special and image.convert("RGB").tobytes() != seen(image).convert("RGB").tobytes()
    except Exception:  # whatever Pillow raises for a damaged file, decoding will say
        return False


def _shallow(image: Image.Image, where: str) -> Image.Image:
    """A grey picture of 16 or 32 bits a pixel in 8 bits."""
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise DataError(f"{where} has 32 bits a pixel, and their range is unknown; convert it to 8 bits")
    values = np.asarray(image)
    grey = Image.fromarray(scaled(values, 1 if image.mode == "F" else DEEPEST, where))
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray((values != clear).astype(np.uint8) * np.uint8(255)))
    grey.getexif().update(image.getexif())
    return grey


def _opaque(image: Image.Image) -> Image.Image:
    """A picture over white; over black if nothing could be seen on white."""
    whole = image.convert("RGBA")
    alpha = whole.getchannel("A").getextrema()
    if alpha in ((255, 255), (0, 0)):  # where all is transparent, the channel says nothing
        return image.convert("RGB")
    opaque = Image.new("RGBA", whole.size, "white")
    opaque.alpha_composite(whole)
    if alpha[0] != alpha[1] and len(opaque.getcolors(2) or ()) == 1:
        opaque = Image.new("RGBA", whole.size, "black")
        opaque.alpha_composite(whole)
    return opaque.convert("RGB")


def fitted(pixels: Pixels, side: int = SIDE) -> Pixels:
    """Return the central square of a picture (height, width, ...), scaled to (side, side, ...)."""
    height, width = pixels.shape[:2]
    if (height, width) == (side, side):
        return pixels
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    square = Image.fromarray(pixels[top : top + least, left : left + least])
    return np.asarray(square.resize((side, side), Image.Resampling.BOX if least > side else Image.Resampling.BILINEAR))
