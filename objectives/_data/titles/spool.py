"""The one pass over a source: every row's tokens as numbers on disk, before the split and the vocabulary are known.

The vocabulary depends on which rows train, and that depends on all rows. So each word gets a provisional number when it
first occurs, the numbers are written to disk as they come, and only the distinct words and classes stay in memory
(about 200 bytes each).
"""

from __future__ import annotations

import array
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.lines import TextLines
from objectives._data.kit.sources import N_LISTED, listed
from objectives._data.titles.readers import EXPECTED, READERS, unusable
from objectives._data.titles.sources import TitleSource
from objectives._data.titles.tokens import tokenizer

NO_WORD = 0  # the provisional number in place of a title that is empty after cleaning
FLUSH_ROWS = 1 << 16

Scalar = TypeVar("Scalar", bound=np.generic)


class Numbers(dict[str, int]):
    """Text to a number, given in the order of first asking."""

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        return number


@dataclass
class Spool:
    """All rows in the order of the files.

    words, classes: text to provisional number. first_rows: for each class, the file and line that brought it.
    n_rows: for each key of the source's files. notices: what is worth saying of them, counted. n_unusable, unusable:
    rows with an empty title or category, and the first of them, with their file and line. tokens: provisional word
    numbers, one row after another, int32. offsets: where each row begins in `tokens`, and the end of the last, int64
    (n + 1,). labels: provisional class numbers, int32 (n,). titles: 64-bit hashes of the cleaned titles, uint64 (n,).
    """

    words: Numbers = field(default_factory=lambda: Numbers({"": NO_WORD}))
    classes: Numbers = field(default_factory=Numbers)
    first_rows: list[tuple[Path, int]] = field(default_factory=list)
    n_rows: dict[str, int] = field(default_factory=dict)
    notices: Counter[str] = field(default_factory=Counter)
    n_unusable: int = 0
    unusable: list[tuple[Path, int, str]] = field(default_factory=list)
    tokens: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    labels: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    titles: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


class Columns:
    """Columns of numbers that grow on disk, in one raw file each."""

    def __init__(self, directory: Path, **typecodes: str) -> None:
        self._buffers = {name: array.array(code) for name, code in typecodes.items()}
        self._paths = {name: directory / f"spool.{name}" for name in typecodes}
        self._files = {name: path.open("wb") for name, path in self._paths.items()}

    def __getitem__(self, name: str) -> array.array[int]:
        """The buffer to append to."""
        return self._buffers[name]

    def flush(self) -> None:
        """Write the buffers out and empty them in place."""
        for name, buffer in self._buffers.items():
            buffer.tofile(self._files[name])
            del buffer[:]

    def close(self) -> None:
        """Close the files; what was not flushed is lost."""
        for file in self._files.values():
            file.close()

    def mapped(self, name: str, dtype: type[Scalar]) -> NDArray[Scalar]:
        """A column, mapped into memory."""
        path = self._paths[name]
        return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)


def spool(source: TitleSource, directory: Path, progress: Progress) -> Spool:
    """Read all of `source` into `directory`. Raises DataError for a row that cannot be used."""
    result = Spool()
    columns = Columns(directory, tokens="i", lengths="q", labels="i", titles="Q")
    try:
        for role, path in source.files.items():
            with TextLines(path, expected=EXPECTED, notices=result.notices) as lines:
                rows = READERS[source.form](lines, source.argument)
                n_rows = _number(rows, lines, result, columns, tokenizer(source.recipe), progress)
            result.n_rows[role] = n_rows
        if result.n_unusable and not source.options.get("drop_empty"):
            raise _unusable(source, result)
        if result.n_unusable:
            result.notices["empty_rows_left_out"] = result.n_unusable
    finally:
        columns.close()
    result.tokens = columns.mapped("tokens", np.int32)
    result.labels = columns.mapped("labels", np.int32)
    result.titles = columns.mapped("titles", np.uint64)
    result.offsets = np.concatenate(([0], np.cumsum(columns.mapped("lengths", np.int64), dtype=np.int64)))
    return result


def _number(
    rows: Iterable[tuple[str, str]],
    lines: TextLines,
    result: Spool,
    columns: Columns,
    tokenize: Callable[[str], list[str]],
    progress: Progress,
) -> int:
    """Append the rows of one file; return how many there are."""
    tokens, lengths, labels, titles = (columns[name] for name in ("tokens", "lengths", "labels", "titles"))
    word_number, class_number = result.words.__getitem__, result.classes.__getitem__
    row = 0
    for text, category in rows:
        if why := unusable(text, category):
            result.n_unusable += 1
            if len(result.unusable) < N_LISTED:
                result.unusable.append((lines.path, lines.number, why))
            continue
        row += 1
        words = tokenize(text)
        tokens.extend(map(word_number, words or [""]))
        lengths.append(len(words) or 1)
        label = class_number(category)
        if label == len(result.first_rows):
            result.first_rows.append((lines.path, lines.number))
        labels.append(label)
        titles.append(int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest(), "little"))
        if len(labels) == FLUSH_ROWS:
            columns.flush()
            progress(f"reading {lines.path.name}", lines.fraction)
    columns.flush()
    progress(f"reading {lines.path.name}", 1.0)
    return row


def _unusable(source: TitleSource, spooled: Spool) -> DataError:
    """The error for all rows without a title or a category."""
    path, line, why = spooled.unusable[0]
    n, hint = spooled.n_unusable, f"{source.dataset}:drop_empty=yes"
    if n == 1:
        return DataError(f"{path}, line {line}: {why}; remove the row, fill it in, or leave it out with {hint}")
    found = listed([f"line {line}: {why}" for _, line, why in spooled.unusable], n)
    return DataError(f"{path}: {n:,} rows cannot be used ({found}); fill them in, or leave them out with {hint}")


def tokens_of(spooled: Spool, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    """Yield how many tokens each row has and all their tokens, FLUSH_ROWS rows at a time."""
    for begin in range(0, len(rows), FLUSH_ROWS):
        chosen = rows[begin : begin + FLUSH_ROWS]
        starts = spooled.offsets[chosen]
        lengths = spooled.offsets[chosen + 1] - starts
        ends = np.cumsum(lengths)
        positions = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
        yield lengths, spooled.tokens[positions]
