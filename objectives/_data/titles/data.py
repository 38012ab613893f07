"""Prepared product titles, as an objective gets them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._data.titles.tokens import Recipe
from objectives._data.titles.vocabulary import PAD, UNK, encoder


@dataclass(frozen=True)
class TitleRows:
    """The rows of one role, memory-mapped and read-only.

    tokens: word numbers of all titles, one title after another, int32 (t,). offsets: title i is
    tokens[offsets[i]:offsets[i + 1]], never empty, int64 (n + 1,). labels: an index into the classes, int32 (n,).
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        """How many titles."""
        return len(self.labels)

    def __add__(self, other: TitleRows) -> TitleRows:
        """These titles and then the others, in memory."""
        return TitleRows(
            np.concatenate([self.tokens, other.tokens]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.labels, other.labels]),
        )


@dataclass
class Titles:
    """A prepared data set of titles; fulfils `Prepared`.

    summary: rows, rows of each role, classes, words in the vocabulary, longest title in tokens, and how many rows to
    score have a title that was trained on (0 unless the source came with its split); with vectors, how many words have
    one and how wide they are. classes: sorted names. directory: where the arrays are. vectors_file: where the words'
    vectors are, None without any. pad and unk: the numbers of padding and of a word outside the vocabulary.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    train: TitleRows
    validation: TitleRows
    test: TitleRows
    classes: list[str]
    recipe: Recipe
    directory: Path
    vectors_file: Path | None = None
    pad: int = PAD
    unk: int = UNK

    @cached_property
    def vocabulary(self) -> list[str]:
        """The words by number, padding and the unknown word first."""
        words: list[str] = json.loads((self.directory / "vocabulary.json").read_text(encoding="ascii"))
        return words

    def vectors(self) -> NDArray[np.float32] | None:
        """The words' vectors to start from, float32 (words, width); None without any.

        Each call maps the file again, copy-on-write: torch wraps it without a copy, and a training gets its own copy
        only of the rows that it changes.
        """
        return None if self.vectors_file is None else np.load(self.vectors_file, "c")

    @cached_property
    def encode(self) -> Callable[[str], list[int]]:
        """See `encoder`."""
        return encoder(self.recipe, self.vocabulary)

    def with_validation(self) -> Titles:
        """The same data with the validation titles among the train titles. The vocabulary does not change."""
        return replace(self, train=self.train + self.validation)
