"""Evidence for a metric: which classes were mistaken for which, as plain JSON that stays small with many classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from objectives._metrics import average_precision, classification, confusion_matrix

MAX_DENSE = 50  # classes; with more, the matrix is large and nearly all zeros
MAX_RECALLS = 2000
N_LISTED = 20
MAX_NAME = 60
MAX_SCORES = 2**25  # scores kept for the areas: 134 MB


class Scores(dict[str, float]):
    """Metrics with their evidence. evidence: a function that returns it as plain JSON, called only when needed."""

    def __init__(self, metrics: Mapping[str, float], evidence: Callable[[], dict[str, Any]]) -> None:
        super().__init__(metrics)
        self.evidence = evidence


def score_classes(batches: Iterable[tuple[Tensor, Tensor]], n_rows: int, classes: Sequence[str]) -> Scores:
    """Return the metrics of all batches of logits [n, n_classes] and labels [n], n_rows in all, with their evidence.

    pr_auc is the mean over classes of the area under the precision-recall curve of each class against the rest, by
    the rows' probabilities; with more scores than MAX_SCORES, only every second (third, ...) row counts. Classes that
    do not occur do not count. baseline_*: what one answer for everything gets.
    """
    step = max(1, -(-n_rows * len(classes) // MAX_SCORES))
    # Written into arrays of full size: small tensors kept from each batch would lie between the logits of two batches
    # in the heap, which then never shrinks. With a million rows and 632 classes that was 2.5 GB.
    true, answered = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    scored = np.empty((-(-n_rows // step), len(classes)), dtype=np.float32)
    total, n_seen = torch.zeros(()), 0
    for logits, labels in batches:
        scores = logits.log_softmax(dim=1)
        total = total.to(scores.device) + F.nll_loss(scores, labels, reduction="sum")
        rows = slice(n_seen, n_seen + len(labels))
        true[rows], answered[rows] = labels.cpu(), scores.argmax(dim=1).cpu()
        sampled = scores[-n_seen % step :: step].cpu()
        scored[-(-n_seen // step) :][: len(sampled)] = sampled
        n_seen += len(labels)
    confusion = confusion_matrix(true, answered, len(classes))
    areas = _areas(true[::step], scored)
    metrics = {
        "validation_loss": total.item() / n_seen,
        **classification(confusion),
        "pr_auc": float(np.nanmean(areas)),
        "baseline_pr_auc": 1 / np.count_nonzero(confusion.sum(axis=1)),  # of one score for all rows: a class's share
    }
    return Scores(metrics, lambda: confused(confusion, classes) | _areas_shown(areas))


def _areas(truth: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the area of each class, NaN of one that does not occur; truth [n], scores [n, n_classes]."""
    areas = np.full(scores.shape[1], np.nan)
    columns = np.ascontiguousarray(scores.T)
    for one in np.unique(truth):
        areas[one] = average_precision(truth == one, columns[one])
    return areas


def _areas_shown(areas: NDArray[np.float64]) -> dict[str, Any]:
    return {"pr_auc": _rounded(areas)} if len(areas) <= MAX_DENSE else {}


def confused(confusion: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Return what a confusion matrix [n_classes, n_classes] says, rows being true classes.

    Up to MAX_DENSE classes, `classes` and the whole matrix, `confusion`. Of more:
    n_classes; n_rows; recall: of each class, None where it does not occur; answers: the most frequent answers, each
    with its share of the answers, its share of the rows and its recall; worst: the classes of the lowest recall, each
    with its rows and its recall; confused: the most frequent mistakes, as true class, answer, how often.
    """
    names = [str(name)[:MAX_NAME] for name in classes]
    if len(names) <= MAX_DENSE:
        return {"classes": names, "confusion": confusion.tolist()}
    n_rows = int(confusion.sum())
    per_class, per_answer = confusion.sum(axis=1), confusion.sum(axis=0)
    right = np.diag(confusion)
    recall = np.where(per_class > 0, right / np.maximum(per_class, 1), np.nan)
    recalls = _rounded(recall)
    wrong = confusion - np.diag(right)
    places = np.argpartition(wrong, -N_LISTED, axis=None)[-N_LISTED:]
    places = places[np.argsort(-wrong.flat[places], kind="stable")]
    pairs = [(int(place) // len(names), int(place) % len(names)) for place in places if wrong.flat[place] > 0]
    return {
        "n_classes": len(names),
        "n_rows": n_rows,
        "recall": recalls if len(names) <= MAX_RECALLS else None,
        "answers": [
            [names[one], *_rounded(np.array([per_answer[one] / n_rows, per_class[one] / n_rows, recall[one]]))]
            for one in np.argsort(-per_answer, kind="stable")[:N_LISTED]
        ],
        "worst": [
            [names[one], int(per_class[one]), recalls[one]]
            for one in np.lexsort((-per_class, recall))[:N_LISTED]
            if per_class[one]
        ],
        "confused": [[names[true], names[answer], int(wrong[true, answer])] for true, answer in pairs],
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]
