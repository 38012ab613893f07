"""What an n-gram model scores on a text: the second baseline of a language model, beside the tokens' frequencies.

Interpolated Kneser-Ney smoothing, with one discount for each length (Chen and Goodman, "An empirical study of smoothing
techniques for language modeling", 1999). Everything is counted with sorted arrays: seconds for a million tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_TOKENS = 1_000_000  # of train, and of what is asked: whole documents, evenly drawn from more
MAX_NUMBER = 2**62  # of an n-gram


def nats_per_token(train: NDArray[np.int64], asked: NDArray[np.int64], n_tokens: int, length: int) -> float:
    """Return the log loss of the tokens asked under a model of n-grams of up to `length`, counted in train.

    train, asked: token numbers below n_tokens; before the first is as if there were zeros.
    """
    while n_tokens**length > MAX_NUMBER:
        length -= 1
    likely = np.full(len(asked), 1 / n_tokens)
    for size in range(1, length + 1):
        likely = _refined(likely, *_counted(train, n_tokens, size, longest=size == length), asked, n_tokens, size)
    return float(-np.log(likely).mean())


def _counted(
    train: NDArray[np.int64], n_tokens: int, size: int, *, longest: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the n-grams of this size, sorted, and how often each occurs, or behind how many tokens it does.

    The second for all but the longest: a shorter n-gram is asked where a longer one is not known, and so counts by how
    many contexts it has been new in.
    """
    if longest:
        return np.unique(_numbered(train, n_tokens, size), return_counts=True)
    longer = np.unique(_numbered(train, n_tokens, size + 1))
    return np.unique(longer % n_tokens**size, return_counts=True)


def _refined(
    likely: NDArray[np.float64],
    grams: NDArray[np.int64],
    counts: NDArray[np.int64],
    asked: NDArray[np.int64],
    n_tokens: int,
    size: int,
) -> NDArray[np.float64]:
    """Return the probabilities of the tokens asked by n-grams of this size, given those by shorter ones."""
    once, twice = (int(np.count_nonzero(counts == n)) for n in (1, 2))
    discount = (once + 1) / (once + 2 * twice + 2)
    contexts, first = np.unique(grams // n_tokens, return_index=True)
    totals, kinds = np.add.reduceat(counts, first), np.diff(first, append=len(grams))
    wanted = _numbered(asked, n_tokens, size)
    own = _looked_up(grams, counts, wanted)
    total, kind = (_looked_up(contexts, each, wanted // n_tokens) for each in (totals, kinds))
    seen = np.maximum(own - discount, 0.0) + discount * kind * likely
    return np.where(total > 0, seen / np.maximum(total, 1), likely)


def _numbered(tokens: NDArray[np.int64], n_tokens: int, size: int) -> NDArray[np.int64]:
    """Return the number of the n-gram that ends at each token."""
    padded = np.concatenate([np.zeros(size - 1, np.int64), tokens])
    numbers = np.zeros(len(tokens), np.int64)
    for back in range(size):
        numbers = numbers * n_tokens + padded[back : back + len(tokens)]
    return numbers


def _looked_up(keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the value of each key that is wanted, 0 of one that is not there; keys are sorted."""
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)
