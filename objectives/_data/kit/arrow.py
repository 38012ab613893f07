"""Tables in Parquet and Feather as CSV. A directory of Parquet files, as Spark and Dask write one, is one table."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote

from objectives._contract import DataError
from objectives._data.kit.packed import BUFFER_BYTES
from objectives._data.kit.recoded import Chunks

PARQUET_MAGIC = b"PAR1"
FEATHER_MAGIC = b"ARROW1"
NOTHING = "__HIVE_DEFAULT_PARTITION__"  # in a directory's name


def is_arrow(first: bytes) -> bool:
    """Whether a file that begins with these bytes is Parquet or Feather."""
    return first.startswith((PARQUET_MAGIC, FEATHER_MAGIC))


def parts_of(place: Path) -> list[Path]:
    """The files of a table: the Parquet files in a directory and below it, sorted, none if it has none; or itself."""
    if not place.is_dir():
        return [place]
    below = (path.relative_to(place) for path in sorted(place.rglob("*.parquet")) if path.is_file())
    return [place / path for path in below if not any(part.startswith((".", "_")) for part in path.parts)]


def as_csv(place: Path) -> io.BufferedReader:
    """Return a table as CSV with a header, a batch of rows at a time; nothing is an empty field.

    Left out are columns that are neither text nor numbers, and the rows' numbers that pandas wrote. What the names of
    directories say, such as `session=4`, is a column. Reading raises DataError for a file that is damaged.
    """
    return io.BufferedReader(cast(io.RawIOBase, Chunks(_csv_of(place))), BUFFER_BYTES)


def _csv_of(place: Path) -> Iterator[bytes]:
    import pyarrow as pa  # slow to import, and only needed here
    from pyarrow import csv

    names: list[str] = []  # of the columns, once the first part has told
    for part in parts_of(place):
        try:
            with part.open("rb") as file:
                found, batches = _opened(file)
                given = _given(part.relative_to(place))
                schema = pa.schema([*_plain(found), *((name, pa.string()) for name in given)])
                if names and sorted(names) != sorted(schema.names):
                    raise _other_columns(part, schema.names, names)
                rows = chain([] if names else [_table(schema, given)], (_table(schema, given, one) for one in batches))
                for number, table in enumerate(rows):
                    written = io.BytesIO()
                    header = not names and number == 0
                    csv.write_csv(table.select(names or schema.names), written, csv.WriteOptions(include_header=header))
                    yield written.getvalue()
                names = names or schema.names
        except (pa.ArrowException, OSError) as error:
            kind = "an Arrow file" if part.suffix == ".feather" else "a parquet file"
            raise DataError(f"{part} is {kind} that cannot be read; expected a whole one: get it again") from error


def _opened(file: IO[bytes]) -> tuple[Any, Iterator[Any]]:
    """The schema of a file, and its rows in batches."""
    from pyarrow import ipc, parquet

    if file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
        table = parquet.ParquetFile(file)
        return table.schema_arrow, table.iter_batches(columns=[name for name, _ in _plain(table.schema_arrow)])
    arrow = ipc.open_file(file)
    return arrow.schema, map(arrow.get_batch, range(arrow.num_record_batches))


def _plain(schema: Any) -> list[tuple[str, Any]]:
    """The columns that are text or numbers, each with the type to write."""
    import pyarrow as pa
    from pyarrow import types

    def plain(kind: Any) -> Any:
        if types.is_dictionary(kind):
            return plain(kind.value_type)
        if types.is_floating(kind):
            return kind if kind.bit_width > 16 else pa.float32()
        text = types.is_string(kind) or types.is_large_string(kind)
        return kind if text or types.is_integer(kind) or types.is_boolean(kind) or types.is_decimal(kind) else None

    columns = ((field.name, plain(field.type)) for field in schema)
    return [(name, kind) for name, kind in columns if kind is not None and not name.startswith("__index_level_")]


def _table(schema: Any, given: Mapping[str, str], batch: Any = None) -> Any:
    """A batch as a table of this schema, each row with what its directories say; without a batch one of no rows."""
    import pyarrow as pa

    if batch is None:
        return schema.empty_table()
    table = pa.Table.from_batches([batch])
    for name, value in given.items():
        table = table.append_column(name, pa.array([value] * len(table), pa.string()))
    return table.select(schema.names).cast(schema)


def _given(path: Path) -> dict[str, str]:
    """The columns that the directories of a part say, and their value in all its rows."""
    pairs = (name.partition("=") for name in path.parts[:-1])
    return {name: "" if value == NOTHING else unquote(value) for name, equals, value in pairs if equals}


def _other_columns(part: Path, found: Sequence[str], expected: Sequence[str]) -> DataError:
    return DataError(
        f"{part} has the columns {', '.join(found)}; expected {', '.join(expected)} as in the first file beside it"
    )
