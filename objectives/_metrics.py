"""Metrics, from their definitions. Inputs are numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def confusion_matrix(truth: npt.ArrayLike, answer: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Return counts [n_classes, n_classes]: rows are true classes, columns what was answered."""
    truth, answer = np.asarray(truth, dtype=np.int64), np.asarray(answer, dtype=np.int64)
    counts = np.bincount(truth * n_classes + answer, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def classification(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy and balanced accuracy: the mean recall of the classes that occur.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010. baseline_*: what the best
    answer that is the same for everything gets, 1/K for K classes that occur.
    """
    per_class = confusion.sum(axis=1)
    recall = np.diag(confusion)[per_class > 0] / per_class[per_class > 0]
    return {
        "balanced_accuracy": float(recall.mean()),
        "accuracy": float(np.trace(confusion) / confusion.sum()),
        "baseline_balanced_accuracy": 1 / len(recall),
        "baseline_accuracy": float(per_class.max() / per_class.sum()),
    }


def binary(truth: npt.ArrayLike, score: npt.ArrayLike) -> dict[str, float]:
    """Return metrics and counts of a yes-or-no classifier, and what a constant answer gets.

    truth: yes or no (n,), at least one of each. score: (n,), higher for a likelier yes; above 0 it is the answer yes.
    precision is 0 if no answer is yes. baseline_*: what one answer for everything gets, the better of the two.
    """
    truth, score = np.asarray(truth, dtype=bool), np.asarray(score)
    confusion = confusion_matrix(truth, score > 0, 2)
    (true_negatives, false_positives), (false_negatives, true_positives) = confusion.tolist()
    share = float(truth.mean())
    return {
        **classification(confusion),
        "recall": true_positives / (true_positives + false_negatives),
        "precision": true_positives / max(1, true_positives + false_positives),
        "pr_auc": average_precision(truth, score),
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": true_negatives,
        "false_negatives": false_negatives,
        "baseline_pr_auc": share,
        "baseline_recall": 1.0,  # by the answer yes
        "baseline_precision": share,
    }


def average_precision(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating[Any]]) -> float:
    """Return the area under the precision-recall curve, as the sum of precision times gain in recall.

    A step of the curve is one value of `score`, however many rows have it. Not interpolated: see Davis and Goadrich,
    "The relationship between precision-recall and ROC curves", ICML 2006.
    """
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(truth[order])
    last_of_value = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    found_there = found[last_of_value]
    gained = np.diff(found_there, prepend=0)
    return float((gained * found_there / (last_of_value + 1)).sum() / found[-1])


def r_squared(truth: npt.ArrayLike, answer: npt.ArrayLike) -> float:
    """Return 1 - squared error / squared error of the truth's own mean: 0 for that mean, and without a lower bound.

    NaN where the truth is constant and the mean cannot be beaten.
    """
    truth, answer = np.asarray(truth, dtype=np.float64), np.asarray(answer, dtype=np.float64)
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - answer) ** 2).sum()) / spread if spread else float("nan")
