"""Between Optuna's rows and Optuna's objects: numbers that are not finite, times, distributions, whole trials."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from studies.names import Direction

Row = Sequence[Any]

# By the names of Optuna's two enumerations; what PostgreSQL's JSON calls NaN and Infinity, float() reads.
_NOT_FINITE = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}


def stored_number(value: float, *, nan: bool) -> tuple[float | None, str]:
    """Return a number as Optuna stores it: value and kind. Final values have no kind for NaN."""
    if nan and math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


def _number(value: float | str) -> float:
    if isinstance(value, str):
        return _NOT_FINITE[value] if value in _NOT_FINITE else float(value)
    return float(value)


def _reports(text: str) -> dict[int, float]:
    steps, values = text[1:-1].split("}{")
    return dict(zip(map(int, steps.split(",")), map(float, values.split(",")), strict=True))


def metrics_from(found: dict[str, str]) -> dict[str, Direction]:
    """Return a study's metrics, each with its direction, in the order of a trial's values."""
    return {name: Direction(to) for name, to in found.items()}


def utc(moment: datetime | None) -> datetime | None:
    """Return a local time as Optuna stores it: UTC, without saying so."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def local(moment: datetime | None) -> datetime | None:
    """Return a stored time as Optuna shows it: local, without saying so."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


@lru_cache(maxsize=4096)
def distribution_from(text: str) -> BaseDistribution:
    """Return the distribution that this JSON text describes. A study has few, and each trial names all of them."""
    return json_to_distribution(text)


def distribution_text(distribution: BaseDistribution) -> str:
    """Return the JSON text of a distribution."""
    return distribution_to_json(distribution)


def attrs_from(pairs: Iterable[Row]) -> dict[str, Any]:
    """Return attributes from pairs of a key and a JSON text; an outer join's pair of nulls is no attribute."""
    return {key: json.loads(value) for key, value in pairs if key is not None}


def trial_from(row: Row) -> FrozenTrial:
    """Return the trial in a row of `sql.TRIAL_COLUMNS`."""
    trial_id, number, state, start, complete, params, values, reports, user_attrs, system_attrs = row
    distributions: dict[str, BaseDistribution] = {}
    external: dict[str, Any] = {}
    for name, value, text in json.loads(params or "[]"):
        distributions[name] = distribution_from(text)
        external[name] = distributions[name].to_external_repr(_number(value))
    return FrozenTrial(
        number=number,
        state=TrialState[state],
        value=None,
        values=[_number(value) for value in json.loads(values)] if values else None,
        datetime_start=local(start),
        datetime_complete=local(complete),
        params=external,
        distributions=distributions,
        user_attrs=attrs_from(json.loads(user_attrs)) if user_attrs else {},
        system_attrs=attrs_from(json.loads(system_attrs)) if system_attrs else {},
        intermediate_values=_reports(reports) if reports else {},
        trial_id=trial_id,
    )


def running_trial(trial_id: int, number: int, start: datetime) -> FrozenTrial:
    """Return a trial that has just been created."""
    return FrozenTrial(
        number=number, state=TrialState.RUNNING, value=None, datetime_start=start, datetime_complete=None,
        params={}, distributions={}, user_attrs={}, system_attrs={}, intermediate_values={}, trial_id=trial_id,
    )  # fmt: skip


def detached(trial: FrozenTrial) -> FrozenTrial:
    """Return a copy that later writes to this trial do not reach; Optuna's `Trial` writes into what it is given."""
    twin = FrozenTrial.__new__(FrozenTrial)  # copy.copy goes through pickle's protocol and takes twice as long
    for name, value in vars(trial).items():
        vars(twin)[name] = dict(value) if type(value) is dict else value
    return twin
