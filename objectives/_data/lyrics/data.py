"""Prepared texts, as an objective gets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._data.lyrics.tokens import Vocabulary


@dataclass(frozen=True)
class Stream:
    """The documents of one role, memory-mapped, one after another, each closed by END.

    numbers: token numbers, int32 (t,). offsets: document i is numbers[offsets[i]:offsets[i + 1]], int64 (n + 1,).
    n_characters: of the documents; an end counts as one. spelling_nats: the cost of spelling the unknown tokens, each
    letter and each end at its frequency among the train characters. unigram_nats: log loss per token under the
    frequencies in the train documents (one added to each), which a model that ignores its input reaches.
    """

    numbers: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_characters: int
    spelling_nats: float
    unigram_nats: float


@dataclass(frozen=True)
class Tokens(Vocabulary):
    """The documents as one kind of tokens."""

    train: Stream
    validation: Stream
    test: Stream


@dataclass
class Lyrics:
    """A prepared data set of texts; fulfils `Prepared`.

    summary: documents, those of each role, and for each kind the train tokens and the vocabulary.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    tokens: Mapping[str, Tokens]
    directory: Path

    def with_validation(self) -> Lyrics:
        """The same data with the validation documents among the train documents. The vocabularies do not change.

        A training that halves its rate by the validation loss then decides by documents that it trained on.
        """
        return replace(
            self,
            tokens={
                kind: replace(tokens, train=_joined(tokens.train, tokens.validation))
                for kind, tokens in self.tokens.items()
            },
        )


def _joined(one: Stream, other: Stream) -> Stream:
    """The documents of both, in memory. Spelling and unigrams stay those of `one`: train documents are not scored."""
    numbers = np.concatenate([one.numbers, other.numbers])
    offsets = np.concatenate([one.offsets, other.offsets[1:] + one.offsets[-1]])
    return replace(one, numbers=numbers, offsets=offsets, n_characters=one.n_characters + other.n_characters)
