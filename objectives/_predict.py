"""What the predictors share: what INPUT means, batches of it, and readable answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from objectives._contract import DataError, Source
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.json_rows import JSON_SUFFIXES
from objectives._data.kit.lines import RowError, TextLines, each, shown
from objectives._data.kit.sources import TABLES
from objectives._data.kit.tables import open_table
from objectives._data.pictures import SUFFIXES, is_shown

LONGEST_LINE = 1 << 16  # bytes; an endless line must not fill the memory
LARGEST_FILE = 1 << 28  # bytes of one picture
N_LIKELIEST = 3
TEXT_SUFFIXES = (".txt", ".gz", ".zip", *TABLES)
DECIMALS = 6  # of a probability: further ones depend on the size of the batch

Item = TypeVar("Item")
# One thing to predict for: what names it in its answer, and the thing, or why it cannot be used.
Asked: TypeAlias = tuple[Mapping[str, Any], Item | RowError]


def file_in(source: Source, expected: str) -> Path | BinaryIO | None:
    """Return the file or the stream that an INPUT is, None if it is the text itself.

    expected: what an INPUT may be, for the message. Raises DataError for what can only be a mistyped path.
    """
    if not isinstance(source, str):
        return source
    if os.path.exists(source):  # noqa: PTH110 - unlike Path.exists, it does not raise for a text too long for a path
        return Path(source)
    one_word = len(source.split()) == 1
    if one_word and ("/" in source or Path(source).suffix.lower() in (*TEXT_SUFFIXES, *SUFFIXES)):
        raise DataError(f"there is no file {source!r}; expected {expected}")
    return None


def file_of(source: Source, expected: str) -> Path | BinaryIO:
    """Return the file, the directory of Parquet files or the stream that an INPUT is. Raises DataError for another."""
    file = file_in(source, expected)
    if file is None or (isinstance(file, Path) and not parts_of(file)):
        raise DataError(f"there is no file {shown(source)}; expected {expected}")
    return file


def is_named(source: Source, *ends: str) -> bool:
    """Whether INPUT is a path that ends in one of `ends`, gzip or not."""
    return isinstance(source, str) and source.lower().removesuffix(".gz").endswith(ends)


def open_lines(file: Path | BinaryIO) -> TextLines:
    """Return the lines of a file or a stream, each at most LONGEST_LINE long; see `longest_in`."""
    return TextLines(file, longest=longest_in(file))


def open_rows(file: Path | BinaryIO) -> AbstractContextManager[TextLines]:
    """Return the same of a table, as CSV."""
    return open_table(file, longest=longest_in(file))


def longest_in(file: Path | BinaryIO) -> int | None:
    """Return how long a line may be; None for JSON in a file, which may all be in one line, and has an end."""
    return None if isinstance(file, Path) and file.is_file() and is_named(str(file), *JSON_SUFFIXES) else LONGEST_LINE


def pictures(
    source: Source, expected: str, decode: Callable[[str, IO[bytes]], NDArray[np.uint8]]
) -> Iterator[Asked[NDArray[np.uint8]]]:
    """Yield the pixels of each picture: INPUT itself, those in a directory, or those that a stream lists.

    decode(name, file): returns the pixels. A file that cannot be read or is too large is an error in its place.
    """
    for path in _picture_paths(source, expected):
        if isinstance(path, RowError):
            yield {"picture": ""}, path
            continue
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > LARGEST_FILE:
                    raise DataError(f"{path} has more than {LARGEST_FILE:,} bytes; expected a picture")
                pixels: NDArray[np.uint8] | RowError = decode(str(path), file)
        except OSError as error:
            pixels = RowError(f"{path} cannot be read ({error.strerror}); expected {expected}")
        except DataError as error:
            pixels = RowError(str(error))
        yield {"picture": str(path)}, pixels


def answered(
    items: Iterator[Asked[Item]],
    n: int,
    answer: Callable[[list[Item]], Iterable[Mapping[str, Any]]],
    size: Callable[[Item], int] = lambda item: 1,
    largest: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield for each item what names it and its answer, or `error` where it cannot be used, in their order.

    answer: returns the answers to a batch. n, size, largest: of a batch; see `batches`.
    """

    def size_of(item: Asked[Item]) -> int:
        return 0 if isinstance(item[1], RowError) else size(item[1])

    for batch in batches(items, n, size_of, largest):
        usable = [item for _, item in batch if not isinstance(item, RowError)]
        answers = iter(answer(usable) if usable else ())
        for about, item in batch:
            yield {**about, **({"error": str(item)} if isinstance(item, RowError) else next(answers))}


def batches(
    items: Iterator[Item], n: int, size: Callable[[Item], int] = lambda item: 1, largest: int | None = None
) -> Iterator[list[Item]]:
    """Yield the items in lists of at most n, and of at most `largest` in total when all are padded to the longest.

    Before a DataError of `items` is raised, the items before it are yielded.
    """
    batch: list[Item] = []
    longest = 0
    try:
        for item in items:
            longest = max(longest, size(item))
            if batch and (len(batch) == n or (largest is not None and longest * (len(batch) + 1) > largest)):
                yield batch
                batch, longest = [], size(item)
            batch.append(item)
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def likeliest(logits: torch.Tensor, classes: Sequence[str], name: str) -> Iterator[dict[str, Any]]:
    """Yield for each row of logits [n, n_classes] its likeliest classes and their probabilities, as columns."""
    found = logits.float().softmax(dim=1).topk(min(N_LIKELIEST, len(classes)), dim=1)
    for probabilities, indices in zip(found.values.tolist(), found.indices.tolist(), strict=True):
        row: dict[str, Any] = {}
        for place, (probability, index) in enumerate(zip(probabilities, indices, strict=True), start=1):
            end = "" if place == 1 else f"_{place}"
            row |= {f"{name}{end}": classes[index], f"probability{end}": round(probability, DECIMALS)}
        yield row


def restored(model: nn.Module, weights: Mapping[str, Any], device: str) -> Any:
    """Return the model on the device with these weights, in evaluation mode. Raises RuntimeError if they do not fit."""
    model.load_state_dict(dict(weights))
    return model.to(device).eval()


def _picture_paths(source: Source, expected: str) -> Iterator[Path | RowError]:
    if not isinstance(source, str):
        with open_lines(source) as lines:

            def listed(line: str) -> Path:
                path = Path(line.rstrip("\r\n"))
                if not path.is_file():
                    raise lines.error(f"there is no file {shown(str(path))}", "expected the path of a picture")
                return path

            yield from each(map(listed, _not_blank(lines)))
        return
    path = Path(source)
    if not source or not path.is_dir():
        if not source or not path.exists():
            raise DataError(f"there is no file or directory {shown(source)}; expected {expected}")
        yield path
        return
    found = False
    for below in sorted(path.rglob("*")):
        if is_shown(below, path) and below.is_file():
            found = True
            yield below
    if not found:
        raise DataError(f"{path} holds no pictures; expected {expected}")


def _not_blank(lines: Iterable[str]) -> Iterator[str]:
    return filter(str.strip, iter(lines))
