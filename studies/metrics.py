"""The metrics whose names mean something to the service; an objective may report any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TRAIN_LOSS = "train_loss"
VALIDATION_LOSSES = ("validation_loss", "val_loss", "loss")  # whichever of them is reported
ACCURACY = "accuracy"
PERFECT_AT_ONE = {ACCURACY, "balanced_accuracy", "f1", "precision", "recall", "pr_auc", "roc_auc", "auc", "r2", "R2"}

TRAIN, VALIDATION, BASELINE = "train_", "validation_", "baseline_"  # prefixes: what a metric is of

EPOCH_S = "epoch_s"  # how long an epoch took, validation included; the worker measures it
EXAMPLES_PER_S = "examples_per_s"
SPEEDS = ("_per_s", "_s", "_mib")  # suffixes of what says how fast or how large, and not how good


def course_of(
    metric: str, rungs: Mapping[str, Sequence[float]], history: Sequence[Mapping[str, Any]]
) -> dict[int, Any]:
    """Return the first of several metrics by epoch: at the rungs of a running trial, in every epoch of one that ended.

    Optuna's tables have one number an epoch, and so none of these. rungs, history: the trial's attributes.
    """
    found = {int(epoch): values[0] for epoch, values in rungs.items()}
    found |= {epoch: metrics[metric] for epoch, metrics in enumerate(history, start=1) if metric in metrics}
    return dict(sorted(found.items()))
