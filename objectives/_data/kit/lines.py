"""Text files read line by line, so that every mistake can be reported with the file's name and the line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, cast

from objectives._contract import DataError

GZIP_MAGIC = b"\x1f\x8b"
BUFFER_BYTES = 1 << 20


class TextLines:
    """The lines of a UTF-8 file or stream with their line ends. Gzip is recognised by the first bytes, not by the name.

    Use as a context manager and iterate once. `number` is the line last read, from 1. longest: the most bytes a line
    may have; default: no limit. Raises DataError for a file that is missing, unreadable, truncated or not UTF-8.
    """

    def __init__(self, source: Path | BinaryIO, *, longest: int | None = None) -> None:
        self.path = source if isinstance(source, Path) else Path("stdin")
        self.number = 0
        self._source = source
        self._longest = longest

    def __enter__(self) -> TextLines:
        try:
            opened = self._source.open("rb") if isinstance(self._source, Path) else self._source
            self._raw = cast(io.BufferedReader, opened)
            zipped = self._raw.peek(2)[:2] == GZIP_MAGIC
        except OSError as error:
            raise DataError(f"{self.path} cannot be read ({error.strerror}); check the path") from error
        self._bytes = max(1, self.path.stat().st_size) if isinstance(self._source, Path) else 1
        # The outer buffer makes iteration run in C: GzipFile itself needs a Python call for each line.
        self._stream: IO[bytes] = (
            io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=self._raw)), BUFFER_BYTES)
            if zipped
            else self._raw
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._source, Path):  # whoever opened a stream closes it
            self._stream.close()
            self._raw.close()

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._lines():
                self.number += 1
                if self._longest is not None and len(line) > self._longest:
                    raise self.error(f"more than {self._longest:,} bytes", "expected a shorter line")
                if self.number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield line.decode()
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x} is not UTF-8"
            raise self.error(found, "convert the file to UTF-8") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                f"{self.path}, after line {self.number}: the gzip data is truncated or damaged; get the file again"
            ) from error
        except OSError as error:
            raise DataError(f"{self.path}, after line {self.number}: cannot be read ({error.strerror})") from error

    def _lines(self) -> Iterable[bytes]:
        if self._longest is None:
            return self._stream
        return iter(partial(self._stream.readline, self._longest + 1), b"")

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._bytes)

    def error(self, found: str, todo: str, *, line: int | None = None) -> DataError:
        """The error for what was found in a line (default: the line last read), and what to do about it."""
        line = self.number if line is None else line
        if not line:
            return DataError(f"{self.path} is empty; {todo}")
        return DataError(f"{self.path}, line {line}: {found}; {todo}")


def shown(text: object, limit: int = 40) -> str:
    """`text` quoted for a message, cut to `limit` characters."""
    whole = repr(text)
    return whole if len(whole) <= limit else f"{whole[:limit]}..."
