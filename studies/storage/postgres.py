"""An Optuna storage for PostgreSQL that takes one statement for one operation, on Optuna's own tables.

`PostgresStorage(url)` goes wherever Optuna takes a storage; RDBStorage workers and optuna-dashboard may use the same
study at the same time. `studies` and `trials` beside this file hold its other parts, `sql` every statement.

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

import copy
import os
import threading
import weakref
from collections.abc import Callable, Container
from typing import Any

from optuna.storages._heartbeat import BaseHeartbeat
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from studies.storage import functions, sql
from studies.storage.connections import Connections, WhileWaiting
from studies.storage.ends import Ends
from studies.storage.memory import UNFINISHED
from studies.storage.rows import trial_from
from studies.storage.tables import ensure_tables
from studies.storage.trials import TrialStore


class PostgresStorage(TrialStore, BaseHeartbeat):
    """Optuna's studies and trials in PostgreSQL.

    Args:
        url: a libpq URL, TLS parameters included; `postgresql+psycopg2://` is understood too.
        heartbeat_interval: seconds between the heartbeats that `Study.optimize` sends, or None for none.
        grace_period: seconds of silence after which a running trial is failed; twice the interval by default.
        heartbeat_stale_trial_callback: called with the study and the trial after that.
        wait_s: how long a statement waits for a server that went away; opening a storage does not wait.
        while_waiting: see `connections.WhileWaiting`; not carried to a process that unpickles the storage.

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
    ) -> None:
        for name, seconds in (("heartbeat_interval", heartbeat_interval), ("grace_period", grace_period)):
            if seconds is not None and seconds <= 0:
                raise ValueError(f"The value of `{name}` should be a positive integer.")
        self._heartbeat = (heartbeat_interval, grace_period, heartbeat_stale_trial_callback)
        self._connections = Connections(url, wait_s, while_waiting)
        self._forget()
        ensure_tables(self._connections)
        _storages.add(self)

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return {
            "url": self._connections.url,
            "wait_s": self._connections.wait_s,
            "heartbeat": self._heartbeat,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._heartbeat = state["heartbeat"]
        self._connections = Connections(state["url"], state["wait_s"])
        self._forget()
        _storages.add(self)

    def _forget(self) -> None:
        """Start with nothing: what a parent process runs is not its child's."""
        self._connections.forget()
        self._studies = {}
        self._ids = {}
        self._timer = None
        self._ends = Ends(self._connections)
        self._timer_lock = threading.Lock()

    def remove_session(self) -> None:
        """Send what lingers and close the connections; the next operation opens one."""
        self.flush()
        self._ends.settle()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close the connections as they are; the next operation opens one."""
        self._connections.close()

    # --- reading trials -----------------------------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial: an own or a finished one from memory."""
        if (own := self._own(trial_id)) is not None:
            return own.trial
        for study in list(self._studies.values()):
            if (finished := study.finished(trial_id)) is not None:
                return finished
        rows = self._connections.run(sql.READ_TRIAL, {"trial_id": trial_id})
        if not rows:
            raise KeyError(f"No trial with id {trial_id}.")
        return trial_from(rows[0][1:])

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Return the attributes that Optuna itself keeps on a trial; its pruners ask at every report."""
        own = self._own(trial_id)
        return super().get_trial_system_attrs(trial_id) if own is None else own.system_attrs

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials by number, after reading what is new."""
        study = self._study(study_id)
        wanted = None if states is None else frozenset(state for state in TrialState if state in states)
        if wanted == frozenset({TrialState.WAITING}) and not study.is_behind:
            [(waiting,)] = self._connections.run(lambda: (functions.CALL_IS_WAITING, self._seen(study)))
            if waiting is None:
                raise self._gone(study_id)
            if not waiting:
                return []
        self._read_changes(study, ended_only=wanted is not None and wanted.isdisjoint(UNFINISHED))
        trials = study.trials(wanted)
        return copy.deepcopy(trials) if deepcopy else trials

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Return the number of a study's trials, in some state or at all."""
        study = self._study(study_id)
        self._read_changes(study)
        return study.n_trials((state,) if isinstance(state, TrialState) else state)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the complete trial with the best value; ValueError when there is none."""
        study = self._study(study_id)
        if len(study.directions) > 1:
            raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
        self._read_changes(study, ended_only=True)
        best = study.best(study.directions[0])
        if best is None:
            raise ValueError("No trials are completed yet.")
        return best

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return the id of the trial with this number."""
        study = self._study(study_id)
        trial_id = study.id_of(trial_number)
        if trial_id is None:
            self._read_changes(study)
            trial_id = study.id_of(trial_number)
        if trial_id is None:
            raise KeyError(f"No trial with number {trial_number} in the study with id {study_id}.")
        return trial_id

    # --- heartbeats ---------------------------------------------------------------------------------------------------

    def record_heartbeat(self, trial_id: int) -> None:
        """Note that the trial's worker is alive; learn whether somebody else ended the trial."""
        rows = self._connections.run(sql.RECORD_HEARTBEAT, {"trial_id": trial_id})
        if rows != [("RUNNING",)]:
            self._disown(trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        interval, grace_s, _ = self._heartbeat
        study = self._study(study_id)
        if study.is_behind:
            self._read_changes(study)
        more = {"grace_s": 2 * (interval or 0) if grace_s is None else grace_s}
        rows = self._connections.run(lambda: (sql.READ_STALE, self._seen(study) | more))
        return [trial_id for (trial_id,) in rows]

    def get_heartbeat_interval(self) -> int | None:
        """Return the seconds between heartbeats, or None."""
        return self._heartbeat[0]

    def get_heartbeat_stale_trial_callback(self) -> Callable[[Study, FrozenTrial], None] | None:
        """Return what is called for each trial that was failed for its silence."""
        return self._heartbeat[2]


_storages: weakref.WeakSet[PostgresStorage] = weakref.WeakSet()


def _forget_in_child() -> None:
    for storage in list(_storages):
        storage._forget()


os.register_at_fork(after_in_child=_forget_in_child)
