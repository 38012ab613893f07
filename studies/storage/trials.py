"""The part of the fast storage that writes trials: creating them, writing to them, ending them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from studies.errors import StudiesError
from studies.storage import functions, sql
from studies.storage.connections import Rows, Statement
from studies.storage.ends import Ended, Ends
from studies.storage.memory import Census, OwnTrial, StudyMemory
from studies.storage.rows import distribution_from, running_trial, trial_from, utc
from studies.storage.studies import StudyStore
from studies.storage.writes import Parameters, Pending, floats_of, param_texts_of, statement_of, texts_of

LINGER_S = 0.05


class TrialStore(StudyStore):
    """Creates trials, writes to them and ends them."""

    _timer: threading.Timer | None
    _timer_lock: threading.Lock
    _ends: Ends

    # --- creating -----------------------------------------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial, running unless a template says otherwise."""
        study = self._study(study_id)
        if template_trial is not None:
            return self._create_from(study, template_trial)
        start = datetime.now()
        given = {"state": "RUNNING", "start": utc(start)}
        with self._ends.settling():
            rows = self._create(study, functions.CALL_CREATE, given, self._started(study, start))
        trial_id, number = rows[0][:2]
        study.adopt(running_trial(trial_id, number, start), self._connections.n_lost)
        return int(trial_id)

    def claim_trial(self, study_id: int, *, n_trials: int | None = None, worker_id: int | None = None) -> int | None:
        """Return the next trial to run, now running: the oldest waiting one or a new one; None when all are taken.

        `n_trials` is the study's budget. Running, complete, pruned and failed trials count against it, but not a
        failed one that another continues (user attribute `continued_by`). It is kept exactly, whoever else claims.
        `worker_id`: who claims, as the ledger knows it.
        """
        study = self._study(study_id)
        start = datetime.now()
        more = {"study_id": study_id, "n_trials": n_trials, "start": utc(start), "worker_id": worker_id}

        def statement() -> Statement:
            self._forget_lost(study)
            return functions.CALL_CLAIM, vars(study.census) | more

        with self._ends.settling():
            rows = self._connections.run(statement, recover=self._started(study, start))
        if not rows:
            self._ends.settle()
            return None
        trial_id, number, popped, *census = rows[0]
        if trial_id is None:
            raise self._gone(study_id)
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
        self._check_compatible(study, params)
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
        return int(self._create(study, functions.call_create_from(given), given, None)[0][0])

    def _create(
        self, study: StudyMemory, statement: str, given: Mapping[str, Any], recover: Callable[[], Rows] | None
    ) -> Rows:
        rows = self._connections.run(lambda: (statement, self._seen(study) | dict(given)), recover=recover)
        if not rows:
            raise self._gone(study.study_id)
        return rows

    def _started(self, study: StudyMemory, start: datetime) -> Callable[[], Rows]:
        return lambda: self._connections.run(sql.FIND_STARTED, self._seen(study) | {"start": utc(start)})

    # --- writing ------------------------------------------------------------------------------------------------------

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter; ValueError when the study has it with an incompatible distribution."""
        self.set_trial_params(trial_id, {param_name: (param_value_internal, distribution)})

    def set_trial_params(self, trial_id: int, params: Parameters) -> None:
        """Set several parameters, given by internal value and distribution, in one statement."""
        params = {name: (float(value), distribution) for name, (value, distribution) in params.items()}
        own = self._own(trial_id)
        if own is None:
            self._check_compatible(self._study(self._unfinished_study_id(trial_id)), params)
            self._write(trial_id, None, Pending(params=param_texts_of(params)))
        else:
            self._check_compatible(own.study, params)
            own.set_params(params)
            self._linger()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        texts = texts_of({key: value})
        own = self._own(trial_id)
        if own is None:
            self._write(trial_id, None, Pending(user_attrs=texts))
        else:
            own.set_user_attrs(texts)
            self._linger()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps on a trial."""
        texts = texts_of({key: value})
        own = self._own(trial_id)
        if own is None:
            self._write(trial_id, None, Pending(system_attrs=texts))
        else:
            own.set_system_attrs(texts)
            self._linger()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Report a value."""
        self.record_epoch(trial_id, step, intermediate_value, {})

    def record_epoch(self, trial_id: int, step: int, value: float, user_attrs: Mapping[str, Any]) -> None:
        """Report a value and set user attributes, in one statement with all that was set before.

        Reports that follow each other faster than LINGER_S linger, and so travel together.
        """
        step, value, texts = int(step), float(value), texts_of(user_attrs)
        own = self._own(trial_id)
        if own is None or (time.monotonic() > own.reported_at + LINGER_S and not own.held):
            self._write(trial_id, own, Pending(user_attrs=texts, reports={step: value}))
        else:
            own.set_report(step, value, texts)
            self._linger()

    @contextmanager
    def together(self, trial_id: int) -> Iterator[None]:
        """Let a report wait for what the pruner asks about it: at a rung they travel in one statement."""
        own = self._own(trial_id)
        if own is None:
            yield
            return
        own.held = True
        try:
            yield
        finally:
            own.held = False
        if own.pending.reports and time.monotonic() > own.reported_at + LINGER_S:
            self._write(trial_id, own, Pending())

    def complete_rung(self, trial_id: int, rung: str, value: float) -> list[tuple[int, float]]:
        """Set a `completed_rung_*` attribute; return the numbers and values of all trials that have it, this one too.

        One statement, which returns what is new since the last; the list only grows, or is replaced by another.
        """
        own = self._own(trial_id)
        study = self._study(self._unfinished_study_id(trial_id)) if own is None else own.study
        self._forget_lost(study)
        rungs = study.rungs

        def then_read(write: Statement) -> Statement:
            more = {"study_id": study.study_id, "after_attribute": rungs.after}
            return functions.call_rungs(write[0]), {**write[1], **more}

        rungs.add_read(self._write(trial_id, own, Pending(system_attrs=texts_of({rung: value})), then=then_read))
        return rungs.entries[rung]

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Change a trial's state and set its values; False when it should start but runs already."""
        if state.is_finished():
            self.finish_trial(trial_id, state, values)
            return True
        own = self._own(trial_id)
        if own is not None or values:
            self._write(trial_id, own, Pending(finals=floats_of(values)))
        given = {"trial_id": trial_id, "start": utc(datetime.now())}
        if state == TrialState.RUNNING:
            return self._start(given)
        if not self._connections.run(sql.REQUEUE_TRIAL, given):
            self._unfinished_study_id(trial_id)
        self._disown(trial_id)
        return True

    def finish_trial(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """End a trial: state, values and last user attributes, in one statement with all that was set before."""
        complete = datetime.now()
        own = self._own(trial_id)
        writes = Pending(user_attrs=texts_of(user_attrs or {}), finals=floats_of(values))
        ending = {"ending": state.name, "complete": utc(complete)}
        self._write(trial_id, own, writes, ending)
        if own is not None:
            self._ends.add(Ended(partial(_again, own, writes, ending), own.n_lost))
            own.study.add_ended(own.finished(state, writes.finals, complete))

    def flush(self, *, wait_s: float | None = None) -> None:
        """Send what lingers."""
        for study in list(self._studies.values()):
            for own in list(study.own.values()):
                self._write(own.id, own, Pending(), wait_s=wait_s)

    def _start(self, given: Mapping[str, Any]) -> bool:
        def started() -> Rows:
            rows = self._connections.run(sql.READ_STATE, given)
            return [row for row in rows if (row[1], row[3]) == ("RUNNING", given["start"])]

        if not self._connections.run(sql.START_TRIAL, given, recover=started):
            self._unfinished_study_id(given["trial_id"])
            return False
        self._adopt_popped(given["trial_id"])
        return True

    def _write(
        self,
        trial_id: int,
        own: OwnTrial | None,
        writes: Pending,
        ending: Mapping[str, Any] | None = None,
        wait_s: float | None = None,
        then: Callable[[Statement], Statement] = lambda write: write,
    ) -> Rows:
        """Send writes to a trial, with what lingers of an own one; say why when it takes none.

        then: puts a question around the write, whose rows are returned.
        """
        if own is None:
            rows = self._send(
                trial_id, lambda: then(statement_of(trial_id, writes, ending, soon=False)), ending, wait_s
            )
        else:
            with own.lock:
                rows = self._send_own(own, writes, ending, wait_s, then)
        if rows and rows[0][0] is False:
            self._disown(trial_id)
            self._unfinished_study_id(trial_id)
            raise UpdateFinishedTrialError(f"The trial with id {trial_id} was taken from this process.")
        return rows

    def _send_own(
        self,
        own: OwnTrial,
        writes: Pending,
        ending: Mapping[str, Any] | None,
        wait_s: float | None,
        then: Callable[[Statement], Statement],
    ) -> Rows:
        together = own.pending.with_more(writes) if own.pending else writes
        if not (together or ending):
            return []

        def statement() -> Statement:
            if own.n_lost == self._connections.n_lost:
                return then(statement_of(own.id, together, ending, soon=not self._connections.pooled))
            # A server that crashed may have lost what it did not wait for the disk for, even the trial. What was
            # written to the trial is all here; `start` tells whether it is still this one.
            everything = own.everything().with_more(together)
            return then(statement_of(own.id, everything, ending, soon=False, start=own.start))

        rows = self._send(own.id, statement, ending, wait_s)
        if rows[0][0] is not False:
            own.n_lost = self._connections.n_lost
            own.wrote(together)
        return rows

    def _send(
        self,
        trial_id: int,
        statement: Callable[[], Statement],
        ending: Mapping[str, Any] | None,
        wait_s: float | None,
    ) -> Rows:
        def ended() -> Rows:
            rows = self._connections.run(sql.READ_STATE, {"trial_id": trial_id})
            return [row for row in rows if ending and (row[1], row[4]) == (ending["ending"], ending["complete"])]

        return self._connections.run(statement, recover=ended, wait_s=wait_s)

    def _unfinished_study_id(self, trial_id: int) -> int:
        """Return the study of a trial that may be written to; otherwise raise what Optuna prescribes."""
        rows = self._connections.run(sql.READ_STATE, {"trial_id": trial_id})
        if not rows:
            raise KeyError(f"No trial with id {trial_id}.")
        number, state, study_id = rows[0][:3]
        if TrialState[state].is_finished():
            raise UpdateFinishedTrialError(f"Trial#{number} has already finished and can not be updated.")
        return int(study_id)

    def _check_compatible(self, study: StudyMemory, params: Parameters) -> None:
        """Compare distributions with the first of the same name in the study, as RDBStorage does."""
        for name, (_, distribution) in params.items():
            if name not in study.distributions:
                rows = self._connections.run(sql.READ_FIRST_DISTRIBUTION, {"study_id": study.study_id, "name": name})
                study.distributions[name] = distribution_from(rows[0][0]) if rows else distribution
            check_distribution_compatibility(study.distributions[name], distribution)

    # --- what this process runs itself --------------------------------------------------------------------------------

    def _own(self, trial_id: int) -> OwnTrial | None:
        for study in list(self._studies.values()):
            own = study.own.get(trial_id)
            if own is not None:
                return own
        return None

    def _adopt_popped(self, trial_id: int) -> None:
        row = self._connections.run(sql.READ_TRIAL, {"trial_id": trial_id})[0]
        self._study(row[0]).adopt(trial_from(row[1:]), self._connections.n_lost)

    def _disown(self, trial_id: int) -> None:
        for study in list(self._studies.values()):
            study.disown(trial_id)

    def _seen(self, study: StudyMemory, ended_only: bool = False) -> dict[str, Any]:
        with study.lock:
            self._forget_lost(study)
            return study.seen(ended_only)

    def _forget_lost(self, study: StudyMemory) -> None:
        """After a connection was lost, start reading anew."""
        with study.lock:
            if study.n_lost != self._connections.n_lost:
                self._ends.end_again()
                study.forget_read(self._connections.n_lost)

    def _read_changes(self, study: StudyMemory, ended_only: bool = False) -> None:
        """Read what is new in a study since the last time; with `ended_only`, what has ended or is new."""
        with study.lock:
            seen: dict[str, Any] = {}

            def statement() -> Statement:
                seen.update(self._seen(study, ended_only))
                return functions.CALL_CHANGES, seen

            rows = self._connections.run(statement)
            if not rows:
                raise self._gone(study.study_id)
            study.add_read([(trial_from(row[:-1]), row[-1]) for row in rows if row[0] is not None], seen)

    def _linger(self) -> None:
        """Have what lingers sent soon. One timer serves all; not being a daemon, it outlives the main thread."""
        with self._timer_lock:
            if self._timer is None:
                self._timer = threading.Timer(LINGER_S, self._send_lingering)
                self._timer.start()

    def _send_lingering(self) -> None:
        with self._timer_lock:
            self._timer = None
        # What cannot be sent now stays, and is sent, or found refused, with the trial's next write.
        with suppress(StudiesError, StorageInternalError, UpdateFinishedTrialError, KeyError):
            self.flush(wait_s=0)


def _again(own: OwnTrial, writes: Pending, ending: Mapping[str, Any]) -> Statement:
    return statement_of(own.id, own.everything().with_more(writes), ending, soon=False, start=own.start)
