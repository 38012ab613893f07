"""Which category does a product title belong to? A multi-layer perceptron on the mean of the title's words.

Task      a product title (3 to 20 words) to one of 10 (PriceRunner) or 632 (MercadoLibre) categories
Data      `pricerunner` ships with the package; MercadoLibre Data Challenge 2019 in the form of the DiploDatos course
Own data  a .csv or .parquet with the columns title and category, or JSON; what is read is in objectives/_data/titles
Metric    balanced accuracy on validation titles, none of which is a training title
Model     words -> embedding of 300 -> mean or sum over the title's own words -> hidden layers -> one logit a category
          (the DiploDatos course's baseline; Iyyer et al., "Deep unordered composition", ACL 2015). The embedding
          starts from word vectors, and has their width, if the data have any: a file vectors.txt beside them, for
          MercadoLibre's Spanish titles the one its authors used. freeze_embeddings keeps the embedding as it starts

Parameter            Space                                          Default
learning_rate        1e-5 .. 1e-1, log                              1e-3
decay_weights        true, false                                    true
weight_decay         1e-7 .. 1e-3, log, with decay_weights; else 0  1e-5
batch_size           64, 128, 256, 512, 1024                        128
dropout              0 .. 0.7, after each hidden layer              0.3
freeze_embeddings    true, false                                    false
optimizer            adam, rmsprop, sgd                             adam
momentum             0 .. 0.99, with sgd                            0.9
hidden_layers        nine sets of one to four widths                [256, 128]
pooling              mean, sum                                      mean
activation           relu, gelu                                     relu

Result    balanced accuracy, 5 seeds, at the best epoch: `pricerunner`, learning_rate 2e-3, 8 epochs, validation 0.987
          +- 0.001, test 0.985 +- 0.001; its 700 products (`pricerunner-clusters`), [2048, 1024], dropout 0.5, batches
          of 64, 25 epochs, 0.878 +- 0.005 and 0.882 +- 0.004. One core of an AMD EPYC, 8 to 104 s a training.
          `python benchmarks/titles_quality.py`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from objectives._data.titles import PAD
from objectives._rows import RowEmbedding
from objectives._titles import EMBEDDING_WIDTH, SHARED_SPACE, TitleClassifier, TitleObjective, head


class MeliMlp(TitleObjective):
    """See the module."""

    space = SHARED_SPACE | {
        "hidden_layers": {
            "choices": [
                [128, 128], [256, 128], [512, 128], [512, 256], [512, 256, 128], [256, 512, 128], [512, 512, 256],
                [512, 256, 256, 128], [2048, 1024],
            ],
            "default": [256, 128],
        },
        "pooling": {"choices": ["mean", "sum"], "default": "mean"},
        "activation": {"choices": ["relu", "gelu"], "default": "relu"},
    }  # fmt: skip

    def build(
        self, params: Mapping[str, Any], n_words: int, n_classes: int, vectors: Tensor | None = None
    ) -> TitleClassifier:
        """See TitleObjective."""
        return Mlp(params, n_words, n_classes, PAD, vectors)


class Mlp(TitleClassifier):
    """Words [n, longest] and lengths [n] to logits [n, n_classes]."""

    def __init__(
        self, params: Mapping[str, Any], n_words: int, n_classes: int, pad: int, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        self.pooling = params["pooling"]
        width = EMBEDDING_WIDTH if weight is None else weight.shape[1]
        self.embedding = RowEmbedding(n_words, width, pad=pad, weight=weight)
        self.head = head(width, params["hidden_layers"], params["dropout"], n_classes, activation=params["activation"])

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """See the class. Padding adds nothing to the sum and does not count in the mean."""
        if self.embedding.learns:
            rows, place = self.embedding(words)  # [n_distinct, width], [n, longest]
        else:
            rows, place = self.embedding.weight, words  # the same sums, and nothing to be updated
        pooled = F.embedding_bag(place, rows, mode="sum")  # [n, width]
        if self.pooling == "mean":
            pooled = pooled / lengths[:, None]
        logits: Tensor = self.head(pooled)
        return logits


objective = MeliMlp()
