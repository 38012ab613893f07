"""The two forms of files with digits: CSV, and MNIST's own IDX."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.digits.sources import N_DIGITS
from objectives._data.kit.lines import GZIP_MAGIC, TextLines
from objectives._data.kit.split import ROLES
from objectives._data.kit.tables import numbers

SIDE = 28
N_PIXELS = SIDE * SIDE
COLUMNS = (*(f"pixel {number}" for number in range(N_PIXELS)), "digit")
IDX_UNSIGNED_BYTES = 0x08


def read_csv(path: Path, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (n, 784) and digits (n,) of a file of 784 pixels and the digit a line, without a header."""
    most = dict.fromkeys(COLUMNS, 255) | {"digit": N_DIGITS - 1}
    parts = []
    with TextLines(path) as file:
        for values in numbers(iter(file), file, COLUMNS, most):
            parts.append(values.astype(np.uint8))
            progress(f"reading {path.name}", file.fraction)
    table = np.concatenate(parts) if parts else np.empty((0, N_PIXELS + 1), np.uint8)
    n_of_digit = np.bincount(table[:, -1], minlength=N_DIGITS)
    if n_of_digit.min() < len(ROLES):
        raise DataError(
            f"{path} has {n_of_digit.min()} images of a {n_of_digit.argmin()}; expected {len(ROLES)} of each digit or "
            "more, to train, validate and test on"
        )
    return table[:, :-1], table[:, -1]


def read_pixels(lines: TextLines) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels (784,) of each line of a file without a header; a digit after them is left out.

    Raises DataError with the line and the pixel of what is wrong, and for an empty file.
    """
    most = dict.fromkeys(COLUMNS, 255)
    found = False
    for line in lines:
        n_columns = N_PIXELS + (line.count(",") == N_PIXELS)
        for values in numbers(iter([line]), lines, COLUMNS[:n_columns], most, ahead=1):
            found = True
            yield from values[:, :N_PIXELS].astype(np.uint8)
    if not found:
        raise DataError(f"{lines.path} is empty; expected {N_PIXELS} pixels a line")


def read_idx_images(path: Path) -> NDArray[np.uint8]:
    """The pixels (n, 784) in an IDX file of images. Raises DataError."""
    pixels = read_idx(path, 3)
    if pixels[0].size != N_PIXELS:
        raise DataError(f"{path} has images of {pixels[0].size} pixels; expected {N_PIXELS}")
    return pixels.reshape(len(pixels), N_PIXELS)


def read_pair(images: Path, labels: Path, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (n, 784) and digits (n,) of two of MNIST's own files. Raises DataError."""
    pixels, digits = read_idx_images(images), read_idx(labels, 1)
    if len(pixels) != len(digits):
        raise DataError(f"{labels} has {len(digits)} labels for {len(pixels)} images; get both files again")
    if digits.max() >= N_DIGITS:
        raise DataError(f"{labels}, label {digits.argmax() + 1}: {digits.max()} is not a digit; get the file again")
    progress(f"reading {images.name}", 1.0)
    return pixels, digits


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file, gzip or plain: zero, zero, type, number of dimensions, sizes (big-endian), bytes.

    The format is described at MNIST's own page (LeCun, Cortes and Burges). Raises DataError.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip data is truncated or damaged; get the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    n_header = 4 + 4 * n_dimensions
    if content[:4] != bytes([0, 0, IDX_UNSIGNED_BYTES, n_dimensions]) or len(content) < n_header:
        raise DataError(f"{path} is not an IDX file of bytes in {n_dimensions} dimensions; get the file again")
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4).astype(np.int64)
    if len(content) - n_header != shape.prod() or not shape.all():
        raise DataError(f"{path} has {len(content) - n_header} bytes for {shape.tolist()}; get the file again")
    return np.frombuffer(content, np.uint8, offset=n_header).reshape(shape)
