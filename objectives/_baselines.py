"""What a linear model scores: the second baseline, beside an answer that is the same for everything.

A net that is worse than it has not been trained long enough, or searches in the wrong place. Both are least squares
with regularisation, fitted to train rows and scored on validation rows, as a study is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from objectives._data.titles import PAD, TitleRows
from objectives._metrics import classification, confusion_matrix

RIDGES = (1e-3, 1e-1, 10.0)  # times the rows: how strongly weights are drawn to zero; the best on validation counts
MAX_TITLES = 20_000  # evenly drawn from more
MAX_WORK = 100_000_000  # words of the titles, and known words, times classes: more is too much for a baseline
N_STEPS = 20  # of conjugate gradients
CHUNK = 65_536  # rows
PENALTY = 0.1  # the same for titles' weights; titles have length one


def ridge(
    inputs: NDArray[np.float32], target: NDArray[np.float32], asked: NDArray[np.float32]
) -> Iterator[NDArray[np.float64]]:
    """Yield the answers [m] of a linear model of target [n], fitted to inputs [n, k], to asked [m, k].

    One for each of RIDGES, which is fair among columns of about the same scale.
    """
    k = inputs.shape[1] + 1
    products, moments = np.zeros((k, k)), np.zeros(k)
    for at in range(0, len(inputs), CHUNK):
        rows = _with_one(inputs[at : at + CHUNK])
        products += rows.T @ rows
        moments += rows.T @ target[at : at + CHUNK].astype(np.float64)
    asked_with_one = _with_one(asked)
    for strength in RIDGES:
        penalty = strength * len(inputs) * np.eye(k)
        penalty[-1, -1] = 0.0  # of the constant
        weights = np.linalg.lstsq(products + penalty, moments, rcond=None)[0]
        yield np.asarray(asked_with_one @ weights)


def _with_one(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.concatenate([rows.astype(np.float64), np.ones((len(rows), 1))], axis=1)


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
    seen = np.linspace(0, len(train) - 1, min(len(train), MAX_TITLES)).astype(np.int64)
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
