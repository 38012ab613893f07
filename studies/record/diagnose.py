"""Gives each trial a verdict from its curve and predictions, with the evidence and what to try.

`verdicts.VerdictKind` lists the verdicts; the first that holds, in the order of `_verdict`, is the trial's. Thresholds
are shares of what this study's trials typically gain in training, so that they mean the same for accuracies and for
losses. A trial that has just ended is judged by itself (`first_verdict`). Compared with all others it may get another
verdict (`diagnose`).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studies.metrics import ACCURACY, TRAIN_LOSS, VALIDATION_LOSSES
from studies.names import ENDED, State
from studies.record.classes import Classes, only_class, read_classes
from studies.record.comparison import MIN_EPOCHS, Comparison, baseline, best_epoch, best_of, compare, perfect
from studies.record.floor import floors, most_right
from studies.record.verdicts import Verdict, VerdictKind, overfits_after
from studies.words import number, percent, plural

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord
    from studies.spec import StudySpec

LEARNED = 0.5  # of the way from a trivial answer up to the best trial: below it a trial has learned little
NOTICEABLE = 0.05  # the share of a typical gain that is more than wobble
GREW = 2.0  # a training loss that ends this many times above its lowest has diverged
LAGS = 1.5  # an underfitting trial's training loss over the best trial's
ONE_CLASS = 0.98  # the share of one answer, while the other classes are recalled by OTHERS at most
OTHERS = 0.05
NEAR_FLOOR = 0.15  # of the way from a floor up to the loss of a guess
FLAT = 0.05  # of that way is all that the loss still falls in the second half of the epochs
STILL = 0.002  # a training loss that moves by less than this share of it in its last two thirds stands still
MIN_STILL_EPOCHS = 5
FEW_STEPS = 300  # of an optimizer, in a whole training
FALLS = 0.02  # the share by which a training loss still falls in the last quarter of its epochs
RESHAPED = re.compile("(pos|positive|class)_weight|smoothing|mixup|focal")  # parameters
NO_WEIGHT: tuple[Any, ...] = (0, 1, None, "none")  # their values that leave the loss as it is


def diagnose(record: StudyRecord) -> dict[int, Verdict]:
    """Return the verdict of every trial that has ended, by its number."""
    study = compare(record.spec, record.data, record.trials, record.leader)
    return {trial.number: _verdict(trial, study) for trial in record.trials if trial.state in ENDED}


def judged(record: StudyRecord) -> StudyRecord:
    """Return the study with the verdict of every trial that has ended among its attributes."""
    verdicts = {number: verdict.attributes for number, verdict in diagnose(record).items()}
    trials = [
        trial
        if trial.number not in verdicts or verdicts[trial.number].items() <= trial.attributes.items()
        else replace(trial, attributes=trial.attributes | verdicts[trial.number])
        for trial in record.trials
    ]
    return replace(record, trials=trials)


def first_verdict(trial: TrialRecord, spec: StudySpec, data: dict[str, Any]) -> Verdict:
    """Return the verdict of a trial that has ended, judged without the others. data: see StudyRecord."""
    return _verdict(trial, compare(spec, data, [trial], None))


def _verdict(trial: TrialRecord, study: Comparison) -> Verdict:
    if trial.reason == "nan":
        return _no_number(trial, study)
    if not trial.curve:
        why = f": {trial.reason}" if trial.reason else ""
        return Verdict(VerdictKind.NO_CURVE, f"it reported no epoch{why}", "read the trial's detail" if why else "")
    losses = trial.course(TRAIN_LOSS, study.metric)
    classes = read_classes(trial.evidence)
    found = (
        _same_target(trial, study)
        or _exploded(losses)
        or _one_class(classes)
        or _at_a_floor(trial, study, losses, classes)
        or _useless(trial, study)
    )
    if found is None and len(trial.curve) < MIN_EPOCHS:
        counted = plural(len(trial.curve), "epoch" if trial.history else "value")
        return Verdict(VerdictKind.TOO_SHORT, f"it {'trained' if trial.history else 'reported'} {counted}")
    return (
        found
        or _overfits(trial, study, losses)
        or _too_few_steps(trial, study, losses)
        or _still_improving(trial, study)
        or _does_not_move(study, losses)
        or _underfits(trial, study, losses)
        or (_learned_little(trial, study) if trial.history else None)  # a plain function need not learn at all
        or Verdict(VerdictKind.OK)
    )


def _diverged(evidence: str) -> Verdict:
    return Verdict(VerdictKind.DIVERGED, evidence, "a lower learning_rate, or gradient clipping")


def _no_number(trial: TrialRecord, study: Comparison) -> Verdict:
    evidence = trial.detail or "a metric stopped being a number"
    if study.is_never_a_number:
        return Verdict(
            VerdictKind.NEVER_A_NUMBER,
            f"{evidence}, and no trial got one with any setting",
            f"a look at the data: missing values, or a constant target, of which there is no {study.metric}",
        )
    return _diverged(evidence)


def _same_target(trial: TrialRecord, study: Comparison) -> Verdict | None:
    """Return the verdict of a study in which a constant answer is perfect, whatever the settings."""
    only = only_class(trial.evidence)
    constant = baseline(trial, study.metric, study.n_classes)
    if only is not None:
        evidence = f"every validation row is of class {only!r}"
    elif constant is not None and constant == perfect(study.metric, study.sign):
        evidence = f"a trivial answer scores {number(constant)}, and nothing can be better"
    else:
        return None
    return Verdict(
        VerdictKind.SAME_TARGET,
        f"{evidence}: {study.metric} says nothing about the settings",
        "a look at the data and its split, or a metric by which a constant answer is not perfect",
    )


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
    top = classes.top
    if top.share < ONE_CLASS or classes.others > OTHERS:
        return None
    rest = "the other class" if classes.n == 2 else f"the other {classes.n - 1:,} classes"
    return Verdict(
        VerdictKind.ONE_CLASS,
        f"{percent(top.share)} of its answers are {top.name!r}, which {percent(top.share_of_rows)} of the rows are; "
        f"of {rest} it finds {percent(classes.others)}",
        "another learning_rate, more epochs; where classes are rare, a weight for them in the loss",
    )


def _at_a_floor(
    trial: TrialRecord, study: Comparison, losses: dict[int, float], classes: Classes | None
) -> Verdict | None:
    """Return the verdict of a net that stays at a floor although it is right more often than its loss allows."""
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
            VerdictKind.LOSS_FLOOR,
            f"train_loss stays at {number(late[-1])} although {percent(right)} of the answers are right, and "
            f"{floor.cause} keeps it above {floor.formula} = {number(floor.value)}{floor.of}",
            f"no {floor.output} before the loss: cross entropy takes logits",
        )
    return None


def _validation_losses(trial: TrialRecord, metric: str) -> list[float]:
    """Return the loss on validation rows after each epoch that reported one."""
    found = (list(trial.course(name, metric).values()) for name in VALIDATION_LOSSES)
    return next((losses for losses in found if losses), [])


def _is_reshaped(trial: TrialRecord) -> bool:
    """Whether a parameter makes the loss another one than the plain mean over rows, with other floors."""
    return any(RESHAPED.search(name) and value not in NO_WEIGHT for name, value in trial.params.items())


def _rightness(trial: TrialRecord, classes: Classes | None) -> float | None:
    """Return the share of right answers. With two classes it is capped at the mean recall: a constant answer has .5."""
    accuracy = _accuracy(trial, classes)
    if accuracy is None or classes is None or classes.n > 2:
        return accuracy
    return min(accuracy, sum(each.recall or 0.0 for each in classes.recalls) / classes.n)


def _accuracy(trial: TrialRecord, classes: Classes | None) -> float | None:
    found = trial.metrics.get(ACCURACY)
    return float(found) if found is not None else classes.accuracy if classes else None


def _useless(trial: TrialRecord, study: Comparison) -> Verdict | None:
    constant = baseline(trial, study.metric, study.n_classes)
    if constant is None:
        return None
    value = best_of(trial.curve, study.sign)
    possible = max(study.sign * (study.best - constant), 0.0) if study.best is not None else 0.0
    if study.sign * (value - constant) > NOTICEABLE * possible:
        return None
    return Verdict(
        VerdictKind.BASELINE,
        f"its best {study.metric} is {number(value)}; a trivial answer scores {number(constant)}",
        "a higher learning_rate, or less regularisation; if every trial has this verdict, look at the data",
    )


def _overfits(trial: TrialRecord, study: Comparison, losses: dict[int, float]) -> Verdict | None:
    peak = best_epoch(trial.curve, study.sign)
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
    if (little := _learned_little(trial, study)) is not None:
        return little
    return Verdict(overfits_after(peak), evidence, "more dropout or weight_decay, a smaller model, or fewer epochs")


def _still_improving(trial: TrialRecord, study: Comparison) -> Verdict | None:
    last = max(trial.curve)
    if trial.state != State.COMPLETE or last < study.max_epochs or not trial.history:
        return None  # a plain function has no max_epochs: how far it goes is its own business
    if best_epoch(trial.curve, study.sign) != last:
        return None
    earlier = [value for epoch, value in trial.curve.items() if epoch <= last - max(1, last // 4)]
    if not earlier:
        return None
    before = max(study.sign * value for value in earlier) * study.sign
    gained = study.sign * (trial.curve[last] - before)
    if gained <= NOTICEABLE * study.gain:
        return None
    return Verdict(
        VerdictKind.STILL_IMPROVING,
        f"{study.metric} went from {number(before)} to {number(trial.curve[last])} in the last quarter of its epochs",
        f"a max_epochs above {last}, unless its schedule ends there",
    )


def _too_few_steps(trial: TrialRecord, study: Comparison, losses: dict[int, float]) -> Verdict | None:
    """Return the verdict of a whole training that had few steps and would have gone on learning."""
    batch_size = trial.params.get("batch_size")
    if study.n_train is None or not isinstance(batch_size, int) or batch_size < 1 or len(losses) < MIN_EPOCHS:
        return None
    last = max(losses)
    per_epoch = -(-study.n_train // batch_size)
    before = losses[max((epoch for epoch in losses if epoch <= last - max(1, last // 4)), default=last)]
    falls = before - losses[last] > FALLS * abs(before)
    if trial.state != State.COMPLETE or per_epoch * last >= FEW_STEPS or not falls:
        return None
    return Verdict(
        VerdictKind.TOO_FEW_STEPS,
        f"{plural(per_epoch * last, 'optimizer step')} in all, {per_epoch:,} an epoch, and train_loss was still "
        f"falling: from {number(before)} to {number(losses[last])} in the last quarter",
        "a smaller batch_size, or more epochs",
    )


def _does_not_move(study: Comparison, losses: dict[int, float]) -> Verdict | None:
    """Return the verdict of a training loss that has stood still for long, far above the best trial's."""
    late = list(losses.values())[len(losses) // 3 :]
    best = study.reference.get(max(losses, default=0), {}).get(TRAIN_LOSS)
    if len(losses) < MIN_STILL_EPOCHS or best is None or not 0 < LAGS * best < late[-1]:
        return None
    if max(late) - min(late) > STILL * late[-1]:
        return None
    return Verdict(
        VerdictKind.LOSS_FLOOR,
        f"train_loss has stayed at {number(late[-1])} for {plural(len(late), 'epoch')}; the best trial's fell to "
        f"{number(best)}",
        "another learning_rate or activation; look for an output that is bounded before the loss",
    )


def _underfits(trial: TrialRecord, study: Comparison, losses: dict[int, float]) -> Verdict | None:
    """Compare with the best trial after as many epochs, so that a pruned trial is judged by what it had."""
    common = [epoch for epoch in losses if TRAIN_LOSS in study.reference.get(epoch, {})]
    if not common:
        return None
    epoch = max(common)
    best = study.reference[epoch]
    behind = study.sign * (best[study.metric] - trial.curve.get(epoch, best[study.metric]))
    if behind <= study.gain / 2 or not 0 < LAGS * best[TRAIN_LOSS] < losses[epoch]:
        return None
    return Verdict(
        VerdictKind.UNDERFITS,
        f"in epoch {epoch} train_loss is {number(losses[epoch])} and the best trial's {number(best[TRAIN_LOSS])}",
        "a larger model, a higher learning_rate, less dropout or weight_decay",
    )


def _learned_little(trial: TrialRecord, study: Comparison) -> Verdict | None:
    """Return the verdict of a trial that came less than half as far from a trivial answer as the best one by then."""
    constant = baseline(trial, study.metric, study.n_classes)
    start = study.start if constant is None else constant
    best = study.best_by(max(trial.curve))
    if start is None or best is None:
        return None
    value, way = best_of(trial.curve, study.sign), study.sign * (best - start)
    if way <= 0 or study.sign * (value - start) >= LEARNED * way:
        return None
    return Verdict(
        VerdictKind.LEARNED_LITTLE,
        f"its best {study.metric} is {number(value)}; the best trial's was {number(best)} by then, and "
        + (f"a trivial answer's is {number(start)}" if constant is not None else f"trials start at {number(start)}"),
        "another learning_rate: most often it is far too high, or far too low"
        if "learning_rate" in trial.params
        else "settings nearer to the best trial's",
    )
