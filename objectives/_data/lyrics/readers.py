"""Files with texts as documents. A document (a song, a poem, a few scenes' lines) is never on both sides of a split.

What cannot be used raises DataError with the file's name and the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from objectives._contract import DataError
from objectives._data.kit.lines import TextLines, shown
from objectives._data.kit.tables import Records

EXPECTED = "a .txt, or a .csv with a column text, gzip or not"
CHUNK_CHARACTERS = 4000
TEXTS = ("text", "lyrics", "lyric")  # the columns that may hold the texts, the best first


def read_table(path: Path, notices: Counter[str] | None = None) -> Iterator[str]:
    """The documents of a CSV with a column text, lyrics or lyric, such as Kaggle's songdata.csv; others are ignored."""
    with TextLines(path, expected=EXPECTED, notices=notices) as lines:
        rows = Records(lines, TEXTS)
        _, header = next(rows, (1, []))
        names = [name.strip().lower() for name in header]
        found = next((name for name in TEXTS if name in names), None)
        if found is None:
            raise lines.error(
                f"no column {' or '.join(TEXTS)} in {shown(','.join(header))}",
                "expected a header with one of them, such as artist,song,link,text",
            )
        column = names.index(found)
        for number, fields in rows:
            if len(fields) != len(names):
                raise lines.error(f"{len(fields)} columns", f"expected {len(names)} as in the header", line=number)
            if not fields[column].strip():
                raise lines.error("an empty text", "remove the row or fill it in", line=number)
            yield fields[column].strip()


def read_text(path: Path, notices: Counter[str] | None = None) -> Iterator[str]:
    """The documents of a plain text: paragraphs in a row, together CHUNK_CHARACTERS or a little more.

    Blank lines separate paragraphs; a text without blank lines is cut at line ends.
    """
    with TextLines(path, expected=EXPECTED, notices=notices) as lines:
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


def reader(path: Path) -> Callable[[Path, Counter[str]], Iterator[str]]:
    """Return the reader for a file, by its name. Raises DataError."""
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("csv", "txt"):
        raise DataError(f"{path} is not a known form of texts; expected a .csv or a .txt, gzip or not")
    return read_table if kind == "csv" else read_text
