"""Starting trials: creating them, claiming the next one of a budget, starting and queueing one that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from studies.storage import calls, sql
from studies.storage.connections import Connections, Rows, Statement
from studies.storage.ends import Ends
from studies.storage.memory import Census, StudyMemory
from studies.storage.remembered import Remembered
from studies.storage.rows import running_trial, trial_from, utc
from studies.storage.writes import Pending, floats_of, param_texts_of, texts_of
from studies.storage.writing import TrialWriter


class TrialStarter:
    """Creates and claims trials, which are this process's own from then on."""

    def __init__(self, connections: Connections, remembered: Remembered, ends: Ends, writer: TrialWriter) -> None:
        self._connections = connections
        self._remembered = remembered
        self._ends = ends
        self._writer = writer
        self._created = -1  # the newest trial that was created here from a template

    def create(self, study_id: int, template: FrozenTrial | None) -> int:
        """Create a trial, running unless a template says otherwise."""
        study = self._remembered.study(study_id)
        if template is not None:
            return self._create_from(study, template)
        start = self._connections.now()
        given = {"state": "RUNNING", "start": utc(start)}
        with self._ends.settling():
            rows = self._create(study, calls.CREATE, given, self._started(study, start))
        trial_id, number = rows[0][:2]
        study.adopt(running_trial(trial_id, number, start), self._connections.n_lost)
        return int(trial_id)

    def claim(self, study_id: int, *, n_trials: int | None, worker_id: int | None) -> int | None:
        """See `PostgresStorage.claim_trial`."""
        study = self._remembered.study(study_id)
        start = self._connections.now()
        more = {"study_id": study_id, "n_trials": n_trials, "start": utc(start), "worker_id": worker_id}

        def statement() -> Statement:
            self._remembered.forget_lost(study)
            return calls.CLAIM, vars(study.census) | more

        with self._ends.settling():
            rows = self._connections.run(statement, recover=self._started(study, start))
        if not rows:
            self._ends.settle()
            return None
        trial_id, number, popped, *census = rows[0]
        if trial_id is None:
            raise self._remembered.gone(study_id)
        if census:
            study.census = Census(*census)
        if popped:
            self._adopt_popped(trial_id)
        else:
            study.adopt(running_trial(trial_id, number, start), self._connections.n_lost)
        return int(trial_id)

    def _create_from(self, study: StudyMemory, template: FrozenTrial) -> int:
        params = {
            name: (template.distributions[name].to_internal_repr(value), template.distributions[name])
            for name, value in template.params.items()
        }
        self._writer.check_compatible(study, params)
        given = Pending(
            params=param_texts_of(params),
            user_attrs=texts_of(template.user_attrs),
            system_attrs=texts_of(template.system_attrs),
            reports={step: float(value) for step, value in template.intermediate_values.items()},
            finals=floats_of(template.values),
        ).arguments()
        # It takes writes until it is ended.
        ended = template.state.is_finished()
        given |= {"first_state": "RUNNING" if ended else template.state.name, "start": utc(template.datetime_start)}
        if ended:
            given |= {"ending": template.state.name, "complete": utc(template.datetime_complete)}
        nothing: dict[str, Any] = {key: [] for key in ("user_keys", "user_values", "system_keys", "system_values")}
        is_known = template.user_attrs or template.system_attrs or template.datetime_start

        def created() -> Rows:
            more = {"study_id": study.study_id, "created": self._created}
            return self._connections.run(sql.FIND_CREATED, nothing | given | more)

        rows = self._create(study, calls.create_from(given), given, created if is_known else None)
        self._created = max(self._created, rows[0][0])
        return int(rows[0][0])

    def _create(
        self, study: StudyMemory, statement: str, given: Mapping[str, Any], recover: Callable[[], Rows] | None
    ) -> Rows:
        rows = self._connections.run(lambda: (statement, self._remembered.seen(study) | dict(given)), recover=recover)
        if not rows:
            raise self._remembered.gone(study.study_id)
        return rows

    def _started(self, study: StudyMemory, start: datetime) -> Callable[[], Rows]:
        return lambda: self._connections.run(sql.FIND_STARTED, self._remembered.seen(study) | {"start": utc(start)})

    def change_state(self, trial_id: int, state: TrialState) -> bool:
        """Start or queue a trial; False when it should start but runs already."""
        given = {"trial_id": trial_id, "start": utc(self._connections.now())}
        if state == TrialState.RUNNING:
            return self._start(given)
        if not self._connections.run(sql.REQUEUE_TRIAL, given):
            self._writer.unfinished_study_id(trial_id)
        self._remembered.disown(trial_id)
        return True

    def _start(self, given: Mapping[str, Any]) -> bool:
        def started() -> Rows:
            rows = self._connections.run(sql.READ_STATE, given)
            return [row for row in rows if (row[1], row[3]) == ("RUNNING", given["start"])]

        if not self._connections.run(sql.START_TRIAL, given, recover=started):
            self._writer.unfinished_study_id(given["trial_id"])
            return False
        self._adopt_popped(given["trial_id"])
        return True

    def _adopt_popped(self, trial_id: int) -> None:
        row = self._connections.run(sql.READ_TRIAL, {"trial_id": trial_id})[0]
        self._remembered.study(row[0]).adopt(trial_from(row[1:]), self._connections.n_lost)
