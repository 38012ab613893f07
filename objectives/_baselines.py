"""What a linear model scores: the second baseline, beside an answer that is the same for everything.

A net that is worse than it has not been trained long enough, or searches in the wrong place. All are least squares
with regularisation, fitted to train rows and scored on validation rows, as a study is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from objectives._data.titles import PAD, TitleRows
from objectives._metrics import classification, confusion_matrix

RIDGES = (1e-3, 1e-1, 10.0)  # times the rows: how strongly weights are drawn to zero; the best on validation counts
MAX_ROWS = 20_000  # titles or pictures, evenly drawn from more
MAX_WORK = 100_000_000  # words of the titles, and known words, times classes: more is too much for a baseline
N_STEPS = 20  # of conjugate gradients
CHUNK = 4096  # rows
UNEQUAL = 1.5  # times as many rows in the largest class as in the smallest
PENALTY = 0.1  # the same for titles' weights; titles have length one


def ridge(
    inputs: NDArray[np.float32],
    target: NDArray[np.float32],
    asked: NDArray[np.float32],
    counts: NDArray[np.float64] | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield the answers [m, c] of a linear model of target [n, c], fitted to inputs [n, k], to asked [m, k].

    One for each of RIDGES, which is fair among columns of about the same scale. counts: how much each row counts, [n].
    """
    counts = np.ones(len(inputs)) if counts is None else counts
    total = counts.sum()
    middle, level = counts @ inputs / total, counts @ target / total
    products, moments = np.zeros((inputs.shape[1],) * 2), np.zeros((inputs.shape[1], target.shape[1]))
    for at in range(0, len(inputs), CHUNK):
        rows = inputs[at : at + CHUNK] - middle
        weighted = rows * counts[at : at + CHUNK, None]
        products += weighted.T @ rows
        moments += weighted.T @ (target[at : at + CHUNK] - level)
    sizes, axes = np.linalg.eigh(products)
    along = axes.T @ moments
    for strength in RIDGES:
        weights = axes @ (along / (sizes.clip(min=0.0) + strength * total)[:, None])
        yield (asked - middle) @ weights + level


def linear_classifier(
    inputs: NDArray[np.float32], labels: NDArray[np.int64], asked: NDArray[np.float32], n_classes: int
) -> Iterator[NDArray[np.float64]]:
    """Yield scores [m, n_classes] of linear classifiers, one class against the rest, fitted to inputs [n, k].

    First every row counts the same; then, where some classes are much smaller than others, every class.
    """
    wanted, sizes = np.eye(n_classes, dtype=np.float32)[labels], np.bincount(labels)
    yield from ridge(inputs, wanted, asked)
    if sizes.max() > UNEQUAL * sizes[sizes > 0].min():
        yield from ridge(inputs, wanted, asked, counts=1 / sizes[labels])


def thinned(n: int, most: int = MAX_ROWS) -> NDArray[np.int64]:
    """Return the numbers of at most so many of n rows, evenly drawn."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def highest(scored: Iterable[Mapping[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Return the highest value of each of these metrics."""
    found = list(scored)
    return {name: max(each[name] for each in found) for name in names}


@dataclass(frozen=True)
class Bags:
    """The words of n titles: which title, which word and how much of it, [n_occurrences] each."""

    n: int
    title: Tensor
    word: Tensor
    weight: Tensor

    def times(self, weights: Tensor) -> Tensor:
        """Return the titles' sums [n, c] of the words' weights [n_words, c]."""
        sums = torch.zeros(self.n, weights.shape[1])
        return sums.index_add_(0, self.title, self.weight[:, None] * weights[self.word])

    def back(self, of_titles: Tensor, n_words: int) -> Tensor:
        """Return the words' sums [n_words, c] of numbers of titles [n, c]."""
        sums = torch.zeros(n_words, of_titles.shape[1])
        return sums.index_add_(0, self.word, self.weight[:, None] * of_titles[self.title])


def linear_titles(train: TitleRows, validation: TitleRows, n_words: int, n_classes: int) -> dict[str, float]:
    """Return accuracy and balanced accuracy of a linear classifier on TF-IDF of words, one class against the rest.

    Empty where there are too many words and classes for a baseline.
    """
    seen = thinned(len(train))
    title, word = _occurrences(train, seen)
    if max(len(word), n_words) * n_classes > MAX_WORK:
        return {}
    rarity = torch.log((1 + len(seen)) / (1 + torch.bincount(word, minlength=n_words))) + 1
    wanted = torch.zeros(len(seen), n_classes)
    wanted[torch.arange(len(seen)), torch.from_numpy(train.labels[seen].astype(np.int64))] = 1.0
    mean = wanted.mean(dim=0)
    weights = _solved(_tf_idf(title, word, rarity, len(seen)), wanted - mean, n_words)
    asked = _tf_idf(*_occurrences(validation, np.arange(len(validation))), rarity, len(validation))
    answers = (asked.times(weights) + mean).argmax(dim=1)
    scored = classification(confusion_matrix(validation.labels, answers.numpy(), n_classes))
    return {name: scored[name] for name in ("balanced_accuracy", "accuracy")}


def _occurrences(rows: TitleRows, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return the place of the title among those chosen, and the word, of each of their words; padding is none."""
    lengths = np.diff(rows.offsets)[chosen]
    title = np.repeat(np.arange(len(chosen)), lengths)
    within = np.arange(len(title)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    word = np.asarray(rows.tokens[np.repeat(rows.offsets[chosen], lengths) + within], dtype=np.int64)
    return torch.from_numpy(title[word != PAD]), torch.from_numpy(word[word != PAD])


def _tf_idf(title: Tensor, word: Tensor, rarity: Tensor, n: int) -> Bags:
    """Return the words weighted by their rarity, each title of length one; a repeated word adds up."""
    weight = rarity[word]
    lengths = torch.zeros(n).index_add_(0, title, weight.square()).sqrt().clamp_min(1e-12)
    return Bags(n, title, word, weight / lengths[title])


def _solved(bags: Bags, wanted: Tensor, n_words: int) -> Tensor:
    """Return the weights [n_words, c] that fit titles to wanted [n, c], by conjugate gradients for all c at once."""
    rest = bags.back(wanted, n_words)
    weights, way = torch.zeros_like(rest), rest.clone()
    size = rest.square().sum(dim=0)
    for _ in range(N_STEPS):
        along = bags.back(bags.times(way), n_words) + PENALTY * way
        step = size / (way * along).sum(dim=0).clamp_min(1e-20)
        weights += step * way
        rest -= step * along
        size, before = rest.square().sum(dim=0), size
        way = rest + size / before.clamp_min(1e-20) * way
    return weights
