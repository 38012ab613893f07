"""Text files read line by line, so that every mistake can be reported with the file's name and the line."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar, cast
from zipfile import is_zipfile

from objectives._contract import DataError
from objectives._data.kit.arrow import as_csv, is_arrow, parts_of
from objectives._data.kit.content import N_FIRST, foreign
from objectives._data.kit.disk import unreadable
from objectives._data.kit.packed import DAMAGED, unpacked
from objectives._data.kit.recoded import from_mac, from_utf_16, has_mac_ends

FIRST_BYTES = 1 << 16  # are looked at, to tell how lines end; a header may be long
TEXT = "text, such as CSV, gzip or not, or Parquet"
# What Excel is told before the header; the header tells us.
SEPARATOR_LINE = re.compile(rb'(\xef\xbb\xbf)?"?sep=[,;\t|]"?[\r\n]', re.IGNORECASE)
AS_CSV = " of it as CSV"  # of a line that the file itself does not have
MISSING = frozenset({"", "nan", "na", "none", "null", "n/a", "<na>"})
LATIN_1, UTF_8 = "Latin-1", "UTF-8"

Row = TypeVar("Row")


class RowError(DataError):
    """One row cannot be used; those after it can."""


class TextLines:
    """The lines of a text file or stream with their line ends, or those of a table in Parquet or Feather as CSV.

    Gzip, a zip archive of one file, Parquet and Feather are recognised by the first bytes, not by the name; of these,
    gzip alone can come as a stream. A directory of Parquet files is one table.

    Use as a context manager and iterate once. `number` is the line last read, from 1. `encoding` is UTF_8 or LATIN_1
    once a line had more than ASCII, "" before: a file that is not UTF-8 is read as Latin-1 (Windows-1252), one that
    begins with the mark of UTF-16 as that. `mac_ends`: whether lines end in carriage returns; they are read as line
    feeds.
    longest: the most bytes a line may have; default: no limit. expected: what the file should be, for messages.
    notices: counts what is worth saying of the files, such as those that were read as Latin-1.
    Raises DataError for a file that is missing, unreadable, truncated or of another kind, and RowError for a line that
    is too long or in neither encoding; after that one, the iteration can go on.
    """

    def __init__(
        self,
        source: Path | BinaryIO,
        *,
        longest: int | None = None,
        expected: str = TEXT,
        notices: Counter[str] | None = None,
    ) -> None:
        self.path = source if isinstance(source, Path) else Path("stdin")
        self.number = 0
        self.encoding = ""
        self.mac_ends = False
        self.notices = Counter[str]() if notices is None else notices
        self._source = source
        self._bytes = 1
        self.form = ""
        self._longest = longest
        self._expected = expected
        self._first: list[str | RowError] = []
        self._rest: Iterator[str | RowError] | None = None

    def __enter__(self) -> TextLines:
        self._raw = self._opened()
        try:
            magic = self._raw.peek(8)[:8]
            self._stream = unpacked(self._raw, self.path if isinstance(self._source, Path) else None)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if is_arrow(magic) and isinstance(self._source, Path):
            self._stream, self.form = as_csv(self.path), AS_CSV
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._source, Path):  # a stream is closed by who opened it
            self._stream.close()
            self._raw.close()

    def __iter__(self) -> Iterator[str]:
        if self._rest is not None:
            return map(_raised, chain(self._again(), self._rest))
        return map(self._decoded, self._undamaged())  # unlike a generator, it goes on after an exception

    def first(self) -> str:
        """Return the first line that is not blank; "" where there is none or it is unusable.

        The iteration still begins with the first of all.
        """
        if self._rest is None:
            self._rest = each(map(self._decoded, self._undamaged()))
            for line in self._rest:
                self._first.append(line)
                if isinstance(line, RowError) or line.strip():
                    break
            self.number -= len(self._first)
        return "".join(line for line in self._first[-1:] if isinstance(line, str))

    def _again(self) -> Iterator[str | RowError]:
        """The lines that were read ahead."""
        for line in self._first:
            self.number += 1
            yield line

    def _opened(self) -> io.BufferedReader:
        """The file, the stream, or the first file of a directory that is a table."""
        if not isinstance(self._source, Path):
            return cast(io.BufferedReader, self._source)
        try:
            parts = parts_of(self._source)
            self._bytes = max(1, sum(part.stat().st_size for part in parts))
            return cast(io.BufferedReader, (parts or [self._source])[0].open("rb", FIRST_BYTES))
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _undamaged(self) -> Iterator[bytes]:
        try:
            self._recode()
            yield from self._stream if self._longest is None else self._cut(self._longest)
        except DAMAGED as error:
            kind = "zip" if isinstance(self._source, Path) and is_zipfile(self._source) else "gzip"
            raise DataError(
                f"{self.path}, after line {self.number}: the {kind} data is truncated or damaged; get the file again"
            ) from error
        except OSError as error:
            raise DataError(f"{self.path}, after line {self.number}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:  # of UTF-16: what else is not UTF-8 comes as it is
            raise DataError(
                f"{self.path}, after line {self.number}: not UTF-16 as its first bytes say ({error.reason}); "
                "convert the file to UTF-8"
            ) from error

    def _recode(self) -> None:
        """Make UTF-8 and line feeds of what else may be text. Raises DataError for a file of another kind."""
        self._stream = from_utf_16(self._stream)
        first = self._stream.peek(N_FIRST)
        if kind := foreign(first):
            raise DataError(f"{self.path} is {kind}; expected {self._expected}")
        self.mac_ends = has_mac_ends(first)
        if self.mac_ends:
            self._stream = from_mac(self._stream)
        if SEPARATOR_LINE.match(first):
            self._stream.readline()
            self.number += 1

    def _cut(self, longest: int) -> Iterator[bytes]:
        """Yield the lines; one that is longer is cut to `longest` + 1 bytes."""
        while line := self._stream.readline(longest + 1):
            yield line
            while len(line) > longest and not line.endswith(b"\n"):
                line = self._stream.readline(longest + 1)

    def _decoded(self, line: bytes) -> str:
        self.number += 1
        if self._longest is not None and len(line) > self._longest:
            raise self.error(f"more than {self._longest:,} bytes", "expected a shorter line")
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return self._latin(line, error)
        if not text.isascii():
            if self.encoding == LATIN_1:
                raise self.error("UTF-8 below lines in Latin-1", "convert the file to UTF-8")
            self.encoding = UTF_8
        return text

    def _latin(self, line: bytes, error: UnicodeDecodeError) -> str:
        try:
            if self.encoding != UTF_8:
                text = line.decode("cp1252")  # what Windows calls Latin-1
                if not self.encoding:
                    self.notices["files_read_as_latin_1"] += 1
                self.encoding = LATIN_1
                return text
        except UnicodeDecodeError:
            pass
        found = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise self.error(found, "convert the file to UTF-8") from error

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._bytes) if isinstance(self._source, Path) else 0.0

    def error(self, found: str, todo: str, *, line: int | None = None) -> RowError:
        """The error for what was found in a line (default: the line last read), and what to do about it."""
        line = self.number if line is None else line
        if not line:
            return RowError(f"{self.path} is empty; {todo}")
        return RowError(f"{self.path}, line {line}{self.form}: {found}; {todo}")


def _raised(line: str | RowError) -> str:
    if isinstance(line, RowError):
        raise line
    return line


def each(rows: Iterator[Row]) -> Iterator[Row | RowError]:
    """Yield the rows, and in the place of one that cannot be used its error.

    rows: an iterator that goes on after a RowError, such as a `map`; a generator does not.
    """
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except RowError as error:
            yield error


def plain_name(name: str) -> str:
    """A column's name in lower case, with _ between its words: "Product Name" is product_name."""
    return re.sub(r"[\s-]+", "_", name.strip(' \t\r\n"').removeprefix("#").strip().lower())


def is_missing(text: str) -> bool:
    """Whether a text says that there is none, as programs write it."""
    return text.strip().lower() in MISSING


def plural(n: int, word: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def shown(text: object, limit: int = 40) -> str:
    """`text` quoted for a message, cut to `limit` characters."""
    whole = repr(text)
    return whole if len(whole) <= limit else f"{whole[:limit]}..."
