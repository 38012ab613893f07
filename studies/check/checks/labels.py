"""What the labels say: their order, their balance, and what a constant answer scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from studies.check.checks import Check
from studies.check.findings import Fact, Finding, Item, NotChecked
from studies.check.losses_seen import Rows
from studies.check.observation import Observation
from studies.check.subject import Subject
from studies.run.baselines import baselines_of, model_of
from studies.run.objective import facts_of
from studies.words import number

ENOUGH = 64  # labels to judge an order by
IN_ORDER = 0.5  # of the way from chance to all neighbours alike
UNFIT = 0.8  # a majority from which on accuracy says little


class Labels(Check):
    """Look at the labels that losses of the first epoch were given."""

    title = "the labels"

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        first = subject.first
        trained, scored = first.labels.get(Rows.TRAINED_ON), first.labels.get(Rows.SCORED)
        yield from _order(trained, scored, first.loss_at)
        counted = scored if scored is not None else trained
        share = _majority(first, counted)
        yield from _balance(subject.spec.metric, share)
        value = _baseline(subject, share, counted)
        if value is None:
            yield NotChecked(
                "the baseline", f"what a constant answer scores does not follow from {subject.spec.metric}"
            )
        else:
            yield Fact("baseline", f"a constant answer has {subject.spec.metric} {number(value)}")
        yield from _simple_model(subject)


def _simple_model(subject: Subject) -> Iterator[Item]:
    """Say what a simple model scores, where the objective has one."""
    spec, settings = subject.spec, subject.settings
    sha256 = facts_of(spec.dataset, subject.data, settings)["sha256"]
    value = baselines_of(subject.objective, subject.data, subject.space, settings, sha256).get(spec.metric)
    if value is not None:
        yield Fact("simple baseline", f"{model_of(subject.objective)} has {spec.metric} {number(value)}")


def _order(trained: Any, scored: Any, where: str | None) -> Iterator[Item]:
    """Compare how often neighbours have one class with how often chance would have it."""
    if trained is None or len(trained) < ENOUGH:
        yield NotChecked("class order", "no class labels were seen in a loss with a gradient")
        return
    known = trained if scored is None else np.concatenate([trained, scored])
    shares = np.unique(known, return_counts=True)[1] / len(known)
    by_chance = float((shares**2).sum())
    alike = float((trained[1:] == trained[:-1]).mean())
    if len(shares) < 2 or alike - by_chance < IN_ORDER * (1 - by_chance):
        return
    yield Finding(
        "class-order",
        "error",
        what=f"training rows come in the order of their classes: {alike:.0%} of neighbours are of one class, and "
        f"{by_chance:.0%} would be by chance",
        why="each step forgets the other classes; the last class trained wins the evaluation",
        fix="shuffle the training rows in each epoch, such as with DataLoader(..., shuffle=True)",
        where=where,
    )


def _majority(first: Observation, labels: Any) -> float | None:
    """Return the share of the most frequent class."""
    reported = first.trajectory.epochs[0] if first.trajectory.epochs else {}
    if "baseline_accuracy" in reported:
        return reported["baseline_accuracy"]
    if labels is None or len(labels) < ENOUGH:
        return None
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _balance(metric: str, share: float | None) -> Iterator[Item]:
    if "accuracy" not in metric.lower() and metric.lower() not in ("acc", "val_acc"):
        return
    if "balanced" in metric.lower():
        return
    if share is None:
        yield NotChecked("the balance of the classes", "no class labels were seen")
    elif share >= UNFIT:
        yield Finding(
            "metric-unfit",
            "error",
            what=f"the metric is {metric}, and {share:.1%} of the rows are of one class",
            why=f"predicting that class for every row scores {share:.4f}; the search may end there",
            fix="optimise balanced_accuracy, PR-AUC or F1, and keep accuracy as a second number",
        )


def _baseline(subject: Subject, share: float | None, labels: Any) -> float | None:
    """Return what a constant answer scores, as the objective reports it or as it follows from the metric."""
    first, metric = subject.first, subject.spec.metric
    reported = first.trajectory.epochs[0] if first.trajectory.epochs else {}
    for name in (f"baseline_{metric}", f"unigram_{metric}"):
        if name in reported:
            return reported[name]
    kind = metric.lower()
    if "balanced_accuracy" in kind:
        n_classes = first.n_classes or (getattr(subject.data, "summary", None) or {}).get("classes")
        return 1 / n_classes if n_classes else None
    if "accuracy" in kind:
        return share
    if kind.endswith("r2"):
        return 0.0
    if "loss" in kind and labels is not None and len(labels):
        shares = np.unique(labels, return_counts=True)[1] / len(labels)
        return -float((shares * np.log(shares)).sum())
    targets = first.targets.get(Rows.SCORED, first.targets.get(Rows.TRAINED_ON))
    if targets is not None and targets.size and ("mse" in kind or "loss" in kind or "rmse" in kind):
        return math.sqrt(float(targets.var())) if "rmse" in kind else float(targets.var())
    return None
