"""CSV files: records of text, columns by name, and tables of numbers read fast. Mistakes are reported with the line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError
from objectives._data.kit.lines import TextLines, shown

CHUNK_LINES = 1 << 13
LARGEST = float(np.finfo(np.float32).max)  # arrays are kept in single precision


def header_of(lines: Iterator[str], file: TextLines) -> list[str]:
    """The names in the first of `lines`, which are the file's. Raises DataError when there is none."""
    try:
        fields = next(csv.reader([next(lines, "")], strict=True), [])
    except csv.Error as error:
        raise file.error(f"not CSV ({error})", "close or double the quotes in it") from error
    if not any(fields):
        raise DataError(f"{file.path} is empty or begins with an empty line; expected a line with the columns' names")
    return [field.strip() for field in fields]


def places_of(names: Sequence[str], header: Sequence[str], file: TextLines, expected: str) -> list[int]:
    """Where the columns `names` are in the header. Raises DataError for one that is not there exactly once."""
    for name in names:
        if header.count(name) != 1:
            found = f"no column {name!r}" if name not in header else f"several columns {name!r}"
            raise file.error(f"{found} in {shown(','.join(header), 200)}", f"expected {expected}")
    return [header.index(name) for name in names]


def records(lines: TextLines) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a CSV file that are not blank lines, each with the number of the line it begins on."""
    rows = csv.reader(iter(lines), strict=True)
    while True:
        begins = lines.number + 1
        try:
            record = next(rows, None)
        except csv.Error as error:
            raise lines.error(f"not CSV ({error})", "close or double the quotes in it", line=begins) from error
        if record is None:
            return
        if record:
            yield begins, record


def numbers(
    lines: Iterator[str], file: TextLines, names: Sequence[str], most: Mapping[str, int], ahead: int = 0
) -> Iterator[NDArray[np.float64]]:
    """Yield the remaining `lines` of the file as arrays [m, len(names)]; lines of white space are left out.

    Every number is finite, in single precision too.
    most: columns of whole numbers from 0, each with the largest it may hold. ahead: how many of the lines have been
    read from the file already.
    Raises DataError with the line and the column of what is missing, not a number, NaN, infinite or out of bounds.
    """
    bounded = [column for column, name in enumerate(names) if name in most]
    largest = np.array([most[names[column]] for column in bounded])
    while True:
        first, ahead = file.number + 1 - ahead, 0
        chunk = list(islice(lines, CHUNK_LINES))
        if not chunk:
            return
        rows = [line for line in chunk if not line.isspace()]
        if not rows:
            continue
        try:
            values = np.loadtxt(rows, delimiter=",", comments=None, quotechar='"', ndmin=2)
        except ValueError:  # its message counts the rows of this chunk, not the lines of the file
            raise _first_mistake(file, first, chunk, names, most) from None
        fits = values.shape == (len(rows), len(names)) and bool((np.abs(values) <= LARGEST).all())
        if fits and bounded:
            whole = values[:, bounded]
            fits = bool(((whole >= 0) & (whole <= largest) & (whole == np.floor(whole))).all())
        if not fits:
            raise _first_mistake(file, first, chunk, names, most)
        yield values


def _first_mistake(
    file: TextLines, first: int, chunk: Sequence[str], names: Sequence[str], most: Mapping[str, int]
) -> DataError:
    for number, line in enumerate(chunk, first):
        fields = next(csv.reader([line]), [])
        if line.isspace():
            continue
        file.number = number
        if len(fields) != len(names):
            return file.error(f"{len(fields)} columns", f"expected {len(names)}")
        for name, field in zip(names, fields, strict=True):
            expected = f"a whole number from 0 to {most[name]}" if name in most else "a finite number"
            if not _allowed(field, most.get(name)):
                return file.error(f"{name} is {shown(field.strip())}", f"expected {expected}")
    return DataError(f"{file.path}, from line {first} on: not a table of numbers; write it as plain CSV")


def _allowed(field: str, most: int | None) -> bool:
    try:
        value = float(field)
    except ValueError:
        return False
    return abs(value) <= LARGEST and (most is None or (0 <= value <= most and value == math.floor(value)))
