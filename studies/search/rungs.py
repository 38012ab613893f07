"""Optuna's pruners by rungs, asking the fast storage about the rung alone.

Optuna's own read every trial of the study whole at each rung, to look at one attribute of each. These decide the same
from the same attributes, `completed_rung_*`, so workers with either prune one study together. On another storage they
are Optuna's own.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import optuna
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from studies.storage.postgres import PostgresStorage


class SuccessiveHalving(SuccessiveHalvingPruner):
    """See SuccessiveHalvingPruner."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._sorted: dict[str, tuple[list[tuple[int, float]], int, list[float]]] = {}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end at its last report."""
        if self._min_resource is None or not isinstance(study._storage, PostgresStorage):
            return super().prune(study, trial)
        return self.is_pruned(study, study._storage, trial)

    def is_pruned(
        self,
        study: optuna.Study,
        storage: PostgresStorage,
        trial: FrozenTrial,
        competes: Callable[[int], bool] = lambda number: True,
    ) -> bool:
        """Decide as `SuccessiveHalvingPruner.prune` does. competes: whether the trial with this number is a rival."""
        step = trial.last_step
        if step is None:
            return False
        assert self._min_resource is not None
        value = trial.intermediate_values[step]
        rung = 0
        while f"completed_rung_{rung}" in trial.system_attrs:
            rung += 1
        while step >= self._min_resource * self._reduction_factor ** (self._min_early_stopping_rate + rung):
            if math.isnan(value):
                return True
            key = f"completed_rung_{rung}"
            values = self._competing(key, storage.complete_rung(trial._trial_id, key, value), competes)
            maximize = study.direction == StudyDirection.MAXIMIZE
            n_better = len(values) - bisect_right(values, value) if maximize else bisect_left(values, value)
            # Until enough trials have come this far, only the best one goes on.
            n_promoted = max(len(values) // self._reduction_factor, 1)
            if len(values) <= self._bootstrap_count or n_better >= n_promoted:
                return True
            rung += 1
        return False

    def _competing(self, key: str, entries: list[tuple[int, float]], competes: Callable[[int], bool]) -> list[float]:
        """Return the rivals' values at a rung, sorted; only entries that are new since the last time are looked at."""
        before, n_taken, values = self._sorted.get(key, (entries, 0, []))
        if before is not entries:
            n_taken, values = 0, []
        new = entries[n_taken:]
        values = sorted(values + [value for number, value in new if competes(number)])
        # Replaced and not changed, for threads that share the pruner.
        self._sorted[key] = entries, n_taken + len(new), values
        return values


class Hyperband(HyperbandPruner):
    """See HyperbandPruner."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether the trial should end at its last report."""
        if not isinstance(study._storage, PostgresStorage):
            return super().prune(study, trial)
        if not self._pruners:
            self._try_initialization(study)
            self._pruners = [SuccessiveHalving(**_settings(pruner)) for pruner in self._pruners]
        if not self._pruners:
            return False
        bracket = self._bracket(study, trial.number)
        pruner = self._pruners[bracket]
        assert isinstance(pruner, SuccessiveHalving)
        return pruner.is_pruned(study, study._storage, trial, lambda number: self._bracket(study, number) == bracket)

    def _bracket(self, study: optuna.Study, number: int) -> int:
        return self._get_bracket_id(study, SimpleNamespace(number=number))  # type: ignore[arg-type]


def _settings(pruner: SuccessiveHalvingPruner) -> dict[str, Any]:
    return {
        "min_resource": pruner._min_resource,
        "reduction_factor": pruner._reduction_factor,
        "min_early_stopping_rate": pruner._min_early_stopping_rate,
        "bootstrap_count": pruner._bootstrap_count,
    }
