"""Reading trials: what is new since the last time, and all else from memory."""

from __future__ import annotations

import copy
from collections.abc import Container
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from studies.storage import calls, sql
from studies.storage.connections import Connections, Statement
from studies.storage.memory import UNFINISHED, StudyMemory
from studies.storage.remembered import Remembered
from studies.storage.rows import trial_from


class TrialReader:
    """Reads trials; see `PostgresStorage`, whose methods these are."""

    def __init__(self, connections: Connections, remembered: Remembered) -> None:
        self._connections = connections
        self._remembered = remembered

    def trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial: an own or a finished one from memory."""
        if (own := self._remembered.own(trial_id)) is not None:
            return own.trial
        for study in self._remembered.studies():
            if (finished := study.finished(trial_id)) is not None:
                return finished
        rows = self._connections.run(sql.READ_TRIAL, {"trial_id": trial_id})
        if not rows:
            raise KeyError(f"No trial with id {trial_id}.")
        return trial_from(rows[0][1:])

    def all(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials by number, after reading what is new."""
        study = self._remembered.study(study_id)
        wanted = None if states is None else frozenset(state for state in TrialState if state in states)
        if wanted == frozenset({TrialState.WAITING}) and not study.is_behind:
            [(waiting,)] = self._connections.run(lambda: (calls.IS_WAITING, self._remembered.seen(study)))
            if waiting is None:
                raise self._remembered.gone(study_id)
            if not waiting:
                return []
        self.read_changes(study, ended_only=wanted is not None and wanted.isdisjoint(UNFINISHED))
        trials = study.trials(wanted)
        return copy.deepcopy(trials) if deepcopy else trials

    def n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        """Return the number of a study's trials, in some state or at all."""
        study = self._remembered.study(study_id)
        self.read_changes(study)
        return study.n_trials((state,) if isinstance(state, TrialState) else state)

    def best(self, study_id: int) -> FrozenTrial:
        """Return the complete trial with the best value; ValueError when there is none."""
        study = self._remembered.study(study_id)
        if len(study.directions) > 1:
            raise RuntimeError("Best trial can be obtained only for single-objective optimization.")
        self.read_changes(study, ended_only=True)
        best = study.best(study.directions[0])
        if best is None:
            raise ValueError("No trials are completed yet.")
        return best

    def id_of(self, study_id: int, trial_number: int) -> int:
        """Return the id of the trial with this number."""
        study = self._remembered.study(study_id)
        trial_id = study.id_of(trial_number)
        if trial_id is None:
            self.read_changes(study)
            trial_id = study.id_of(trial_number)
        if trial_id is None:
            raise KeyError(f"No trial with number {trial_number} in the study with id {study_id}.")
        return trial_id

    def stale(self, study_id: int, grace_s: float) -> list[int]:
        """Return the running trials that had a heartbeat, and none for `grace_s` seconds."""
        study = self._remembered.study(study_id)
        if study.is_behind:
            self.read_changes(study)
        rows = self._connections.run(lambda: (sql.READ_STALE, self._remembered.seen(study) | {"grace_s": grace_s}))
        return [trial_id for (trial_id,) in rows]

    def read_changes(self, study: StudyMemory, ended_only: bool = False) -> None:
        """Read what is new in a study since the last time; with `ended_only`, what has ended or is new."""
        with study.lock:
            seen: dict[str, Any] = {}

            def statement() -> Statement:
                seen.update(self._remembered.seen(study, ended_only))
                return calls.CHANGES, seen

            rows = self._connections.run(statement)
            if not rows:
                raise self._remembered.gone(study.study_id)
            study.add_read([(trial_from(row[:-1]), row[-1]) for row in rows if row[0] is not None], seen)
