"""A classifier's evidence, read back: what it answers, what it recalls, and which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

N_LISTED = 20


@dataclass(frozen=True)
class Recall:
    """One class. recall: None where it has no rows. precision: None where it was never answered, or is unknown."""

    name: str
    n_rows: int
    recall: float | None
    precision: float | None = None
    pr_auc: float | None = None


@dataclass(frozen=True)
class Answer:
    """One of the most frequent answers: its share of all answers, of the rows, and its recall."""

    name: str
    share: float
    share_of_rows: float
    recall: float | None


@dataclass(frozen=True)
class Classes:
    """What a classifier answered to n_rows rows of n classes.

    recalls: of every class in order; with many classes, only the worst. others: the mean recall of all classes but
    the one that is answered most. confused: the most frequent mistakes as true class, answer, how often. matrix: rows
    are true classes; None with many classes.
    """

    n: int
    n_rows: int
    recalls: Sequence[Recall]
    answers: Sequence[Answer]
    others: float | None
    confused: Sequence[tuple[str, str, int]]
    matrix: Sequence[Sequence[int]] | None = None

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, where the whole matrix is known."""
        return None if self.matrix is None else sum(row[i] for i, row in enumerate(self.matrix)) / self.n_rows


def read_classes(evidence: Any) -> Classes | None:
    """Return what the evidence says about classes; None when it says nothing, or has an unknown form."""
    try:
        if "confusion" in evidence:
            return _dense(evidence["classes"], evidence["confusion"], evidence.get("pr_auc"))
        return _listed(evidence) if "confused" in evidence else None
    except (TypeError, ValueError, KeyError, IndexError):
        return None  # a user's own evidence may have anything under these names


def only_class(evidence: Any) -> str | None:
    """Return the class that every row is of; None where there are several, or nothing is known."""
    try:
        n_rows = [sum(row) for row in evidence["confusion"]]
        of = [str(name) for name, n in zip(evidence["classes"], n_rows, strict=True) if n > 0]
    except (TypeError, ValueError, KeyError):
        return None
    return of[0] if len(of) == 1 else None


def _dense(names: Sequence[str], confusion: Sequence[Sequence[int]], areas: Sequence[float | None] | None) -> Classes:
    counts = np.array(confusion, dtype=np.int64)
    n = len(names)
    if n < 2 or counts.shape != (n, n) or counts.min() < 0 or not counts.any():
        raise ValueError("not a confusion matrix")
    names = [str(name) for name in names]
    rows, answered, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    n_rows = int(counts.sum())
    recall = [right[i] / rows[i] if rows[i] else None for i in range(n)]
    precision = [right[i] / answered[i] if answered[i] else None for i in range(n)]
    recalls = [
        Recall(names[i], int(rows[i]), recall[i], precision[i], areas[i] if areas and len(areas) == n else None)
        for i in range(n)
    ]
    order = np.argsort(-answered, kind="stable")[:N_LISTED]
    answers = [Answer(names[i], answered[i] / n_rows, rows[i] / n_rows, recall[i]) for i in order]
    wrong = counts - np.diag(right)
    places = np.argsort(-wrong, axis=None, kind="stable")[:N_LISTED]
    pairs = [(int(place) // n, int(place) % n) for place in places if wrong.flat[place]]
    return Classes(
        n=n,
        n_rows=n_rows,
        recalls=recalls,
        answers=answers,
        others=_others(recall, recall[order[0]]),
        confused=[(names[true], names[answer], int(wrong[true, answer])) for true, answer in pairs],
        matrix=counts.tolist(),
    )


def _listed(evidence: Any) -> Classes:
    answers = [Answer(str(name), *numbers) for name, *numbers in evidence["answers"]]
    return Classes(
        n=int(evidence["n_classes"]),
        n_rows=int(evidence["n_rows"]),
        recalls=[Recall(str(name), int(n), recall) for name, n, recall in evidence["worst"]],
        answers=answers,
        others=_others(evidence["recall"], answers[0].recall) if evidence["recall"] else None,
        confused=[(str(true), str(answer), int(n)) for true, answer, n in evidence["confused"]],
    )


def _others(recalls: Sequence[float | None], top: float | None) -> float | None:
    known = [recall for recall in recalls if recall is not None]
    n = len(known) - (top is not None)
    return float(sum(known) - (top or 0.0)) / n if n else None
