"""Metrics, from their definitions. Inputs are numpy arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def confusion_matrix(truth: npt.ArrayLike, answer: npt.ArrayLike, n_classes: int) -> npt.NDArray[np.int64]:
    """Return counts [n_classes, n_classes]: rows are true classes, columns what was answered."""
    truth, answer = np.asarray(truth, dtype=np.int64), np.asarray(answer, dtype=np.int64)
    counts = np.bincount(truth * n_classes + answer, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes)


def classification(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy and balanced accuracy: the mean recall of the classes that occur, so 1/K for a constant answer.

    Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    per_class = confusion.sum(axis=1)
    recall = np.diag(confusion)[per_class > 0] / per_class[per_class > 0]
    return {
        "balanced_accuracy": float(recall.mean()),
        "accuracy": float(np.trace(confusion) / confusion.sum()),
    }
