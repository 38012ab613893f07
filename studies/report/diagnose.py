"""What a trial's curve says of it: a verdict, the evidence, and what to try.

    ok                            nothing in the curve speaks against the settings
    diverged                      the metric or the training loss left the range of numbers, or grew
    no better than the baseline   it learned nothing that a constant answer does not know
    overfits after epoch k        the validation metric fell while the training loss still went down
    still improving at max_epochs its best epoch is the last one, and the gain had not run out
    underfits                     the training loss stayed far above the best trial's at the same epoch
    too short to tell             fewer than MIN_EPOCHS epochs
    no curve                      it reported no epoch

The first that holds is the verdict. Thresholds are shares of what this study's trials typically gain in training, so
that they mean the same for accuracies and for losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from studies.report.document import number, plural

if TYPE_CHECKING:
    from studies.report.summary import StudyReport, Trial

MIN_EPOCHS = 3
NOTICEABLE = 0.05  # the share of a typical gain that is more than wobble
GREW = 2.0  # a training loss that ends this many times above its lowest has diverged
LAGS = 1.5  # an underfitting trial's training loss over the best trial's
ENDED = ("complete", "pruned", "fail")


@dataclass(frozen=True)
class Verdict:
    """word: as in the list above. evidence: the numbers it rests on. advice: what to try next, if anything."""

    word: str
    evidence: str = ""
    advice: str = ""


@dataclass(frozen=True)
class _Study:
    """What a trial is compared with. gain: how much better a typical trial gets from its first epoch to its best."""

    max_epochs: int
    metric: str
    sign: int
    baseline: float | None
    best: float | None
    gain: float
    reference: dict[int, dict[str, float]]


def diagnose(report: StudyReport) -> dict[int, Verdict]:
    """Return the verdict of every trial that has ended, by its number."""
    metric, sign = report.spec.metric, report.sign
    gains = [
        sign * (_best(trial.curve, sign) - trial.curve[min(trial.curve)])
        for trial in report.trials
        if len(trial.curve) >= MIN_EPOCHS
    ]
    typical = median([gain for gain in gains if gain > 0] or [0.0])
    best = report.best
    study = _Study(
        max_epochs=report.spec.max_epochs,
        metric=metric,
        sign=sign,
        baseline=baseline(report),
        best=best.value if best else None,
        gain=typical,
        reference=best.epochs(metric) if best else {},
    )
    return {trial.number: _verdict(trial, study) for trial in report.trials if trial.state in ENDED}


def baseline(report: StudyReport) -> float | None:
    """Return what a constant answer scores, where that follows from the metric: 1/K of K classes, an R2 of 0."""
    if report.spec.metric == "balanced_accuracy":
        classes = (report.data.get("summary") or {}).get("classes")
        return 1 / classes if isinstance(classes, int) and classes > 1 else None
    return 0.0 if report.spec.metric in ("r2", "R2") else None


def _verdict(trial: Trial, study: _Study) -> Verdict:
    if trial.reason == "nan":
        return _diverged(str(trial.attributes.get("detail") or "a metric stopped being a number"))
    if not trial.curve:
        why = f": {trial.reason}" if trial.reason else ""
        return Verdict("no curve", f"it reported no epoch{why}", "read the trial's detail" if why else "")
    epochs = trial.epochs(study.metric)
    losses = {epoch: metrics["train_loss"] for epoch, metrics in epochs.items() if "train_loss" in metrics}
    found = _exploded(losses) or _useless(trial, study)
    if found is None and len(trial.curve) < MIN_EPOCHS:
        return Verdict("too short to tell", f"it trained {plural(len(trial.curve), 'epoch')}")
    return (
        found
        or _overfits(trial, study, losses)
        or _still_improving(trial, study)
        or _underfits(trial, study, losses)
        or Verdict("ok")
    )


def _diverged(evidence: str) -> Verdict:
    return Verdict("diverged", evidence, "a lower learning_rate, or gradient clipping")


def _exploded(losses: dict[int, float]) -> Verdict | None:
    if not losses:
        return None
    lowest, last = min(losses.values()), losses[max(losses)]
    if not math.isfinite(last) or (lowest > 0 and last > GREW * lowest and last > losses[min(losses)]):
        return _diverged(f"train_loss went from {number(lowest)} up to {number(last)} in epoch {max(losses)}")
    return None


def _useless(trial: Trial, study: _Study) -> Verdict | None:
    if study.baseline is None or study.best is None:
        return None
    value = _best(trial.curve, study.sign)
    possible = max(study.sign * (study.best - study.baseline), 0.0)
    if study.sign * (value - study.baseline) > NOTICEABLE * possible:
        return None
    return Verdict(
        "no better than the baseline",
        f"its best {study.metric} is {number(value)}; a constant answer scores {number(study.baseline)}",
        "a higher learning_rate, or less regularisation; if every trial has this verdict, look at the data",
    )


def _overfits(trial: Trial, study: _Study, losses: dict[int, float]) -> Verdict | None:
    peak = _best_epoch(trial.curve, study.sign)
    after = [value for epoch, value in trial.curve.items() if epoch > peak]
    last = max(trial.curve)
    least = NOTICEABLE * study.gain
    best = trial.curve[peak]
    lost = study.sign * (best - sum(after) / len(after)) if after else 0.0
    if len(after) < 2 or lost <= least or study.sign * (best - trial.curve[last]) <= least:
        return None
    evidence = f"{study.metric} was {number(best)} in epoch {peak} and {number(trial.curve[last])} in epoch {last}"
    if peak in losses and last in losses:
        if losses[last] >= losses[peak]:
            return None  # the training loss rose too: that is instability
        evidence += f", while train_loss fell from {number(losses[peak])} to {number(losses[last])}"
    return Verdict(
        f"overfits after epoch {peak}", evidence, "more dropout or weight_decay, a smaller model, or fewer epochs"
    )


def _still_improving(trial: Trial, study: _Study) -> Verdict | None:
    last = max(trial.curve)
    if trial.state != "complete" or last < study.max_epochs:
        return None
    if _best_epoch(trial.curve, study.sign) != last:
        return None
    earlier = [value for epoch, value in trial.curve.items() if epoch <= last - max(1, last // 4)]
    before = max(study.sign * value for value in earlier) * study.sign
    gained = study.sign * (trial.curve[last] - before)
    if gained <= NOTICEABLE * study.gain:
        return None
    return Verdict(
        "still improving at max_epochs",
        f"{study.metric} went from {number(before)} to {number(trial.curve[last])} in the last quarter of its epochs",
        f"a max_epochs above {last}, unless its schedule ends there",
    )


def _underfits(trial: Trial, study: _Study, losses: dict[int, float]) -> Verdict | None:
    """Compare with the best trial after as many epochs, so that a pruned trial is judged by what it had."""
    common = [epoch for epoch in losses if "train_loss" in study.reference.get(epoch, {})]
    if not common:
        return None
    epoch = max(common)
    best = study.reference[epoch]
    behind = study.sign * (best[study.metric] - trial.curve.get(epoch, best[study.metric]))
    if behind <= study.gain / 2 or not 0 < LAGS * best["train_loss"] < losses[epoch]:
        return None
    return Verdict(
        "underfits",
        f"in epoch {epoch} train_loss is {number(losses[epoch])} and the best trial's {number(best['train_loss'])}",
        "a larger model, a higher learning_rate, less dropout or weight_decay",
    )


def _best(curve: dict[int, float], sign: int) -> float:
    return curve[_best_epoch(curve, sign)]


def _best_epoch(curve: dict[int, float], sign: int) -> int:
    return max(curve, key=lambda epoch: (sign * curve[epoch], -epoch))
