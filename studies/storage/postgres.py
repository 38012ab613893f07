"""An Optuna storage for PostgreSQL that takes one statement for one operation, on Optuna's own tables.

`PostgresStorage(url)` goes wherever Optuna takes a storage; RDBStorage workers and optuna-dashboard may use the same
study at the same time. The class is Optuna's interface and nothing else; each part that does the work is a module
beside this one: `studies`, `reading`, `starting`, `writing`, on what `remembered` keeps and `connections` runs.

What a worker may rely on:

- Reports, states and values are in the database when the call returns, for all to see, and everything set on the trial
  before is there with them.
- On a trial that this process runs, parameters, attributes, and reports that follow the one before within LINGER_S
  travel together: with the trial's next report or end, or by themselves after LINGER_S, whichever comes first. This
  process sees them at once. Epochs that take longer than LINGER_S never linger.
- A trial's creation waits for the server's disk, and so for the end of the trial before it. Reports and ends do not
  wait themselves: a server that crashes may forget the last fraction of a second of a running or just ended trial. Its
  worker still has it in memory, and writes it again when it is connected again. Behind a pooler, where it would not
  notice, every write waits for the disk.
- A trial that this process created or popped is its own: it is read from memory until it ends. If somebody else ended
  it, the next write says so (UpdateFinishedTrialError), as do the next heartbeat and the next reading of all trials.
- When the server goes away, a statement waits for it for up to `wait_s` seconds, and then raises StorageUnreachable.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Container, Sequence
from contextlib import AbstractContextManager
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import Study, StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from studies.storage import sql
from studies.storage.connections import Connections, WhileWaiting
from studies.storage.ends import Ends
from studies.storage.reading import TrialReader
from studies.storage.remembered import Remembered
from studies.storage.starting import TrialStarter
from studies.storage.studies import Studies
from studies.storage.tables import ensure_tables
from studies.storage.writing import TrialWriter


class PostgresStorage(BaseStorage, BaseHeartbeat):
    """Optuna's studies and trials in PostgreSQL.

    Args:
        url: a libpq URL, TLS parameters included; `postgresql+psycopg2://` is understood too.
        heartbeat_interval: seconds between the heartbeats that `Study.optimize` sends, or None for none.
        grace_period: seconds of silence after which a running trial is failed; twice the interval by default.
        heartbeat_stale_trial_callback: called with the study and the trial after that.
        wait_s: how long a statement waits for a server that went away; opening a storage does not wait.
        while_waiting: see `connections.WhileWaiting`; not carried to a process that unpickles the storage.
        environment: see `connections.Connections`.

    Example, with `url` as `studies storage up` prints it:

    >>> import optuna
    >>> study = optuna.create_study(storage=PostgresStorage(url), study_name="by-hand")
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    >>> len(optuna.load_study(study_name="by-hand", storage=url).trials)
    3

    """

    def __init__(
        self,
        url: str,
        *,
        heartbeat_interval: int | None = None,
        grace_period: int | None = None,
        heartbeat_stale_trial_callback: Callable[[Study, FrozenTrial], None] | None = None,
        wait_s: float = 60,
        while_waiting: WhileWaiting = lambda why, waited_s: why,
        environment: bool = True,
    ) -> None:
        for name, seconds in (("heartbeat_interval", heartbeat_interval), ("grace_period", grace_period)):
            if seconds is not None and seconds <= 0:
                raise ValueError(f"The value of `{name}` should be a positive integer.")
        self._heartbeat = (heartbeat_interval, grace_period, heartbeat_stale_trial_callback)
        self._connections = Connections(url, wait_s, while_waiting, environment=environment)
        self._compose()
        ensure_tables(self._connections)
        _storages.add(self)

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return {
            "url": self._connections.url,
            "wait_s": self._connections.wait_s,
            "environment": self._connections.environment,
            "heartbeat": self._heartbeat,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._heartbeat = state["heartbeat"]
        self._connections = Connections(state["url"], state["wait_s"], environment=state["environment"])
        self._compose()
        _storages.add(self)

    def _compose(self) -> None:
        """Put the parts together with nothing remembered: what a parent process runs is not its child's."""
        connections = self._connections
        connections.forget()
        self._ends = Ends(connections)
        self._remembered = Remembered(connections, self._ends)
        self._studies = Studies(connections, self._remembered)
        self._reader = TrialReader(connections, self._remembered)
        self._writer = TrialWriter(connections, self._remembered, self._ends)
        self._starter = TrialStarter(connections, self._remembered, self._ends, self._writer)

    def remove_session(self) -> None:
        """Send what lingers and close the connections; the next operation opens one."""
        self.flush()
        self._ends.settle()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close the connections as they are; the next operation opens one."""
        self._connections.close()

    # --- studies ------------------------------------------------------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create a study; DuplicatedStudyError when the name is taken."""
        return self._studies.create(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Delete a study with all its trials."""
        self._studies.delete(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a study."""
        self._studies.set_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps on a study."""
        self._studies.set_system_attr(study_id, key, value)

    def delete_study_system_attrs(self, study_id: int, keys: Collection[str]) -> None:
        """Delete attributes that Optuna itself keeps on a study; what is not there is passed over."""
        self._studies.delete_system_attrs(study_id, keys)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of a study."""
        return self._remembered.named(study_name).study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of a study."""
        return self._remembered.study(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return whether each objective of a study is minimized or maximized."""
        return list(self._remembered.study(study_id).directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user attributes of a study."""
        return self._studies.user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the attributes that Optuna itself keeps on a study."""
        return self._studies.system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies, by id."""
        return self._studies.all()

    # --- starting trials ----------------------------------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, running unless a template says otherwise."""
        return self._starter.create(study_id, template_trial)

    def claim_trial(self, study_id: int, *, n_trials: int | None = None, worker_id: int | None = None) -> int | None:
        """Return the next trial to run, now running: the oldest waiting one or a new one; None when all are taken.

        `n_trials` is the study's budget. Trials that run or have ended count against it, but not one that
        another continues (user attribute `continues` of the other). It is kept exactly, also when others claim.
        `worker_id`: who claims, as the ledger knows it.
        """
        return self._starter.claim(study_id, n_trials=n_trials, worker_id=worker_id)

    # --- writing trials -----------------------------------------------------------------------------------------------

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter; ValueError when the study has it with an incompatible distribution."""
        self._writer.set_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        self._writer.set_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps on a trial."""
        self._writer.set_system_attr(trial_id, key, value)

    def delete_trial_system_attr(self, trial_id: int, key: str) -> None:
        """Delete an attribute that Optuna itself keeps on a trial, an ended one too."""
        self._writer.delete_system_attr(trial_id, key)
        self._reader.trial(trial_id).system_attrs.pop(key, None)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Report a value, in one statement with all that was set before."""
        self._writer.report(trial_id, step, intermediate_value)

    def together(self, trial_id: int) -> AbstractContextManager[None]:
        """Let a report wait for what the pruner asks about it: at a rung they travel in one statement."""
        return self._writer.together(trial_id)

    def complete_rung(self, trial_id: int, rung: str, value: float) -> list[tuple[int, float]]:
        """Set a `completed_rung_*` attribute; return the numbers and values of all trials that have it, this one too.

        One statement, which returns what is new since the last; the list only grows, or is replaced by another.
        """
        return self._writer.complete_rung(trial_id, rung, value)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Change a trial's state and set its values, an end in one statement with all that was set before.

        False when it should start but runs already.
        """
        if state.is_finished():
            self._writer.finish(trial_id, state, values)
            return True
        self._writer.set_values(trial_id, values)
        return self._starter.change_state(trial_id, state)

    def flush(self) -> None:
        """Send what lingers."""
        self._writer.flush()

    # --- reading trials -----------------------------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial: an own or a finished one from memory."""
        return self._reader.trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Return the attributes that Optuna itself keeps on a trial; its pruners ask at every report."""
        own = self._remembered.own(trial_id)
        return super().get_trial_system_attrs(trial_id) if own is None else own.system_attrs

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials by number, after reading what is new."""
        return self._reader.all(study_id, deepcopy, states)

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Return the number of a study's trials, in some state or at all."""
        return self._reader.n_trials(study_id, state)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the complete trial with the best value; ValueError when there is none."""
        return self._reader.best(study_id)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return the id of the trial with this number."""
        return self._reader.id_of(study_id, trial_number)

    # --- heartbeats ---------------------------------------------------------------------------------------------------

    def record_heartbeat(self, trial_id: int) -> None:
        """Note that the trial's worker is alive; learn whether somebody else ended the trial."""
        rows = self._connections.run(sql.RECORD_HEARTBEAT, {"trial_id": trial_id})
        if rows != [("RUNNING",)]:
            self._remembered.disown(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        interval, grace_s, _ = self._heartbeat
        return self._reader.stale(study_id, 2 * (interval or 0) if grace_s is None else grace_s)

    def get_heartbeat_interval(self) -> int | None:
        """Return the seconds between heartbeats, or None."""
        return self._heartbeat[0]

    def get_heartbeat_stale_trial_callback(self) -> Callable[[Study, FrozenTrial], None] | None:
        """Return what is called for each trial that was failed for its silence."""
        return self._heartbeat[2]


_storages: weakref.WeakSet[PostgresStorage] = weakref.WeakSet()


def _forget_in_child() -> None:
    for storage in list(_storages):
        storage._compose()


os.register_at_fork(after_in_child=_forget_in_child)
