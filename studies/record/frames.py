"""Trials and epochs as pandas frames: one row for each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from studies.names import REPEATS, confirmed
from studies.words import clean

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord
    from studies.search.race import Standing

PROVENANCE = ("commit", "dirty", "studies", "torch", "device", "host")


def trials_frame(record: StudyRecord) -> pd.DataFrame:
    """Return every trial, with a column `params_NAME` for every parameter and `metrics_NAME` for every metric.

    With several metrics there is a column `values_NAME` for the value of each, and `front`, whether the trial is on the
    Pareto front, in place of `value`. With repeats, `repeats` is the first trial of a repeat's setting, and that one
    has their `mean`, `sd` and number, `n_repeats`.
    Where the objective sets constraints, with a column `constraints_NAME` for each: above 0 is violated.
    A column of lists, or of several kinds of values, holds text: a list is written as JSON, as in the storage.
    """
    trials = record.trials
    verdicts = [trial.verdict for trial in trials]
    columns: dict[str, list[Any]] = {
        "number": [trial.number for trial in trials],
        "state": [trial.state.value for trial in trials],
        "reason": [trial.reason for trial in trials],
        "detail": [trial.detail for trial in trials],
        **_values(record),
        "epoch": [trial.epoch for trial in trials],
        "n_epochs": [len(trial.curve) for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "started": [trial.started for trial in trials],
        "ended": [trial.ended for trial in trials],
        "seed": [trial.seed for trial in trials],
        "start_with": [trial.given for trial in trials],
        "continues": [trial.continues for trial in trials],
        "continued_by": [trial.continued_by for trial in trials],
        "peak_memory_mib": [trial.peak_memory_mib for trial in trials],
        "verdict": [verdict and verdict.word for verdict in verdicts],
        "verdict_evidence": [verdict and verdict.evidence for verdict in verdicts],
        "verdict_advice": [verdict and verdict.advice for verdict in verdicts],
    }
    if confirmed(record.spec.name) is not None:
        columns["contender"] = [trial.contender for trial in trials]
    for name in record.parameters:
        columns[f"params_{name}"] = _of_one_kind([trial.params.get(name) for trial in trials])
    for name in metric_names(trials):
        columns[f"metrics_{name}"] = [trial.metrics.get(name) for trial in trials]
    for name in {name: None for trial in trials for name in trial.constraints}:
        columns[f"constraints_{name}"] = [trial.constraints.get(name) for trial in trials]
    for name in PROVENANCE:
        columns[f"provenance_{name}"] = [trial.provenance.get(name) for trial in trials]
    return _frame(columns)


def _values(record: StudyRecord) -> dict[str, list[Any]]:
    if not record.spec.has_several:
        return {"value": [trial.value for trial in record.trials]} | _repeated(record)
    named = [record.named(trial) for trial in record.trials]
    on_front = {trial.number for trial in record.front}
    columns: dict[str, list[Any]] = {
        f"values_{name}": [values.get(name) for values in named] for name in record.spec.metrics
    }
    return columns | {"front": [trial.number in on_front for trial in record.trials]}


def _repeated(record: StudyRecord) -> dict[str, list[Any]]:
    if record.spec.repeats == 1:
        return {}
    found = [trial.repeated for trial in record.trials]
    return {
        "repeats": [trial.attributes.get(REPEATS) for trial in record.trials],
        "mean": [one and one.mean for one in found],
        "sd": [one and one.sd for one in found],
        "n_repeats": [one and one.n for one in found],
    }


def front_frame(record: StudyRecord) -> pd.DataFrame:
    """Return the rows of `trials_frame` that are on the Pareto front, the best in the first metric first."""
    return trials_frame(record).set_index("number", drop=False).loc[[trial.number for trial in record.front]]


def confirmation_frame(record: StudyRecord) -> pd.DataFrame:
    """Return how the contenders of a confirmation stand, one a row; with several metrics, mean and sd of each."""
    found = record.confirmation.standings if record.confirmation else []
    if record.spec.has_several:
        names = [f"{kind}_{name}" for name in record.spec.metrics for kind in ("mean", "sd")]
        empty = [(None, None)] * len(record.spec.metrics)
        rows = [
            (one.trial, len(one.values), *(each for pair in one.spreads or empty for each in pair), one.verdict)
            for one in found
        ]
        return pd.DataFrame(rows, columns=["trial", "n", *names, "verdict"])
    names = ["trial", "given", "n", "mean", "sd", "difference", "low", "high", "verdict"]
    return pd.DataFrame([_standing(one) for one in found], columns=names)


def _standing(one: Standing) -> tuple[Any, ...]:
    gap = one.difference
    interval = (None, None, None) if gap is None else (gap.mean, gap.low, gap.high)
    return one.trial, one.given, len(one.values), one.mean, one.sd, *interval, one.verdict


def curves_frame(record: StudyRecord) -> pd.DataFrame:
    """Return every epoch of every trial with all its metrics; `number` is that of the trial, as in `trials_frame`."""
    epochs = [
        (trial, epoch, metrics)
        for trial in record.trials
        for epoch, metrics in trial.epochs(record.spec.metric).items()
    ]
    names = list({name: None for _, _, metrics in epochs for name in metrics} or {record.spec.metric: None})
    columns: dict[str, list[Any]] = {
        "number": [trial.number for trial, _, _ in epochs],
        "state": [trial.state.value for trial, _, _ in epochs],
        "epoch": [epoch for _, epoch, _ in epochs],
    }
    return _frame(columns | {name: [metrics.get(name) for _, _, metrics in epochs] for name in names})


def _frame(columns: dict[str, list[Any]]) -> pd.DataFrame:
    columns = {
        clean(name): [clean(value) if isinstance(value, str) else value for value in values]
        for name, values in columns.items()
    }
    # convert_dtypes: a column of whole numbers stays one where some are missing.
    return pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()}).convert_dtypes()


def metric_names(trials: Iterable[TrialRecord]) -> list[str]:
    """Return the metrics that trials kept of their best epoch, in the order in which they were reported."""
    return list({name: None for trial in trials for name in trial.metrics})


def _of_one_kind(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds - {int, float}) + bool(kinds & {int, float}) <= 1 and list not in kinds:
        return values
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
