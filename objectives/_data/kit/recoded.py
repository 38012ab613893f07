"""Text as Windows and old Macs write it, and Parquet, as UTF-8 whose lines end in a line feed."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, cast

from objectives._contract import DataError

BUFFER_BYTES = 1 << 20
PARQUET_MAGIC = b"PAR1"
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


def from_parquet(file: io.BufferedReader, path: Path) -> io.BufferedReader:
    """Return the table as CSV with a header, a batch of rows at a time; nothing is an empty field.

    Left out are columns that are neither text nor numbers, and the rows' numbers that pandas wrote. Reading raises
    DataError for a file that is damaged.
    """
    return io.BufferedReader(cast(io.RawIOBase, _Chunks(_csv_of(file, path))), BUFFER_BYTES)


def _csv_of(file: io.BufferedReader, path: Path) -> Iterator[bytes]:
    import pyarrow as pa  # slow to import, and only needed here
    from pyarrow import csv, parquet, types

    def plain(kind: pa.DataType) -> pa.DataType | None:
        if types.is_dictionary(kind):
            return plain(kind.value_type)
        if types.is_floating(kind):
            return kind if kind.bit_width > 16 else pa.float32()
        text = types.is_string(kind) or types.is_large_string(kind)
        return kind if text or types.is_integer(kind) or types.is_boolean(kind) or types.is_decimal(kind) else None

    try:
        table = parquet.ParquetFile(file)
        fields = [(field.name, plain(field.type)) for field in table.schema_arrow]
        kept = [(name, kind) for name, kind in fields if kind is not None and not name.startswith("__index_level_")]
        schema = pa.schema(kept)
        batches = table.iter_batches(columns=schema.names)
        rows = (pa.Table.from_batches([batch]).select(schema.names).cast(schema) for batch in batches)
        for number, part in enumerate(chain([schema.empty_table()], rows)):
            written = io.BytesIO()
            csv.write_csv(part, written, csv.WriteOptions(include_header=number == 0))
            yield written.getvalue()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is a parquet file that cannot be read; expected a whole one: get it again") from error


def _buffered(stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, _Chunks(_recoded(stream, recode))), BUFFER_BYTES)


def _recoded(stream: io.BufferedReader, recode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Yield what `recode` makes of a stream's chunks; it is called once more with b"" at the end."""
    while chunk := stream.read1(BUFFER_BYTES):
        yield recode(chunk)
    yield recode(b"")


class _Chunks(io.RawIOBase):
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
