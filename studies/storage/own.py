"""A trial that this process runs itself: kept in full, for nobody else writes to it.

Parameters and attributes set on it may be on their way to the server for a moment (`Pending`).
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from studies.storage.rows import detached, distribution_from, distribution_text
from studies.storage.writes import Pending

if TYPE_CHECKING:
    from studies.storage.memory import StudyMemory


class OwnTrial:
    """A running trial of this process. `lock` is held while something is written to it."""

    def __init__(self, study: StudyMemory, trial: FrozenTrial, n_lost: int) -> None:
        self.study = study
        self.lock = threading.RLock()
        self.n_lost = n_lost  # connections, when it was last written to
        self.pending = Pending()
        self.held = False  # whether what is written waits for more
        self.reported_at = -math.inf  # when a report was last sent, on the monotonic clock
        self._trial = trial

    @property
    def id(self) -> int:
        """The trial's id."""
        return self._trial._trial_id

    @property
    def start(self) -> datetime | None:
        """When the trial began to run."""
        return self._trial.datetime_start

    @property
    def number(self) -> int:
        """The trial's number."""
        return self._trial.number

    @property
    def trial(self) -> FrozenTrial:
        """The trial as it is now, the caller's to keep."""
        with self.lock:
            return detached(self._trial)

    @property
    def system_attrs(self) -> dict[str, Any]:
        """The attributes that Optuna itself keeps on it, the caller's to keep."""
        with self.lock:
            return dict(self._trial.system_attrs)

    def set_param(self, name: str, value: float, distribution: BaseDistribution) -> None:
        """Set a parameter; one that is set already keeps its value, as in the database."""
        with self.lock:
            if name not in self._trial.params:
                text = distribution_text(distribution)
                self.pending.params[name] = (value, text)
                self._trial.distributions[name] = distribution_from(text)
                self._trial.params[name] = self._trial.distributions[name].to_external_repr(value)

    def set_attrs(self, attrs: Pending) -> None:
        """Set the attributes among these writes."""
        with self.lock:
            self.pending.user_attrs.update(attrs.user_attrs)
            self.pending.system_attrs.update(attrs.system_attrs)
            self._trial.user_attrs.update(_values(attrs.user_attrs))
            self._trial.system_attrs.update(_values(attrs.system_attrs))

    def set_report(self, step: int, value: float) -> None:
        """Report a value."""
        with self.lock:
            self.pending.reports[step] = value
            self._trial.intermediate_values[step] = value

    def everything(self) -> Pending:
        """Return all that was ever written to the trial, to be written again."""
        distributions = self._trial.distributions
        return Pending(
            {
                name: (distributions[name].to_internal_repr(value), distribution_text(distributions[name]))
                for name, value in self._trial.params.items()
            },
            {key: json.dumps(value) for key, value in self._trial.user_attrs.items()},
            {key: json.dumps(value) for key, value in self._trial.system_attrs.items()},
            dict(self._trial.intermediate_values),
        )

    def wrote(self, writes: Pending) -> None:
        """Take in writes that reached the database, with all that lingered."""
        self.pending = Pending()
        self._trial.system_attrs.update(_values(writes.system_attrs))
        if writes.reports:
            self._trial.intermediate_values.update(writes.reports)
            self.reported_at = time.monotonic()
        if writes.finals:
            self._trial.values = writes.finals

    def finished(self, state: TrialState, values: Sequence[float] | None, complete: datetime) -> FrozenTrial:
        """Return the trial as it was ended."""
        trial = self.trial
        trial.state = state
        trial.values = values or trial.values
        trial.datetime_complete = complete
        return trial


def _values(texts: Mapping[str, str]) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in texts.items()}
