"""What a trial is compared with: a trivial answer, the start of a training, the best trial, and the typical gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from studies.metrics import BASELINE, PERFECT_AT_ONE, TRAIN_LOSS, VALIDATION_LOSSES
from studies.names import ENDED

if TYPE_CHECKING:
    from studies.record.study import TrialRecord
    from studies.spec import StudySpec

MIN_EPOCHS = 3  # a shorter curve has no shape
MIN_NEVER = 3  # trials without a number, before that is told of the study


@dataclass(frozen=True)
class Comparison:
    """What a trial is compared with. gain: how much better a typical trial gets from its first epoch to its best.

    start: what a bad trial has after its first epoch, where no baseline is known.
    """

    trials: list[TrialRecord] = field(repr=False)

    max_epochs: int
    metric: str
    sign: int
    n_classes: int | None
    best: float | None
    gain: float
    reference: dict[int, dict[str, float]]
    start: float | None
    n_train: int | None

    @cached_property
    def is_never_a_number(self) -> bool:
        """Whether every trial that has ended had no number in its first epoch."""
        ended = [trial for trial in self.trials if trial.state in ENDED]
        return len(ended) >= MIN_NEVER and all(trial.reason == "nan" and not trial.curve for trial in ended)

    def best_by(self, epoch: int) -> float | None:
        """Return the best value that the best trial had by this epoch; None while there is no best trial."""
        values = [
            metrics[self.metric] for at, metrics in self.reference.items() if at <= epoch and self.metric in metrics
        ]
        return self.best if not values else self.sign * max(self.sign * value for value in values)

    @cached_property
    def lowest(self) -> float:
        """The lowest loss of any epoch of any trial: a floor is the model's, whatever its settings."""
        found = [metrics for trial in self.trials for metrics in trial.epochs(self.metric).values()]
        return min(
            (metrics[name] for metrics in found for name in (TRAIN_LOSS, *VALIDATION_LOSSES) if name in metrics),
            default=math.inf,
        )


def compare(spec: StudySpec, data: dict[str, Any], trials: list[TrialRecord], best: TrialRecord | None) -> Comparison:
    """Return what the trials of a study are compared with. data: see StudyRecord. best: None while there is none."""
    sign = spec.direction.sign
    gains = [
        sign * (best_of(trial.curve, sign) - trial.curve[min(trial.curve)])
        for trial in trials
        if len(trial.curve) >= MIN_EPOCHS
    ]
    return Comparison(
        trials=trials,
        max_epochs=spec.max_epochs,
        metric=spec.metric,
        sign=sign,
        n_classes=n_classes_of(data),
        best=best.value if best else None,
        gain=median([gain for gain in gains if gain > 0] or [0.0]),
        reference=best.epochs(spec.metric) if best else {},
        start=starting_value(trials, sign),
        n_train=n_train_of(data),
    )


def starting_value(trials: list[TrialRecord], sign: int) -> float | None:
    """Return what a bad trial has after its first epoch: the worst tenth's end; None without a curve."""
    firsts = sorted((trial.curve[min(trial.curve)] for trial in trials if trial.curve), key=lambda value: sign * value)
    return firsts[len(firsts) // 10] if firsts else None


def baseline(trial: TrialRecord, metric: str, n_classes: int | None) -> float | None:
    """Return what a trivial answer scores: the trial's own `baseline_` metric, or 1/K of K classes, or an R2 of 0."""
    own = trial.metrics.get(f"{BASELINE}{metric}")
    if own is not None:
        return float(own)
    if metric == "balanced_accuracy":
        return 1 / n_classes if n_classes else None
    return 0.0 if metric in ("r2", "R2") else None


def n_train_of(data: dict[str, Any]) -> int | None:
    """Return how many rows the data set says that it trains on; at most all of them where it says only that."""
    summary = data.get("summary") or {}
    n = summary.get("train", summary.get("rows"))
    return n if isinstance(n, int) and n > 0 else None


def n_classes_of(data: dict[str, Any]) -> int | None:
    """Return how many classes the data set says it has; None where it says nothing, or one."""
    n = (data.get("summary") or {}).get("classes")
    return n if isinstance(n, int) and n > 1 else None


def perfect(metric: str, sign: int) -> float | None:
    """Return the best possible value of a metric; None where it is not known. An error or a loss to minimize has 0."""
    if sign < 0:
        return 0.0
    return 1.0 if metric in PERFECT_AT_ONE else None


def best_of(curve: dict[int, float], sign: int) -> float:
    """Return the best value of a curve."""
    return curve[best_epoch(curve, sign)]


def best_epoch(curve: dict[int, float], sign: int) -> int:
    """Return the epoch that had it first."""
    values = list(curve.values())
    return list(curve)[values.index((max if sign > 0 else min)(values))]
