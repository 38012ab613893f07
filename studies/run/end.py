"""How a trial ends. One of three ends it: its own worker, the worker that takes over from a dead one, or the launcher.

Its state, in Optuna's words, goes one way; what has ended never changes:

    WAITING -> RUNNING    a worker claimed it
    RUNNING -> COMPLETE   trained to max_epochs, or to its time limit; its value is that of its best epoch
    RUNNING -> PRUNED     worse than others at the same epoch; paused, where its checkpoint is kept
    RUNNING -> FAIL       for one of `studies.names.Reason`

Where a continuation is queued, that one starts WAITING in the same transaction, and this one no longer counts. That of
a paused trial is queued later, by the worker that resumes it. A worker that was silent for longer than its lease finds
at its next write that another has taken its trial over, and drops it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from studies.names import ALONE, CONTINUES, DETAIL, FIXED_PARAMS, INHERITED, REASON, RETRIES, SEED, Reason
from studies.search.out_of_memory import OUT_OF_MEMORY, constraint_key
from studies.storage import Storage


@dataclass
class Outcome:
    """How a trial ended.

    values: of each of the study's metrics. reason: why it failed. detail: the same in the words of whatever failed.
    attributes: what is kept beside the values. constraints: by how much it violates each, in Optuna's meaning: at most
    0 is kept. traceback: the whole of it, which is kept as an artifact. gpu_failed: the process that saw it can use
    the GPU no more.
    """

    state: TrialState
    values: Sequence[float] | None = None
    reason: Reason | None = None
    detail: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    constraints: dict[str, float] = field(default_factory=dict)
    traceback: str | None = None
    gpu_failed: bool = False

    @classmethod
    def failed(cls, reason: Reason, detail: str | None = None) -> Outcome:
        """Return a failure with this reason."""
        return cls(TrialState.FAIL, reason=reason, detail=detail)


def end(storage: Storage, study: optuna.Study, trial: optuna.Trial | int, outcome: Outcome, max_retries: int) -> bool:
    """End a running trial, and queue its continuation where the reason says so.

    trial: this worker's own, or the id of one whose worker is dead. max_retries: how often it may be continued for a
    reason that is retried. Returns False when the trial had ended already, or another worker has taken it over.
    """
    trial_id = trial if isinstance(trial, int) else trial._trial_id
    reason = outcome.reason
    try:
        kept = outcome.attributes | ({} if outcome.detail is None else {DETAIL: outcome.detail})
        for key, value in kept.items():
            storage.optuna.set_trial_user_attr(trial_id, key, value)
        violated = {OUT_OF_MEMORY: 1.0} if reason is Reason.OUT_OF_MEMORY else {}
        for name, excess in (outcome.constraints | violated).items():
            storage.optuna.set_trial_system_attr(trial_id, constraint_key(name), excess)
        if reason is not None and reason.is_continued:
            storage.optuna.flush()
            return _continue(storage, study, trial_id, reason, max_retries)
        if reason is not None:
            storage.optuna.set_trial_user_attr(trial_id, REASON, reason)
        if isinstance(trial, int):
            storage.optuna.set_trial_state_values(trial_id, outcome.state)
        else:
            study.tell(trial, outcome.values, outcome.state)  # tells the sampler, too
    except UpdateFinishedTrialError:
        return False
    return True


def _continue(storage: Storage, study: optuna.Study, trial_id: int, reason: Reason, max_retries: int) -> bool:
    """Fail a running trial and queue its continuation with the same parameters and seed, in one transaction."""
    trial = storage.optuna.get_trial(trial_id)
    retries = trial.user_attrs.get(RETRIES, 0) + reason.is_retried
    given = continuation(trial, retries)
    if reason is Reason.CROWDED:
        given["attributes"][ALONE] = True
    return storage.ledger.end_and_continue(study._study_id, trial_id, reason, **given, again=retries <= max_retries)


def resume(storage: Storage, study: optuna.Study, paused: FrozenTrial) -> bool:
    """Queue the continuation of a paused trial; False when another worker was faster."""
    given = continuation(paused, paused.user_attrs.get(RETRIES, 0))
    return storage.ledger.resume(study._study_id, paused._trial_id, **given)


def continuation(trial: FrozenTrial, retries: int) -> dict[str, Any]:
    """Return the parameters and the user attributes of the trial that continues this one."""
    params = trial.params or trial.system_attrs.get(FIXED_PARAMS, {})
    # One that was lost before it had parameters has nothing to go on with: its continuation draws all of its own.
    has_begun = params or trial.intermediate_values
    inherited = [key for key in INHERITED if key in trial.user_attrs and (has_begun or key != SEED)]
    attributes = {CONTINUES: trial.number, RETRIES: retries} | {key: trial.user_attrs[key] for key in inherited}
    return {"params": params, "attributes": attributes}
