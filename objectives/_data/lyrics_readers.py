"""Texts as documents: what must never be on both sides of a split. A document is a song, a poem or a few scenes' lines.

What cannot be used raises DataError with the file's name and the line.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from objectives._contract import DataError
from objectives._data.lines import TextLines, shown

CHUNK_CHARACTERS = 4000
TITLES = ("title", "song")
AUTHORS = ("author", "artist")


def read_table(path: Path) -> Iterator[str]:
    """The documents of a CSV with the columns text, title or song, author or artist (as Kaggle's songdata.csv).

    Only the text is used; the other names tell such a file from some other with a column `text`.
    """
    with TextLines(path) as lines:
        records = _records(lines)
        _, header = next(records, (1, []))
        names = [name.strip().lower() for name in header]
        for known in (("text",), TITLES, AUTHORS):
            if not set(known) & set(names):
                raise lines.error(
                    f"no column {' or '.join(known)} in {shown(','.join(header))}",
                    "expected artist,song,link,text or title,author,text",
                )
        column = names.index("text")
        for number, fields in records:
            if len(fields) != len(names):
                raise _wrong(path, number, f"{len(fields)} columns", f"expected {len(names)} as in the header")
            if not fields[column].strip():
                raise _wrong(path, number, "an empty text", "remove the row or fill it in")
            yield fields[column].strip()


def read_text(path: Path) -> Iterator[str]:
    """The documents of a plain text: paragraphs that follow each other, CHUNK_CHARACTERS or a little more of them.

    Paragraphs are what blank lines separate; a text without blank lines is cut at its line ends.
    """
    with TextLines(path) as lines:
        text = [line.rstrip("\r\n") for line in lines]
    blank = any(not line.strip() for line in text[:-1])
    chunk: list[str] = []
    size = 0
    for line in text:
        chunk.append(line)
        size += len(line) + 1
        if size >= CHUNK_CHARACTERS and (not blank or not line.strip()):
            yield "\n".join(chunk).strip()
            chunk, size = [], 0
    if any(line.strip() for line in chunk):
        yield "\n".join(chunk).strip()


def reader(path: Path) -> Callable[[Path], Iterator[str]]:
    """Return the reader for a file, by its name. Raises DataError."""
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("csv", "txt"):
        raise DataError(f"{path} is no known form of texts; expected a .csv or a .txt, gzip or not")
    return read_table if kind == "csv" else read_text


def _records(lines: TextLines) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line it begins on."""
    records = csv.reader(iter(lines), strict=True)
    while True:
        begins = lines.number + 1
        try:
            record = next(records, None)
        except csv.Error as error:
            raise _wrong(lines.path, begins, f"not CSV ({error})", "close or double the quotes in it") from error
        if record is None:
            return
        if record:
            yield begins, record


def _wrong(path: Path, line: int, found: str, todo: str) -> DataError:
    return DataError(f"{path}, line {line}: {found}; {todo}")
