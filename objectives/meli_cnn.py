"""Which category does a product title belong to? A convolutional text classifier.

Task      a product title (3 to 20 words) to one of 10 (PriceRunner) or 632 (MercadoLibre) categories
Data      `pricerunner` ships with the package; MercadoLibre Data Challenge 2019 in the form of the DiploDatos course
Own data  a .csv or .parquet with the columns title and category, or JSON; what is read is in objectives/_data/titles
Metric    balanced accuracy on validation titles, none of which is a training title
Model     words -> embedding of 300 -> for each filter length L: n_filters convolutions over L words, maximum over the
          title, ReLU -> concatenated -> hidden layers -> one logit a category (Kim, "Convolutional neural networks
          for sentence classification", EMNLP 2014; as trained in the DiploDatos course). The embedding starts from
          word vectors, as in meli_mlp, if the data have any

Parameter            Space                                          Default
learning_rate        1e-5 .. 1e-1, log                              1e-3
decay_weights        true, false                                    true
weight_decay         1e-7 .. 1e-3, log, with decay_weights; else 0  1e-5
batch_size           64, 128, 256, 512, 1024                        128
dropout              0 .. 0.7, after each hidden layer              0.3
freeze_embeddings    true, false                                    false
optimizer            adam, rmsprop, sgd                             adam
momentum             0 .. 0.99, with sgd                            0.9
n_filters            10, 50, 100, 150, 200, 400, 500                100
filter_lengths       eight sets of lengths from 2 to 8              [2, 3, 4]
hidden_layers        [128], [1024], [256, 128]                      [128]

Result    balanced accuracy, 5 seeds, at the best epoch; learning_rate 2e-3 and the defaults: `pricerunner`, 6 epochs,
          validation 0.987 +- 0.001, test 0.986 +- 0.001; its 700 products (`pricerunner-clusters`), 25 epochs, 0.891
          +- 0.002 and 0.906 +- 0.004. One core of an AMD EPYC, 23 to 30 s a training. Test rows are scored once a
          seed. `python benchmarks/titles_quality.py`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from objectives._data.titles import PAD
from objectives._rows import RowEmbedding
from objectives._titles import EMBEDDING_WIDTH, SHARED_SPACE, TitleClassifier, TitleObjective, head


class MeliCnn(TitleObjective):
    """See the module."""

    space = SHARED_SPACE | {
        "n_filters": {"choices": [10, 50, 100, 150, 200, 400, 500], "default": 100},
        "filter_lengths": {
            "choices": [
                [2, 3, 4], [3, 4, 5], [4, 5, 6], [4, 6, 7], [4, 6, 8], [2, 5, 7], [2, 3, 4, 5], [2, 3, 4, 5, 6],
            ],
            "default": [2, 3, 4],
        },
        "hidden_layers": {"choices": [[128], [1024], [256, 128]], "default": [128]},
    }  # fmt: skip
    quick: ClassVar[Mapping[str, Any]] = {"n_filters": 10, "batch_size": 64}

    def build(
        self, params: Mapping[str, Any], n_words: int, n_classes: int, vectors: Tensor | None = None
    ) -> TitleClassifier:
        """See TitleObjective."""
        return Cnn(params, n_words, n_classes, PAD, vectors)

    def shortest(self, params: Mapping[str, Any]) -> int:
        """Return the longest filter's length: a shorter title is padded to it."""
        return int(max(params["filter_lengths"]))


class Cnn(TitleClassifier):
    """Words [n, longest] and lengths [n] to logits [n, n_classes]."""

    def __init__(
        self, params: Mapping[str, Any], n_words: int, n_classes: int, pad: int, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        self.filter_lengths: list[int] = params["filter_lengths"]
        width = EMBEDDING_WIDTH if weight is None else weight.shape[1]
        self.embedding = RowEmbedding(n_words, width, pad=pad, weight=weight)
        convolutions = [nn.Conv1d(width, params["n_filters"], length) for length in self.filter_lengths]
        # The filters as [width, length, n_filters]: what a word adds to a window at each place in it.
        self.filters = nn.ParameterList(layer.weight.detach().permute(1, 2, 0).contiguous() for layer in convolutions)
        self.biases = nn.ParameterList(layer.bias for layer in convolutions)
        n_features = len(convolutions) * params["n_filters"]
        self.head = head(n_features, params["hidden_layers"], params["dropout"], n_classes)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        rows, place = self.embedding(words)  # [n_distinct, width], [n, longest]
        padded = lengths.clamp(min=max(self.filter_lengths))
        inputs = F.embedding(place, rows) if words.is_cuda else None  # [n, longest, width]
        features = []
        for filters, bias in zip(self.filters, self.biases, strict=True):
            n_windows = padded - filters.shape[1] + 1
            if inputs is not None:
                largest = largest_window(inputs, filters, n_windows)
            else:
                parts = (rows @ filters.flatten(1)).view(len(rows), *filters.shape[1:])  # [n_distinct, length, ...]
                largest = LargestWindow.apply(parts, place, n_windows)
            features.append(torch.relu(largest + bias))  # [n, n_filters]
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits


def largest_window(inputs: Tensor, filters: Tensor, n_windows: Tensor) -> Tensor:
    """Return what LargestWindow does, with more arithmetic in fewer kernels: a GPU waits for their launches.

    Each step repeats to the bit there. The sums of LargestWindow's backward do so only if they are sorted first; and
    conv1d spends milliseconds to plan for each length of the longest title.

    inputs [n, longest, width], filters [width, length, n_filters], n_windows [n] -> [n, n_filters]
    """
    windows = inputs.unfold(1, filters.shape[1], 1).flatten(2)  # [n, windows, width * length]
    sums = windows @ filters.flatten(0, 1)
    outside = torch.arange(sums.shape[1], device=sums.device) >= n_windows[:, None]
    return sums.masked_fill(outside[..., None], -torch.inf).max(dim=1).values


class LargestWindow(torch.autograd.Function):
    """The maximum over a title's windows of the sum of what their words add.

    The same numbers as Conv1d and max over time, with less work: the filters are applied once to a word that occurs
    many times in a batch, and backward visits only the window that won. Windows past a title's own end do not count, so
    a title's score does not depend on the other titles in the batch.

    parts [n_distinct, length, n_filters], place [n, longest], n_windows [n] -> [n, n_filters]
    """

    @staticmethod
    def forward(ctx: Any, parts: Tensor, place: Tensor, n_windows: Tensor) -> Tensor:
        """See the class."""
        length = parts.shape[1]
        # [n, windows, length]: the rows of `parts` that a window adds up, one for each of its places
        windows = place.unfold(1, length, 1) * length + torch.arange(length, device=place.device)
        sums = F.embedding_bag(windows.flatten(0, 1), parts.flatten(0, 1), mode="sum")
        sums = sums.view(*windows.shape[:2], -1)
        outside = torch.arange(windows.shape[1], device=place.device) >= n_windows[:, None]
        sums.masked_fill_(outside[..., None], -torch.inf)
        largest, where = sums.max(dim=1)  # [n, n_filters]
        ctx.save_for_backward(place, where)
        ctx.shape = parts.shape
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Send the gradient to the words of the window that won, for each title and filter."""
        place, where = ctx.saved_tensors
        parts = gradient.new_zeros(ctx.shape)
        for position in range(ctx.shape[1]):
            words = place.gather(1, where + position)  # [n, n_filters]
            parts[:, position].scatter_add_(0, words, gradient)
        return parts, None, None


objective = MeliCnn()
