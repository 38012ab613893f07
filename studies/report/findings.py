"""What a study's trials add up to: its best, how sure, given against found, importances, hours, epochs."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from statistics import mean, median, stdev
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from studies.metrics import EPOCH_S, EXAMPLES_PER_S
from studies.names import State
from studies.record.comparison import baseline, n_classes_of, starting_value
from studies.report import importance
from studies.words import plural

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord

N_TOP = 5
NEAR = 0.05  # of the way from a trivial answer up to the best: trials that come this near are as good by luck
MIN_FOR_LUCK = 3
MIN_TRIALS_FOR_IMPORTANCE = 10


@dataclass(frozen=True)
class Spread:
    """Several values of the metric: how many, their mean, standard deviation, and both ends."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Hours:
    """Trainings' time in hours. saved: what pruned trials would have needed to max_epochs at their own pace."""

    used: float
    failed: float
    saved: float


@dataclass(frozen=True)
class Compared:
    """Trials that tell what the parameters do, the best first, each with the value that counts.

    rung: the epoch whose values they are; None where they are those of completed trials.
    """

    trials: list[TrialRecord]
    rung: int | None

    @property
    def kind(self) -> str:
        """What one of them is called."""
        return "completed trial" if self.rung is None else "trial"

    def told(self, unit: str) -> str:
        """Return what the values are, for a caption; nothing of completed trials. unit: a point of a curve."""
        if self.rung is None:
            return ""
        return (
            f"Most trials were pruned, so these are not final values: each of {plural(len(self.trials), 'trial')}, "
            f"pruned or completed, counts with its best value up to {unit} {self.rung}."
        )


@dataclass(frozen=True)
class Speed:
    """Trials of one batch size, by their medians; batch_size None: of all."""

    batch_size: int | None
    n: int
    epoch_s: float | None
    examples_per_s: float | None
    peak_memory_mib: float | None
    value: float | None


@dataclass(frozen=True)
class SweepPoint:
    """One epoch. n: trials that reached it. best: the best value of any trial up to it. typical: the median, at it, of
    the trials that trained to the end."""

    epoch: int
    n: int
    best: float
    typical: float | None


def spread_of(trials: list[TrialRecord]) -> Spread | None:
    """Return the spread of their values; None for fewer than two."""
    values = [trial.value for trial in trials if trial.value is not None]
    if len(values) < 2:
        return None
    return Spread(len(values), mean=mean(values), sd=stdev(values), low=min(values), high=max(values))


def near_best(record: StudyRecord, share: float) -> list[TrialRecord]:
    """Return the completed trials that lack at most this share of the way from a trivial answer to the best value.

    Where no baseline is known, what a bad trial has after its first epoch is taken for one; with neither, the median.
    """
    ranked = record.ranked
    if not ranked:
        return []
    top = ranked[0].value or 0.0
    start = baseline(ranked[0], record.spec.metric, n_classes_of(record.data))
    start = starting_value(record.trials, record.sign) if start is None else start
    start = median(trial.value or 0.0 for trial in ranked) if start is None else start
    least = record.sign * top - share * max(record.sign * (top - start), 0.0)
    return [trial for trial in ranked if record.sign * (trial.value or 0.0) >= least]


def luck(record: StudyRecord) -> float | None:
    """Return how far two values may be apart by luck; None where the search does not tell.

    By repeats of the best settings under other seeds: twice the standard deviation of a difference. Without them by
    the range of the trials that come near the best; trials that failed to learn say nothing of luck.
    """
    repeats = spread_of(repeats_of_best(record))
    if repeats is not None and repeats.n >= MIN_FOR_LUCK:
        return 2 * math.sqrt(2) * repeats.sd
    near = spread_of(near_best(record, NEAR)[:N_TOP])
    return near.high - near.low if near is not None and near.n >= MIN_FOR_LUCK else None


def repeats_of_best(record: StudyRecord) -> list[TrialRecord]:
    """Return the completed trials with the best one's parameters, one for each seed, the best included."""
    best = record.best
    if best is None:
        return []
    settings = json.dumps(best.params, sort_keys=True)  # 1, 1.0 and true are the same to Python, and other settings
    equal = [trial for trial in record.ranked if trial.params == best.params]
    same = [trial for trial in equal if json.dumps(trial.params, sort_keys=True) == settings]
    return list({trial.seed: trial for trial in reversed(same)}.values())[::-1]


def given_trials(record: StudyRecord) -> list[TrialRecord]:
    """Return the trials of `start_with`, without those continued later."""
    trials = [trial for trial in record.trials if trial.given is not None and trial.continued_by is None]
    return sorted(trials, key=lambda trial: trial.given or 0)


def compared(record: StudyRecord) -> Compared:
    """Return the trials that tell what the parameters do.

    They are the completed ones, unless most trials were pruned, or too few were completed: then every trial counts with
    the best value that it had at a rung, the highest epoch that at least half of them reached. With several metrics,
    values are of the first.
    """
    ended = [trial for trial in record.trials if trial.continued_by is None and trial.is_feasible]
    pruned = [trial for trial in ended if trial.state == State.PRUNED]
    reporting = [trial for trial in [*record.ranked, *pruned] if trial.curve]
    few = len(record.ranked) < MIN_TRIALS_FOR_IMPORTANCE <= len(reporting)
    sign = record.sign
    completed = sorted(record.ranked, key=lambda trial: -sign * (trial.value or 0.0))
    if not (few or len(reporting) > 2 * len(record.ranked)):
        return Compared(completed, None)
    curves = {trial.number: curve for trial in reporting if (curve := _numbers(trial.curve))}
    if not curves:
        return Compared(completed, None)
    reached = sorted((max(curve) for curve in curves.values()), reverse=True)
    rung = reached[min(max(MIN_TRIALS_FOR_IMPORTANCE, -(-len(reached) // 2)), len(reached)) - 1]
    values = {
        number: record.spec.direction.best(seen)
        for number, curve in curves.items()
        if max(curve) >= rung and (seen := [value for epoch, value in curve.items() if epoch <= rung])
    }
    trials = [replace(trial, value=values[trial.number]) for trial in record.trials if trial.number in values]
    return Compared(sorted(trials, key=lambda trial: -sign * values[trial.number]), rung)


def _numbers(curve: dict[int, float]) -> dict[int, float]:
    return {epoch: value for epoch, value in curve.items() if math.isfinite(value)}


def importances(record: StudyRecord, compared: Compared) -> dict[str, float]:
    """Return each searched parameter's share in reaching the best trials, largest first, by PED-ANOVA.

    Empty with fewer than MIN_TRIALS_FOR_IMPORTANCE trials to compare, which are too few to tell.
    """
    if len(compared.trials) < MIN_TRIALS_FOR_IMPORTANCE:
        return {}
    domains = {name: parameter.domain for name, parameter in record.space.parameters.items()}
    return importance.importances(
        [(record.sign * trial.value, trial.params) for trial in compared.trials if trial.value is not None], domains
    )


def outcomes(record: StudyRecord) -> dict[tuple[str, str], int]:
    """Return trials by state and reason, those continued by another included, the most frequent first."""
    ends = Counter((trial.state, trial.reason or ("resumed" if trial.is_resumed else "")) for trial in record.trials)
    return dict(ends.most_common())


def hours(record: StudyRecord) -> Hours:
    """Return where the time went."""
    used = sum(trial.seconds or 0.0 for trial in record.trials)
    failed = sum(trial.seconds or 0.0 for trial in record.trials if trial.state == State.FAIL)
    saved = 0.0
    for trial in record.trials:
        # The pace of a trial that continues another is not known: its epochs are those of both.
        if trial.state == State.PRUNED and trial.curve and trial.continues is None and not trial.is_resumed:
            saved += epoch_seconds(trial) * max(record.max_epochs - len(trial.curve), 0)
    return Hours(used / 3600, failed / 3600, saved / 3600)


def epoch_seconds(trial: TrialRecord) -> float:
    """Return how long one of its epochs took."""
    return (trial.seconds or 0.0) / len(trial.curve)


def speeds(record: StudyRecord) -> list[Speed]:
    """Return time, speed and memory by batch size, smallest first, and of all trials in the end."""
    timed = [
        trial
        for trial in record.trials
        if trial.curve and trial.state in (State.COMPLETE, State.PRUNED) and trial.continues is None
    ]
    sizes: dict[int, list[TrialRecord]] = {}
    for trial in timed:
        size = trial.params.get("batch_size")
        if isinstance(size, int):
            sizes.setdefault(size, []).append(trial)
    by_size = [_speed(size, sizes[size]) for size in sorted(sizes)] if len(sizes) > 1 else []
    return [*by_size, _speed(None, timed)] if timed else []


def _speed(size: int | None, trials: list[TrialRecord]) -> Speed:
    epochs = [metrics for trial in trials for metrics in trial.history]
    seconds = [metrics[EPOCH_S] for metrics in epochs if EPOCH_S in metrics]
    seconds = seconds or [epoch_seconds(trial) for trial in trials if trial.seconds is not None]
    examples = [metrics[EXAMPLES_PER_S] for metrics in epochs if EXAMPLES_PER_S in metrics]
    memory = [float(trial.peak_memory_mib) for trial in trials if trial.peak_memory_mib is not None]
    values = [trial.value for trial in trials if trial.value is not None and trial.state == State.COMPLETE]
    return Speed(
        size,
        len(trials),
        epoch_s=_median(seconds),
        examples_per_s=_median(examples),
        peak_memory_mib=_median(memory),
        value=_median(values),
    )


def _median(values: list[float]) -> float | None:
    return median(values) if values else None


def sweep(record: StudyRecord) -> list[SweepPoint]:
    """Return what each number of epochs would have given, from the curves alone."""
    reported = [trial.curve for trial in record.trials if trial.continued_by is None]
    known = [{epoch: value for epoch, value in curve.items() if not math.isnan(value)} for curve in reported]
    curves = [curve for curve in known if curve]
    if not curves:
        return []
    epochs = sorted({epoch for curve in curves for epoch in curve})
    place = {epoch: column for column, epoch in enumerate(epochs)}
    values = np.full((len(curves), len(epochs)), np.nan)
    for row, curve in enumerate(curves):
        for epoch, value in curve.items():
            values[row, place[epoch]] = value
    reached = np.sum(~np.isnan(values), axis=0)
    best = np.fmax.accumulate(np.nanmax(record.sign * values, axis=0)) * record.sign
    whole = values[~np.isnan(values[:, -1])]
    return [
        SweepPoint(epoch, int(reached[column]), float(best[column]), _middle(whole[:, column]))
        for epoch, column in place.items()
    ]


def _middle(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None
