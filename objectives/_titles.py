"""What the two title classifiers share: the data, the parameters they have in common, batches and scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from objectives._contract import Objective, Progress, silent
from objectives._data.titles import DATASETS, ORIGINS, Rows, Titles, load_titles, raw_files
from objectives._dropout import Dropout
from objectives._fit import Fit, Optimizer, make_optimizer, seeded
from objectives._metrics import classification, confusion_matrix
from objectives._rows import RowEmbedding, RowOptimizer

EMBEDDING_WIDTH = 300  # unless the data have vectors; that of those which the published models start from
SCORE_BATCH = 1024

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}

SHARED_SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
    # A range of its logarithm cannot hold the 0 of no decay at all.
    "decay_weights": {"choices": [True, False], "default": True},
    "weight_decay": {"low": 1e-7, "high": 1e-3, "log": True, "default": 1e-5, "when": {"decay_weights": [True]}},
    "batch_size": {"choices": [64, 128, 256, 512, 1024], "default": 128},
    "dropout": {"low": 0.0, "high": 0.7, "default": 0.3},
    "freeze_embeddings": {"choices": [True, False], "default": False},
    "optimizer": {"choices": ["adam", "rmsprop", "sgd"], "default": "adam"},
    "momentum": {"low": 0.0, "high": 0.99, "default": 0.9, "when": {"optimizer": ["sgd"]}},
}


class TitleClassifier(nn.Module):
    """Titles [n, longest] of word numbers, and their lengths [n], to logits [n, n_classes]."""

    embedding: RowEmbedding


class TitleObjective(Objective):
    """Tell a product title's category; an objective says which model does."""

    metrics: ClassVar[Mapping[str, str]] = {"balanced_accuracy": "maximize", "accuracy": "maximize"}
    datasets: ClassVar[Mapping[str, str]] = DATASETS
    origins = ORIGINS

    @abstractmethod
    def build(self, params: Mapping[str, Any], data: Titles) -> TitleClassifier:
        """Return the model, with weights drawn from torch's generator."""

    def shortest(self, params: Mapping[str, Any]) -> int:
        """Return the length to which shorter titles are padded."""
        return 1

    def files(self, dataset: str, data: Path) -> Sequence[Path]:
        """See Objective."""
        return raw_files(dataset, data)

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Titles:
        """See Objective."""
        return load_titles(dataset, data, cache, progress)

    def start(self, params: Mapping[str, Any], data: Titles, *, seed: int, device: str) -> Fit:
        """See Objective."""
        with seeded(seed, device):
            model = self.build(params, data).to(device)
        optimizers: list[Optimizer] = [make_optimizer(model.parameters(), params)]
        if not params["freeze_embeddings"]:
            optimizers.append(RowOptimizer(model.embedding, params))
        shortest = self.shortest(params)
        roles = {role: TitleBatches(getattr(data, role), shortest, device) for role in ("train", "validation", "test")}

        def loss(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
            words, lengths, labels = batch
            return F.cross_entropy(model(words, lengths), labels), len(labels)

        def score(role: str) -> dict[str, float]:
            return score_titles(model, roles[role], len(data.classes))

        return Fit(
            model,
            optimizers,
            batches=lambda order: roles["train"].shuffled(params["batch_size"], order),
            loss=loss,
            score=score,
            seed=seed,
            device=device,
        )


class TitleBatches:
    """The titles of one role, cut into padded batches."""

    def __init__(self, rows: Rows, shortest: int, device: str) -> None:
        self._rows = rows
        self._lengths = np.diff(rows.offsets)
        self._shortest = shortest
        self._device = device

    def __len__(self) -> int:
        return len(self._lengths)

    def shuffled(self, batch_size: int, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield words [n, longest], lengths [n] and labels [n] of every title once, in random batches.

        Titles of like length in a batch would save padding, and cost more than that: they are of like classes, too. On
        the bundled titles the perceptron with frozen embeddings then reaches .60 in place of .78 after one epoch, .927
        in place of .941 after three (batch 256, n = 3 seeds, sd .05 and .003).
        """
        shuffled = torch.randperm(len(self._lengths), generator=order).numpy()
        for start in range(0, len(shuffled), batch_size):
            yield self._batch(shuffled[start : start + batch_size])

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the same, from the first title to the last."""
        for start in range(0, len(self._lengths), batch_size):
            yield self._batch(np.arange(start, min(start + batch_size, len(self._lengths))))

    def _batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        lengths = self._lengths[rows]
        places = np.arange(max(self._shortest, lengths.max()))
        inside = places < lengths[:, None]
        words = np.zeros(inside.shape, dtype=np.int64)  # zero is padding
        words[inside] = self._rows.tokens[(self._rows.offsets[rows][:, None] + places)[inside]]
        labels = self._rows.labels[rows].astype(np.int64)
        batch = (torch.from_numpy(array).to(self._device, non_blocking=True) for array in (words, lengths, labels))
        return next(batch), next(batch), next(batch)


def score_titles(model: TitleClassifier, batches: TitleBatches, n_classes: int) -> dict[str, float]:
    """Return loss, accuracy and balanced accuracy over every title."""
    total = torch.zeros((), device=model.embedding.weight.device)
    # Written into one array: a small tensor kept from each batch lies between two batches' logits in the heap, which
    # then never gets smaller. With a million titles and 632 classes that was 2.5 GB.
    truth, answers = np.empty(len(batches), dtype=np.int64), np.empty(len(batches), dtype=np.int64)
    end = 0
    for words, lengths, labels in batches.in_order(SCORE_BATCH):
        logits = model(words, lengths)
        total += F.cross_entropy(logits, labels, reduction="sum")
        begin, end = end, end + len(labels)
        truth[begin:end], answers[begin:end] = labels.cpu(), logits.argmax(dim=1).cpu()
    confusion = confusion_matrix(truth, answers, n_classes)
    return {"validation_loss": total.item() / len(truth), **classification(confusion)}


def first_weight(data: Titles) -> Tensor | None:
    """Return the data's word vectors as an embedding's first weight, None for random ones."""
    vectors = data.vectors()
    return None if vectors is None else torch.from_numpy(vectors)


def head(
    width: int, hidden_layers: list[int], dropout: float, n_classes: int, *, activation: str = "relu"
) -> nn.Sequential:
    """Return [Linear, activation, dropout] for each hidden layer, then Linear to logits: no sigmoid before the loss."""
    layers: list[nn.Module] = []
    for n_hidden in hidden_layers:
        layers += [nn.Linear(width, n_hidden), ACTIVATIONS[activation](), Dropout(dropout)]
        width = n_hidden
    return nn.Sequential(*layers, nn.Linear(width, n_classes))
