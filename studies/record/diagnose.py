"""What a trial's curve and predictions say of it: a verdict, the evidence, and what to try.

    ok                            nothing speaks against the settings
    diverged                      the metric or the training loss left the range of numbers, or grew
    answers one class             nearly all of a classifier's answers are the same
    stuck at a loss floor         the training loss stays where an output that is bounded keeps it (`floor`), or at
                                  any other value far above the best trial's. Of two classes, whose losses are often
                                  weighted, the first only where the validation loss and every other trial agree
    no better than the baseline   it learned nothing that a constant answer does not know
    overfits after epoch k        the validation metric fell while the training loss still went down
    still improving at max_epochs its best epoch is the last one, and the gain had not run out
    underfits                     the training loss stayed far above the best trial's at the same epoch
    too short to tell             fewer than MIN_EPOCHS epochs
    no curve                      it reported no epoch

The first that holds is the verdict. Thresholds are shares of what this study's trials typically gain in training, so
that they mean the same for accuracies and for losses. A trial that has just ended is judged by itself
(`first_verdict`); beside all others it may look different (`diagnose`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from studies.record.classes import Classes, read_classes
from studies.record.floor import floors, most_right
from studies.words import number, percent, plural

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, Trial
    from studies.spec import StudySpec

MIN_EPOCHS = 3
NOTICEABLE = 0.05  # the share of a typical gain that is more than wobble
GREW = 2.0  # a training loss that ends this many times above its lowest has diverged
LAGS = 1.5  # an underfitting trial's training loss over the best trial's
ONE_CLASS = 0.98  # the share of one answer, while the other classes are recalled by OTHERS at most
OTHERS = 0.05
NEAR_FLOOR = 0.15  # of the way from a floor up to the loss of a guess
FLAT = 0.05  # of that way is all that the loss still falls in the second half of the epochs
STILL = 0.002  # a training loss whose last two thirds move by less than this share of it does not move
MIN_STILL_EPOCHS = 5
VALIDATION_LOSSES = ("validation_loss", "val_loss", "loss")
RESHAPED = re.compile("(pos|positive|class)_weight|smoothing|mixup|focal")  # parameters
NO_WEIGHT: tuple[Any, ...] = (0, 1, None, "none")  # their values that leave the loss as it is
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

    trials: list[Trial] = field(repr=False)

    max_epochs: int
    metric: str
    sign: int
    n_classes: int | None
    best: float | None
    gain: float
    reference: dict[int, dict[str, float]]

    @cached_property
    def lowest(self) -> float:
        """The lowest loss of any epoch of any trial: a floor is the model's, whatever its settings."""
        found = [metrics for trial in self.trials for metrics in trial.epochs(self.metric).values()]
        return min(
            (metrics[name] for metrics in found for name in ("train_loss", *VALIDATION_LOSSES) if name in metrics),
            default=math.inf,
        )


def diagnose(report: StudyRecord) -> dict[int, Verdict]:
    """Return the verdict of every trial that has ended, by its number."""
    study = _study(report.spec, report.data, report.trials, report.best)
    return {trial.number: _verdict(trial, study) for trial in report.trials if trial.state in ENDED}


def first_verdict(trial: Trial, spec: StudySpec, data: dict[str, Any]) -> Verdict:
    """Return the verdict of a trial that has ended from what it shows by itself. data: see StudyRecord."""
    return _verdict(trial, _study(spec, data, [trial], None))


def _study(spec: StudySpec, data: dict[str, Any], trials: list[Trial], best: Trial | None) -> _Study:
    sign = 1 if spec.direction == "maximize" else -1
    gains = [
        sign * (_best(trial.curve, sign) - trial.curve[min(trial.curve)])
        for trial in trials
        if len(trial.curve) >= MIN_EPOCHS
    ]
    return _Study(
        trials=trials,
        max_epochs=spec.max_epochs,
        metric=spec.metric,
        sign=sign,
        n_classes=n_classes_of(data),
        best=best.value if best else None,
        gain=median([gain for gain in gains if gain > 0] or [0.0]),
        reference=best.epochs(spec.metric) if best else {},
    )


def baseline(trial: Trial, metric: str, n_classes: int | None) -> float | None:
    """Return what a trivial answer scores: the trial's own `baseline_` metric, or 1/K of K classes, or an R2 of 0."""
    own = (trial.attributes.get("metrics") or {}).get(f"baseline_{metric}")
    if own is not None:
        return float(own)
    if metric == "balanced_accuracy":
        return 1 / n_classes if n_classes else None
    return 0.0 if metric in ("r2", "R2") else None


def n_classes_of(data: dict[str, Any]) -> int | None:
    """Return how many classes the data set says that it has; None of one, or without any."""
    n = (data.get("summary") or {}).get("classes")
    return n if isinstance(n, int) and n > 1 else None


def _verdict(trial: Trial, study: _Study) -> Verdict:
    if trial.reason == "nan":
        return _diverged(str(trial.attributes.get("detail") or "a metric stopped being a number"))
    if not trial.curve:
        why = f": {trial.reason}" if trial.reason else ""
        return Verdict("no curve", f"it reported no epoch{why}", "read the trial's detail" if why else "")
    epochs = trial.epochs(study.metric)
    losses = {epoch: metrics["train_loss"] for epoch, metrics in epochs.items() if "train_loss" in metrics}
    classes = read_classes(trial.attributes.get("evidence"))
    found = (
        _exploded(losses) or _one_class(classes) or _at_a_floor(trial, study, losses, classes) or _useless(trial, study)
    )
    if found is None and len(trial.curve) < MIN_EPOCHS:
        return Verdict("too short to tell", f"it trained {plural(len(trial.curve), 'epoch')}")
    return (
        found
        or _overfits(trial, study, losses)
        or _still_improving(trial, study)
        or _does_not_move(study, losses)
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


def _one_class(classes: Classes | None) -> Verdict | None:
    if classes is None or classes.others is None:
        return None
    top = classes.answers[0]
    if top.share < ONE_CLASS or classes.others > OTHERS:
        return None
    rest = "the other class" if classes.n == 2 else f"the other {classes.n - 1:,} classes"
    return Verdict(
        "answers one class",
        f"{percent(top.share)} of its answers are {top.name!r}, which {percent(top.share_of_rows)} of the rows are; "
        f"of {rest} it finds {percent(classes.others)}",
        "another learning_rate, more epochs; where classes are rare, a weight for them in the loss",
    )


def _at_a_floor(trial: Trial, study: _Study, losses: dict[int, float], classes: Classes | None) -> Verdict | None:
    """Return the verdict of a net that stays at a floor, and is right too often for one that is really unsure."""
    n_classes = classes.n if classes else study.n_classes
    if n_classes is None or len(losses) < MIN_EPOCHS:
        return None
    validation = _validation_losses(trial, study.metric)
    positives = None
    if n_classes == 2:
        if classes is None or classes.matrix is None or not validation or _is_reshaped(trial):
            return None
        positives = classes.recalls[1].n_rows / classes.n_rows
    lowest = study.lowest if n_classes == 2 else min([*losses.values(), *validation])
    values = list(losses.values())
    late = values[len(values) // 2 :]
    ends = [late[-1], validation[-1]] if n_classes == 2 else [late[-1]]
    for floor in floors(n_classes, positives):
        way = floor.guess - floor.value
        near = floor.value - floor.slack <= lowest and max(ends) - floor.value <= NEAR_FLOOR * way
        if not near or max(late) - min(late) > FLAT * way:
            continue
        right = _rightness(trial, classes)
        if right is None or right <= most_right(late[-1], n_classes):
            return None
        return Verdict(
            "stuck at a loss floor",
            f"train_loss stays at {number(late[-1])} although {percent(right)} of the answers are right, and "
            f"{floor.cause} keeps it above {floor.formula} = {number(floor.value)}{floor.of}",
            f"no {floor.output} before the loss: cross entropy takes logits",
        )
    return None


def _validation_losses(trial: Trial, metric: str) -> list[float]:
    """Return the loss on validation rows after each epoch, as far as it is told."""
    epochs = trial.epochs(metric).values()
    name = next((name for name in VALIDATION_LOSSES if any(name in metrics for metrics in epochs)), "")
    return [metrics[name] for metrics in epochs if name in metrics]


def _is_reshaped(trial: Trial) -> bool:
    """Whether a parameter makes the loss another one than the plain mean over rows, with other floors."""
    return any(RESHAPED.search(name) and value not in NO_WEIGHT for name, value in trial.params.items())


def _rightness(trial: Trial, classes: Classes | None) -> float | None:
    """Return the share of right answers; of two classes at most the mean recall, which a constant answer cannot buy."""
    accuracy = _accuracy(trial, classes)
    if accuracy is None or classes is None or classes.n > 2:
        return accuracy
    return min(accuracy, sum(each.recall or 0.0 for each in classes.recalls) / classes.n)


def _accuracy(trial: Trial, classes: Classes | None) -> float | None:
    found = (trial.attributes.get("metrics") or {}).get("accuracy")
    return float(found) if found is not None else classes.accuracy if classes else None


def _useless(trial: Trial, study: _Study) -> Verdict | None:
    constant = baseline(trial, study.metric, study.n_classes)
    if constant is None:
        return None
    value = _best(trial.curve, study.sign)
    possible = max(study.sign * (study.best - constant), 0.0) if study.best is not None else 0.0
    if study.sign * (value - constant) > NOTICEABLE * possible:
        return None
    return Verdict(
        "no better than the baseline",
        f"its best {study.metric} is {number(value)}; a trivial answer scores {number(constant)}",
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
    if not earlier:
        return None  # a plain function's steps need not begin at 1
    before = max(study.sign * value for value in earlier) * study.sign
    gained = study.sign * (trial.curve[last] - before)
    if gained <= NOTICEABLE * study.gain:
        return None
    return Verdict(
        "still improving at max_epochs",
        f"{study.metric} went from {number(before)} to {number(trial.curve[last])} in the last quarter of its epochs",
        f"a max_epochs above {last}, unless its schedule ends there",
    )


def _does_not_move(study: _Study, losses: dict[int, float]) -> Verdict | None:
    """Return the verdict of a training loss that has stood still for long, far above the best trial's."""
    late = list(losses.values())[len(losses) // 3 :]
    best = study.reference.get(max(losses, default=0), {}).get("train_loss")
    if len(losses) < MIN_STILL_EPOCHS or best is None or not 0 < LAGS * best < late[-1]:
        return None
    if max(late) - min(late) > STILL * late[-1]:
        return None
    return Verdict(
        "stuck at a loss floor",
        f"train_loss has stayed at {number(late[-1])} for {plural(len(late), 'epoch')}; the best trial's fell to "
        f"{number(best)}",
        "another learning_rate or activation; look for an output that is bounded before the loss",
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
