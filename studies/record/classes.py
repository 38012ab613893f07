"""A classifier's evidence, read back: what it answers, what it recalls, and which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

N_LISTED = 20


class Recall(NamedTuple):
    """One class. recall: None where it has no rows. precision: None where it was never answered, or is unknown."""

    name: str
    n_rows: int
    recall: float | None
    precision: float | None = None
    pr_auc: float | None = None


class Answer(NamedTuple):
    """The most frequent answer: its share of all answers, of the rows, and its recall."""

    name: str
    share: float
    share_of_rows: float
    recall: float | None


@dataclass(frozen=True)
class Classes:
    """What a classifier answered to n_rows rows of n classes.

    recalls: of every class in order; with many classes, only the worst. top: the class that is answered most. others:
    the mean recall of all other classes. matrix: rows are true classes; None with many classes. listed: with many
    classes, what `confused` returns.
    """

    n: int
    n_rows: int
    recalls: Sequence[Recall]
    top: Answer
    others: float | None
    matrix: Sequence[Sequence[int]] | None = None
    listed: Sequence[tuple[str, str, int]] = ()

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, where the whole matrix is known."""
        return None if self.matrix is None else sum(row[i] for i, row in enumerate(self.matrix)) / self.n_rows

    @cached_property
    def confused(self) -> Sequence[tuple[str, str, int]]:
        """The most frequent mistakes as true class, answer, how often."""
        if self.matrix is None:
            return self.listed
        wrong = [
            (self.recalls[true].name, self.recalls[answer].name, n)
            for true, row in enumerate(self.matrix)
            for answer, n in enumerate(row)
            if n and answer != true
        ]
        return sorted(wrong, key=lambda mistake: -mistake[2])[:N_LISTED]


def read_classes(evidence: Any) -> Classes | None:
    """Return what the evidence says about classes; None when it says nothing, or has an unknown form."""
    try:
        if "confusion" in evidence:
            return _dense(evidence["classes"], evidence["confusion"], evidence.get("pr_auc"))
        return _listed(evidence) if "confused" in evidence else None
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
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
    # Plain Python: every trial of a study has a matrix, and most are so small that numpy takes longer.
    counts = [list(map(int, row)) for row in confusion]
    n, n_of_row, n_of_answer = len(names), [sum(row) for row in counts], [sum(of) for of in zip(*counts, strict=True)]
    n_rows = sum(n_of_row)
    if n < 2 or len(counts) != n or len(n_of_answer) != n or min(map(min, counts)) < 0 or not n_rows:
        raise ValueError("not a confusion matrix")
    areas = areas if areas and len(areas) == n else [None] * n
    recalls = [
        Recall(
            str(name), of, counts[i][i] / of if of else None, counts[i][i] / answered if answered else None, areas[i]
        )
        for i, (name, of, answered) in enumerate(zip(names, n_of_row, n_of_answer, strict=True))
    ]
    most = n_of_answer.index(max(n_of_answer))
    top = recalls[most]
    return Classes(
        n=n,
        n_rows=n_rows,
        recalls=recalls,
        top=Answer(top.name, n_of_answer[most] / n_rows, top.n_rows / n_rows, top.recall),
        others=_others([one.recall for one in recalls], top.recall),
        matrix=counts,
    )


def _listed(evidence: Any) -> Classes:
    name, *numbers = evidence["answers"][0]
    top = Answer(str(name), *numbers)
    return Classes(
        n=int(evidence["n_classes"]),
        n_rows=int(evidence["n_rows"]),
        recalls=[Recall(str(name), int(n), recall) for name, n, recall in evidence["worst"]],
        top=top,
        others=_others(evidence["recall"], top.recall) if evidence["recall"] else None,
        listed=[(str(true), str(answer), int(n)) for true, answer, n in evidence["confused"]],
    )


def _others(recalls: Sequence[float | None], top: float | None) -> float | None:
    known = [recall for recall in recalls if recall is not None]
    n = len(known) - (top is not None)
    return float(sum(known) - (top or 0.0)) / n if n else None
