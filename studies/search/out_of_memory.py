"""How a sampler learns from trials that ran out of memory.

Optuna's TPE learns from trials that are complete or pruned. A trial that ran out of memory has failed, so left to
itself TPE suggests such settings again and again. Here such a trial carries a violated constraint (OUT_OF_MEMORY), as
every Optuna program can read, and samplers see it as one that they do learn from: pruned, worse than any feasible
trial. In the storage it stays failed, and counts as what it is.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from collections.abc import Container

    from optuna import Study

OUT_OF_MEMORY = "out_of_memory"  # the name of the constraint that such a trial violates


def constraint_key(name: str) -> str:
    """Return the system attribute that Optuna keeps a trial's constraint in."""
    return f"{_CONSTRAINTS_KEY}:{name}"


def ran_out_of_memory(trial: FrozenTrial) -> bool:
    """Whether a trial failed for lack of memory, so that samplers are to learn from it."""
    return trial.state == TrialState.FAIL and trial.constraints.get(OUT_OF_MEMORY, 0.0) > 0


def shown_to_sampler(study: Study) -> Study:
    """Return the study as a sampler is to see it. Not for its search space: a failed trial may lack parameters."""
    return cast("Study", _WithOutOfMemory(study))


class _WithOutOfMemory:
    """A study whose trials that ran out of memory look pruned."""

    def __init__(self, study: Study) -> None:
        self._shown = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = self._shown._get_trials(deepcopy=deepcopy, states=states, use_cache=use_cache)
        if states is None or TrialState.PRUNED not in states:
            return trials
        failed = self._shown._get_trials(deepcopy=False, states=(TrialState.FAIL,), use_cache=True)
        return trials + [_as_pruned(trial) for trial in failed if ran_out_of_memory(trial)]


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state = TrialState.PRUNED
    return shown
