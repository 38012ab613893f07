"""CSV files: records of text, columns by name, and tables of numbers read fast. Mistakes are reported with the line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError
from objectives._data.kit.lines import RowError, TextLines, shown

SEPARATORS = ",;\t"
CHUNK_LINES = 1 << 13
LARGEST = float(np.finfo(np.float32).max)  # arrays are kept in single precision


def separator_of(header: str, names: Iterable[str]) -> str:
    """The one of SEPARATORS by which most of the columns `names` are in a header; the comma where none is."""
    wanted = set(names)

    def n_found(separator: str) -> int:
        return len(wanted & {field.strip().strip('"').lower() for field in header.split(separator)})

    return max(SEPARATORS, key=n_found)


def header_of(lines: Iterator[str], file: TextLines, names: Iterable[str]) -> tuple[list[str], str]:
    """The columns in the first of `lines`, in lower case, and what separates them; `names` are some that are expected.

    Raises DataError when there is none.
    """
    first = next(lines, "")
    separator = separator_of(first, names)
    try:
        fields = next(csv.reader([first], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise not_csv(error, file) from error
    if not any(fields):
        raise DataError(f"{file.path} is empty or begins with an empty line; expected a line with the columns' names")
    return [field.strip().lower() for field in fields], separator


def renamed(header: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns of a header in lower case; where one is missing, the first that has another of its names is it.

    others: the other names of a column, the best first, such as {"title": ("text",)}.
    """
    names = [name.strip().lower() for name in header]
    for wanted, known in others.items():
        found = next((name for name in known if name in names), None)
        if wanted not in names and found is not None:
            names = [wanted if name == found else name for name in names]
    return names


def places_of(names: Sequence[str], header: Sequence[str], file: TextLines, expected: str) -> list[int]:
    """Where the columns `names` are in the header. Raises DataError for one that is not there exactly once."""
    for name in names:
        if header.count(name) != 1:
            found = f"no column {name!r}" if name not in header else f"several columns {name!r}"
            raise file.error(f"{found} in {shown(','.join(header), 200)}", f"expected {expected}")
    return [header.index(name) for name in names]


def not_csv(error: csv.Error, file: TextLines, line: int | None = None) -> RowError:
    """The error for a line (default: the line last read) of which Python's csv says `error`."""
    if "new-line" in str(error):
        return file.error("a carriage return within a line", "expected one at its end, or within quotes", line=line)
    if "field limit" in str(error):
        found = f"a field of more than {csv.field_size_limit():,} characters"
        return file.error(found, "shorten it, or close the quotes before it", line=line)
    return file.error(f"not CSV ({error})", "close or double the quotes in it", line=line)


def wrong_width(file: TextLines, n: int, expected: int, line: int | None = None) -> RowError:
    """The error for a record of n columns in place of `expected` in a line (default: the line last read)."""
    todo = f"expected {expected} as in the first line"
    return file.error(
        f"{n} columns", todo + (": quote a text that has a separator in it" if n > expected else ""), line=line
    )


class Records:
    """The records of a CSV file that are not blank lines, each with the number of the line it begins on.

    names: some columns of its header, by which the separator is recognised unless it is given; without them it is a
    comma. Raises RowError for a record that is not CSV; the iteration can go on with the next line.
    """

    def __init__(self, lines: TextLines, names: Iterable[str] = (), separator: str = "") -> None:
        self._lines = lines
        rest = iter(lines)
        first = list(islice(rest, 1))
        self._ahead = len(first)
        self.separator = separator or separator_of("".join(first), names)
        self._rows = csv.reader(chain(first, rest), delimiter=self.separator, strict=True)

    def __iter__(self) -> Records:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            begins, self._ahead = self._lines.number + 1 - self._ahead, 0
            try:
                record = next(self._rows)
            except csv.Error as error:
                raise not_csv(error, self._lines, begins) from error
            if record:
                return begins, record


def numbers(
    lines: Iterator[str],
    file: TextLines,
    names: Sequence[str],
    most: Mapping[str, int],
    *,
    ahead: int = 0,
    separator: str = ",",
    used: Sequence[int] | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield the remaining `lines` of the file as arrays [m, n columns]; lines of white space are left out.

    Every number is finite, in single precision too.
    most: columns of whole numbers from 0, each with the largest it may hold. ahead: how many of the lines have been
    read from the file already. separator: between the columns; if it is no comma, decimal commas are read, but not
    among decimal points: there 1,234 may be a thousand. used: the columns to return, in that order; the others may hold
    anything. default: all.
    Raises DataError with the line and the column of what is missing, not a number, NaN, infinite or out of bounds.
    """
    columns = list(range(len(names))) if used is None else list(used)
    bounded = [place for place, column in enumerate(columns) if names[column] in most]
    largest = np.array([most[names[columns[place]]] for place in bounded])
    while True:
        first, ahead = file.number + 1 - ahead, 0
        chunk = list(islice(lines, CHUNK_LINES))
        if not chunk:
            return
        rows = [line for line in chunk if not line.isspace()]
        if not rows:
            continue
        values = _values(rows, len(names), separator, used)
        fits = values is not None and bool((np.abs(values) <= LARGEST).all())
        if values is not None and fits and bounded:
            whole = values[:, bounded]
            fits = bool(((whole >= 0) & (whole <= largest) & (whole == np.floor(whole))).all())
        if values is None or not fits:
            raise _first_mistake(file, first, chunk, names, most, separator, columns)
        if separator != ",":
            _require_one_mark(file, first, chunk, separator, columns)
        yield values


def _values(
    rows: Sequence[str], n_columns: int, separator: str, used: Sequence[int] | None
) -> NDArray[np.float64] | None:
    """The numbers in rows [m, n used]; None if a row has another number of columns, or something else in one of them.

    numpy's message counts the rows it was given, not the lines of the file, so it is of no use.
    """
    if used is not None and any(_n_fields(row, separator) != n_columns for row in rows):
        return None
    if separator != ",":
        rows = [row.replace(",", ".") for row in rows]
    try:
        values = np.loadtxt(rows, delimiter=separator, comments=None, quotechar='"', ndmin=2, usecols=used)
    except ValueError:
        return None
    return values if values.shape == (len(rows), n_columns if used is None else len(used)) else None


def _require_one_mark(
    file: TextLines, first: int, chunk: Sequence[str], separator: str, columns: Sequence[int]
) -> None:
    """Raise DataError if some numbers of the lines have a comma and others a point."""
    if not any("," in line for line in chunk) or not any("." in line for line in chunk):
        return
    found: dict[str, str] = {}
    for number, line in enumerate(chunk, first):
        fields = [] if line.isspace() else next(csv.reader([line], delimiter=separator))
        for field in (fields[column] for column in columns if fields):
            for mark in ",.":
                if mark in field:
                    found.setdefault(mark, f"{shown(field.strip())} in line {number}")
        if len(found) > 1:
            file.number = number
            raise file.error(
                f"the decimal mark is a comma or a point: {found[',']}, {found['.']}", "write all numbers in one way"
            )


def _n_fields(row: str, separator: str) -> int:
    """How many fields a row has; 0 if it is not CSV."""
    try:
        return len(next(csv.reader([row], delimiter=separator))) if '"' in row else row.count(separator) + 1
    except csv.Error:
        return 0


def _first_mistake(
    file: TextLines,
    first: int,
    chunk: Sequence[str],
    names: Sequence[str],
    most: Mapping[str, int],
    separator: str,
    columns: Sequence[int],
) -> DataError:
    for number, line in enumerate(chunk, first):
        if line.isspace():
            continue
        file.number = number
        try:
            fields = next(csv.reader([line], delimiter=separator), [])
        except csv.Error as error:
            return not_csv(error, file)
        if len(fields) != len(names):
            return file.error(f"{len(fields)} columns", f"expected {len(names)}")
        for name, field in ((names[column], fields[column]) for column in columns):
            expected = f"a whole number from 0 to {most[name]}" if name in most else "a finite number"
            if not _allowed(number_in(field, separator), most.get(name)):
                return file.error(f"{name} is {shown(field.strip())}", f"expected {expected}")
    return DataError(f"{file.path}, from line {first} on: not a table of numbers; write it as plain CSV")


def number_in(field: str, separator: str) -> float:
    """The finite number in a field of a table with this separator, NaN if there is none."""
    text = field if separator == "," else field.replace(",", ".")
    if "_" in text or not text.isascii():  # Python's float takes more than files of numbers have
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST else math.nan


def _allowed(value: float, most: int | None) -> bool:
    return not math.isnan(value) and (most is None or (0 <= value <= most and value == math.floor(value)))
