"""Text as Windows and old Macs write it, as UTF-8 whose lines end in a line feed."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from typing import Any, cast

from objectives._data.kit.packed import BUFFER_BYTES

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def from_utf_16(stream: io.BufferedReader) -> io.BufferedReader:
    """Return the stream in UTF-8 if it begins with the mark of UTF-16 or UTF-32; reading raises UnicodeDecodeError."""
    first = stream.peek(4)[:4]
    if first[:2] not in UTF_16 and first not in UTF_32:
        return stream
    decode = codecs.getincrementaldecoder("utf-32" if first in UTF_32 else "utf-16")().decode
    return _buffered(stream, lambda chunk: decode(chunk, final=not chunk).encode())


def has_mac_ends(first: bytes) -> bool:
    """Whether the lines of a text that begins with these bytes end in a carriage return alone."""
    return b"\n" not in first and b"\r" in first[:-1]


def from_mac(stream: io.BufferedReader) -> io.BufferedReader:
    """Return the stream with a line feed in place of each carriage return."""
    return _buffered(stream, lambda chunk: chunk.replace(b"\r", b"\n"))


def _buffered(stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, Chunks(_recoded(stream, recode))), BUFFER_BYTES)


def _recoded(stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield what `recode` makes of a stream's chunks; it is called once more with b"" at the end."""
    while chunk := stream.read1(BUFFER_BYTES):
        yield recode(chunk)
    yield recode(b"")


class Chunks(io.RawIOBase):
    """Chunks of bytes, some of which may be empty, as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = filter(None, chunks)  # a chunk of half a character gives nothing yet
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._ahead = self._ahead or next(self._chunks, b"")
        n = min(len(buffer), len(self._ahead))
        buffer[:n], self._ahead = self._ahead[:n], self._ahead[n:]
        return n
