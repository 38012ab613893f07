"""Tables: records of text, columns by name, and numbers read fast. Mistakes are reported with the line.

A table is CSV, or what TextLines and `open_table` make CSV of: Parquet, Feather, JSON.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError
from objectives._data.kit.json_rows import Row, as_text, is_json, json_rows
from objectives._data.kit.lines import AS_CSV, RowError, TextLines, plain_name, plural, shown
from objectives._data.kit.recoded import Chunks

SEPARATORS = ",;\t|"
CHUNK_LINES = 1 << 13
A_NUMBER = "a finite number, such as 1234.5"
LARGEST = float(np.finfo(np.float32).max)  # arrays are kept in single precision
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})+")  # 1,882 may be 1882


def separator_of(header: str, names: Iterable[str]) -> str:
    """The one of SEPARATORS by which most of the columns `names` are in a header; the comma where none is."""
    wanted = set(names)

    def n_found(separator: str) -> int:
        return len(wanted & set(map(plain_name, header.split(separator))))

    return max(SEPARATORS, key=n_found)


@contextmanager
def open_table(source: Path | BinaryIO, **how: Any) -> Iterator[TextLines]:
    """The lines of a table as CSV, in whichever form it is, JSON, too. how: see TextLines."""
    with TextLines(source, **how) as lines:
        if not is_json(lines.first()):
            yield lines
            return
        written = io.BufferedReader(cast(io.RawIOBase, Chunks(_written(Records(lines)))))
        with TextLines(written, **how) as table:
            table.path, table.form = lines.path, AS_CSV
            yield table


def _written(records: Records) -> Iterator[bytes]:
    """Records as CSV. Raises DataError at the first mistake, for a stream cannot go on after one."""
    try:
        while some := list(islice(records, CHUNK_LINES)):
            text = io.StringIO()
            csv.writer(text).writerows(fields for _, fields in some)
            yield text.getvalue().encode()
    except RowError as error:
        raise DataError(str(error)) from error


def header_of(lines: Iterator[str], file: TextLines, names: Iterable[str]) -> tuple[list[str], str]:
    """The columns in the first of `lines` that is not blank, as it has them, and what separates them.

    names: some that are expected. Raises DataError when there is none.
    """
    first = next(filter(str.strip, lines), "")
    separator = separator_of(first, names)
    try:
        fields = next(csv.reader([first], delimiter=separator, strict=True), [])
    except csv.Error as error:
        raise not_csv(error, file) from error
    if not any(fields):
        raise DataError(f"{file.path} is empty; expected a line with the columns' names")
    return fields, separator


def renamed(header: Sequence[str], others: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns of a header, as `plain_name` has them; for a missing one, the first that has another of its names.

    others: the other names of a column, the best first, such as {"title": ("text",)}.
    """
    names = list(map(plain_name, header))
    for wanted, known in others.items():
        found = next((name for name in known if name in names), None)
        if wanted not in names and found is not None:
            names = [wanted if name == found else name for name in names]
    return names


def places_of(
    names: Sequence[str], header: Sequence[str], file: TextLines, expected: str, others: Mapping[str, Sequence[str]]
) -> list[int]:
    """Where the columns `names` are in a header, which is as the file has it. others: as `renamed` takes them.

    Raises DataError for one that is not there exactly once; where numbers are in its place, the header is missing.
    """
    plain = renamed(header, others)
    for name in names:
        if plain.count(name) != 1:
            found = f"no column {name!r}" if name not in plain else f"several columns {name!r}"
            numbers_only = any(not math.isnan(number_in(field, ";")) for field in header)
            todo = f"expected {expected}" + ("; the line with the columns' names seems to be missing" * numbers_only)
            raise file.error(f"{found} in {shown(','.join(header), 200)}", todo)
    return [plain.index(name) for name in names]


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
        plural(n, "column"), todo + (": quote a text that has a separator in it" if n > expected else ""), line=line
    )


class Records:
    """The records of a CSV file, each with the number of the line it begins on; or rows in JSON, after their names.

    Left out are blank lines, records of empty fields alone, and empty fields beyond those of the first record, all of
    which Excel adds.
    names: some columns of its header, by which the separator is recognised unless it is given; without them it is a
    comma. Raises RowError for a record that is not CSV; the iteration can go on with the next line.
    """

    def __init__(self, lines: TextLines, names: Iterable[str] = (), separator: str = "") -> None:
        self._lines = lines
        first = lines.first()
        self._width = 0
        self._json = is_json(first)
        self.separator = separator or separator_of(first, names)
        self._rows = _json_records(lines) if self._json else csv.reader(lines, delimiter=self.separator, strict=True)

    def __iter__(self) -> Records:
        return self

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            begins = self._lines.number + 1
            try:
                record = next(self._rows)
            except csv.Error as error:
                raise not_csv(error, self._lines, begins) from error
            begins = self._lines.number if self._json else begins
            while len(record) > self._width > 0 and not record[-1]:
                record.pop()
            if len(record) > 1 and not any(record):
                continue
            if record:
                self._width = self._width or len(record)
                return begins, record


def _json_records(lines: TextLines) -> Iterator[list[str]]:
    """The names of the first row in JSON, then what each row has of these; what is no text is empty."""
    rows = json_rows(lines)
    first = next(rows, {})

    def fields_of(row: Row) -> list[str]:
        return [as_text(row.get(name)) or "" for name in first]

    return chain([list(first)], map(fields_of, chain([first], rows)))


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
    marks = Marks(file, separator, columns)
    while True:
        first, ahead = file.number + 1 - ahead, 0
        chunk = list(islice(lines, CHUNK_LINES))
        if not chunk:
            marks.require_decimal()
            return
        rows = [line for line in chunk if not line.isspace()]
        values = _values(rows, len(names), separator, used)
        if values is None:
            chunk = [trimmed(line, len(names), separator) for line in chunk]
            values = _values(list(filter(None, chunk)), len(names), separator, used)
        fits = values is not None and bool((np.abs(values) <= LARGEST).all())
        if values is not None and fits and bounded:
            whole = values[:, bounded]
            fits = bool(((whole >= 0) & (whole <= largest) & (whole == np.floor(whole))).all())
        if values is None or not fits:
            raise _first_mistake(file, first, chunk, names, most, separator, columns)
        marks.look(first, chunk)
        if len(values):
            yield values


def _values(
    rows: Sequence[str], n_columns: int, separator: str, used: Sequence[int] | None
) -> NDArray[np.float64] | None:
    """The numbers in rows [m, n used]; None if a row has another number of columns, or something else in one of them.

    numpy's message counts the rows it was given, not the lines of the file, so it is of no use.
    """
    if not rows:
        return np.empty((0, n_columns if used is None else len(used)))
    if used is not None and any(_n_fields(row, separator) != n_columns for row in rows):
        return None
    if separator != ",":
        rows = [row.replace(",", ".") for row in rows]
    try:
        values = np.loadtxt(rows, delimiter=separator, comments=None, quotechar='"', ndmin=2, usecols=used)
    except ValueError:
        return None
    return values if values.shape == (len(rows), n_columns if used is None else len(used)) else None


class Marks:
    """What the marks in numbers mean, in a table whose separator is no comma: they are all one decimal mark.

    columns: those of numbers. decimal: whether some number tells so: no mark of thousands would be where it has one.
    """

    def __init__(self, file: TextLines, separator: str, columns: Sequence[int]) -> None:
        self._file = file
        self._separator = separator
        self._columns = columns
        self.decimal = False
        self._grouped: DataError | None = None

    def look(self, first: int, chunk: Sequence[str]) -> None:
        """Look at lines, the first of which has that number.

        Raises DataError if some of their numbers have a comma and others a point.
        """
        if self._separator == ",":
            return
        n_marks = sum(any(mark in line for line in chunk) for mark in ",.")
        if n_marks < (2 if self.decimal else 1):
            return
        found: dict[str, str] = {}
        for number, line in enumerate(chunk, first):
            fields = next(csv.reader([line], delimiter=self._separator), [])
            for field in (fields[column].strip() for column in self._columns if column < len(fields)):
                for mark in filter(field.__contains__, ",."):
                    found.setdefault(mark, f"{shown(field)} in line {number}")
                    self._look_at(field, number)
            if len(found) > 1:
                self._file.number = number
                raise self._file.error(
                    f"the decimal mark is a comma or a point: {found[',']}, {found['.']}",
                    "write all numbers in one way",
                )
            if self.decimal and n_marks == 1:
                return

    def _look_at(self, field: str, number: int) -> None:
        if not GROUPED.fullmatch(field):
            self.decimal = True
        elif self._grouped is None:
            plain = re.sub("[,.]", "", field)
            self._grouped = self._file.error(
                f"{shown(field)} may be {plain} or {field.replace(',', '.')}, and no number in the file tells",
                "expected a decimal point, and no mark of thousands",
                line=number,
            )

    def require_decimal(self) -> None:
        """Raise DataError if each number with a mark may be a whole one, written with a mark of thousands."""
        if self._grouped is not None and not self.decimal:
            raise self._grouped


def trimmed(line: str, n_columns: int, separator: str) -> str:
    """A line of a table without what Excel adds: empty fields beyond its columns; "" if all its fields are empty."""
    line = line.rstrip("\r\n")
    while line.endswith(separator) and _n_fields(line, separator) > n_columns:
        line = line[:-1]
    return line if line.replace(separator, "").strip() else ""


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
        if not line.strip():
            continue
        file.number = number
        try:
            fields = next(csv.reader([line], delimiter=separator), [])
        except csv.Error as error:
            return not_csv(error, file)
        if line.count('"') % 2:
            return file.error("quotes that are not closed", "expected each row in one line: remove the line ends in it")
        if len(fields) != len(names):
            return file.error(plural(len(fields), "column"), f"expected {len(names)}")
        for name, field in ((names[column], fields[column]) for column in columns):
            expected = f"a whole number from 0 to {most[name]}" if name in most else A_NUMBER
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
