"""Text as Windows and old Macs write it, as UTF-8 whose lines end in a line feed."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import Any, cast

BUFFER_BYTES = 1 << 20
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def from_utf_16(stream: io.BufferedReader) -> io.BufferedReader:
    """Return the stream in UTF-8 if it begins with the mark of UTF-16; reading raises UnicodeDecodeError."""
    if stream.peek(2)[:2] not in UTF_16:
        return stream
    decode = codecs.getincrementaldecoder("utf-16")().decode
    return _buffered(stream, lambda chunk: decode(chunk, final=not chunk).encode())


def has_mac_ends(first: bytes) -> bool:
    """Whether the lines of a text that begins with these bytes end in a carriage return alone."""
    return b"\n" not in first and b"\r" in first[:-1]


def from_mac(stream: io.BufferedReader) -> io.BufferedReader:
    """Return the stream with a line feed in place of each carriage return."""
    return _buffered(stream, lambda chunk: chunk.replace(b"\r", b"\n"))


def _buffered(stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, _Recoded(stream, recode)), BUFFER_BYTES)


class _Recoded(io.RawIOBase):
    """What `recode` makes of a stream's chunks; it is called once more with b"" at the end."""

    def __init__(self, stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._recode = recode
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = b"more"
        while chunk and not self._ahead:  # a chunk of half a character gives nothing yet
            chunk = self._stream.read1(BUFFER_BYTES)
            self._ahead = self._recode(chunk)
        n = min(len(buffer), len(self._ahead))
        buffer[:n], self._ahead = self._ahead[:n], self._ahead[n:]
        return n
