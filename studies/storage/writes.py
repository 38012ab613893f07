"""Writes to one trial: gathered, and made into one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution

from studies.storage import calls
from studies.storage.connections import Statement
from studies.storage.rows import distribution_text, stored_number, utc

Parameters = Mapping[str, tuple[float, BaseDistribution]]

LONGEST_NAME = 512  # characters, in Optuna's tables
LARGEST_STEP = 2**31 - 1


@dataclass
class Pending:
    """Writes to one trial, gathered until they travel together."""

    params: dict[str, tuple[float, str]] = field(default_factory=dict)
    user_attrs: dict[str, str] = field(default_factory=dict)
    system_attrs: dict[str, str] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)
    finals: Sequence[float] | None = None

    def __bool__(self) -> bool:
        return bool(self.params or self.user_attrs or self.system_attrs or self.reports or self.finals)

    def with_more(self, more: Pending) -> Pending:
        """Return these writes and later ones together."""
        return Pending(
            self.params | more.params,
            self.user_attrs | more.user_attrs,
            self.system_attrs | more.system_attrs,
            self.reports | more.reports,
            more.finals,
        )

    def only_report(self) -> dict[str, Any] | None:
        """Return the arguments of `functions.REPORT`, if one report is all there is."""
        if len(self.reports) != 1 or self.params or self.user_attrs or self.system_attrs or self.finals:
            return None
        [(step, reported)] = self.reports.items()
        value, kind = stored_number(reported, nan=True)
        return {"step": step, "value": value, "value_type": kind}

    def arguments(self) -> dict[str, Any]:
        """Return this as arguments of `functions.WRITE`."""
        given: dict[str, Any] = {}
        if self.params:
            given["param_names"] = list(self.params)
            given["param_values"] = [value for value, _ in self.params.values()]
            given["param_distributions"] = [text for _, text in self.params.values()]
        if self.user_attrs:
            given |= {"user_keys": list(self.user_attrs), "user_values": list(self.user_attrs.values())}
        if self.system_attrs:
            given |= {"system_keys": list(self.system_attrs), "system_values": list(self.system_attrs.values())}
        if self.reports:
            stored = [stored_number(value, nan=True) for value in self.reports.values()]
            given["steps"] = list(self.reports)
            given["reported"], given["reported_types"] = ([*column] for column in zip(*stored, strict=True))
        if self.finals:
            stored = [stored_number(value, nan=False) for value in self.finals]
            given["finals"], given["final_types"] = ([*column] for column in zip(*stored, strict=True))
        return given


def statement_of(
    trial_id: int,
    writes: Pending,
    ending: Mapping[str, Any] | None,
    *,
    soon: bool,
    start: datetime | None = None,
) -> Statement:
    """Return the statement that carries out writes, and ends the trial if `ending` says how.

    soon: do not wait for the disk. start: when the trial began, to be sure that it is still this one.
    """
    if ending is None and soon and (report := writes.only_report()) is not None:
        return calls.REPORT, report | {"trial_id": trial_id}
    given = writes.arguments() | {"soon": soon} | dict(ending or {})
    if start is not None:
        given["start"] = utc(start)
    return calls.write(given), given | {"trial_id": trial_id}


def require_name(name: Any, what: str) -> None:
    """Raise TypeError or ValueError for a name that Optuna's tables do not take, where it is given and not later."""
    if not isinstance(name, str):
        raise TypeError(f"the {what} {name!r} is of type {type(name).__name__}; expected text")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the {what} {name[:40]!r}... has {len(name):,} characters; expected {LONGEST_NAME} at most")


def require_step(step: int) -> None:
    """Raise ValueError for the step of a report that Optuna's tables do not take."""
    if step > LARGEST_STEP:
        raise ValueError(f"the step of a report is {step:,}; expected {LARGEST_STEP:,} at most, such as the epoch")


def texts_of(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes as JSON."""
    for key in attrs:
        require_name(key, "attribute's name")
    return {key: json.dumps(value) for key, value in attrs.items()}


def param_texts_of(params: Parameters) -> dict[str, tuple[float, str]]:
    """Return parameters with their distributions as JSON."""
    return {name: (value, distribution_text(distribution)) for name, (value, distribution) in params.items()}


def floats_of(values: Sequence[float] | None) -> list[float] | None:
    """Return final values as plain floats."""
    return None if values is None else [float(value) for value in values]
