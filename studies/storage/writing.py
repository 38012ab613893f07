"""Writing to trials that have been started: parameters, attributes, reports, ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from studies.errors import StudiesError
from studies.storage import calls, sql
from studies.storage.connections import Connections, Rows, Statement
from studies.storage.ends import Ended, Ends
from studies.storage.lingering import Lingering
from studies.storage.memory import StudyMemory
from studies.storage.own import OwnTrial
from studies.storage.remembered import Remembered
from studies.storage.rows import distribution_from, utc
from studies.storage.writes import (
    Parameters,
    Pending,
    floats_of,
    param_texts_of,
    require_name,
    require_step,
    statement_of,
    texts_of,
)


class TrialWriter:
    """Writes to trials and ends them; see `PostgresStorage` for what waits and what travels together."""

    def __init__(self, connections: Connections, remembered: Remembered, ends: Ends) -> None:
        self._connections = connections
        self._remembered = remembered
        self._ends = ends
        self._lingering = Lingering(self._send_lingering)

    def set_param(self, trial_id: int, name: str, value: float, distribution: BaseDistribution) -> None:
        """Set a parameter, given by its internal value."""
        require_name(name, "parameter's name")
        params = {name: (float(value), distribution)}
        own = self._remembered.own(trial_id)
        if own is None:
            self.check_compatible(self._remembered.study(self.unfinished_study_id(trial_id)), params)
            self.write(trial_id, None, Pending(params=param_texts_of(params)))
        else:
            self.check_compatible(own.study, params)
            own.set_param(name, float(value), distribution)
            self._lingering.soon()

    def set_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        self._set_attrs(trial_id, Pending(user_attrs=texts_of({key: value})))

    def set_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna itself keeps on a trial."""
        self._set_attrs(trial_id, Pending(system_attrs=texts_of({key: value})))

    def _set_attrs(self, trial_id: int, attrs: Pending) -> None:
        own = self._remembered.own(trial_id)
        if own is None:
            self.write(trial_id, None, attrs)
        else:
            own.set_attrs(attrs)
            self._lingering.soon()

    def delete_system_attr(self, trial_id: int, key: str) -> None:
        """Delete an attribute that Optuna itself keeps, of an ended trial too."""
        self._connections.run(sql.DELETE_TRIAL_SYSTEM_ATTR, {"trial_id": trial_id, "key": key})

    def set_values(self, trial_id: int, values: Sequence[float] | None) -> None:
        """Set the values of a trial that goes on, with all that lingers of an own one."""
        own = self._remembered.own(trial_id)
        if own is not None or values:
            self.write(trial_id, own, Pending(finals=floats_of(values)))

    def report(self, trial_id: int, step: int, value: float) -> None:
        """Report a value, in one statement with all that was set before.

        Reports that follow each other faster than LINGER_S linger, and so travel together.
        """
        step, value = int(step), float(value)
        require_step(step)
        own = self._remembered.own(trial_id)
        if own is None or (self._lingering.is_over(own.reported_at) and not own.held):
            self.write(trial_id, own, Pending(reports={step: value}))
        else:
            own.set_report(step, value)
            self._lingering.soon()

    @contextmanager
    def together(self, trial_id: int) -> Iterator[None]:
        """See `PostgresStorage.together`."""
        own = self._remembered.own(trial_id)
        if own is None:
            yield
            return
        own.held = True
        try:
            yield
        finally:
            own.held = False
        if own.pending.reports and self._lingering.is_over(own.reported_at):
            self.write(trial_id, own, Pending())

    def complete_rung(self, trial_id: int, rung: str, value: float) -> list[tuple[int, float]]:
        """See `PostgresStorage.complete_rung`."""
        own = self._remembered.own(trial_id)
        study = self._remembered.study(self.unfinished_study_id(trial_id)) if own is None else own.study
        self._remembered.forget_lost(study)
        rungs = study.rungs

        def then_read(write: Statement) -> Statement:
            more = {"study_id": study.study_id, "after_attribute": rungs.after}
            return calls.rungs(write[0]), {**write[1], **more}

        rungs.add_read(self.write(trial_id, own, Pending(system_attrs=texts_of({rung: value})), then=then_read))
        return rungs.entries[rung]

    def finish(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        """End a trial: state and values, in one statement with all that was set before."""
        complete = self._connections.now()
        own = self._remembered.own(trial_id)
        writes = Pending(finals=floats_of(values))
        ending = {"ending": state.name, "complete": utc(complete)}
        self.write(trial_id, own, writes, ending)
        if own is not None:
            self._ends.add(Ended(partial(_again, own, writes, ending), own.n_lost))
            own.study.add_ended(own.finished(state, writes.finals, complete))

    def flush(self, *, wait_s: float | None = None) -> None:
        """Send what lingers."""
        for study in self._remembered.studies():
            for own in list(study.own.values()):
                self.write(own.id, own, Pending(), wait_s=wait_s)

    def write(
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
            self._remembered.disown(trial_id)
            self.unfinished_study_id(trial_id)
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

    def unfinished_study_id(self, trial_id: int) -> int:
        """Return the study of a trial that may be written to; otherwise raise what Optuna prescribes."""
        rows = self._connections.run(sql.READ_STATE, {"trial_id": trial_id})
        if not rows:
            raise KeyError(f"No trial with id {trial_id}.")
        number, state, study_id = rows[0][:3]
        if TrialState[state].is_finished():
            raise UpdateFinishedTrialError(f"Trial#{number} has already finished and can not be updated.")
        return int(study_id)

    def check_compatible(self, study: StudyMemory, params: Parameters) -> None:
        """Compare distributions with the first of the same name in the study, as RDBStorage does."""
        for name, (_, distribution) in params.items():
            if name not in study.distributions:
                rows = self._connections.run(sql.READ_FIRST_DISTRIBUTION, {"study_id": study.study_id, "name": name})
                study.distributions[name] = distribution_from(rows[0][0]) if rows else distribution
            check_distribution_compatibility(study.distributions[name], distribution)

    def _send_lingering(self) -> None:
        # What cannot be sent now stays, and is sent, or found refused, with the trial's next write.
        with suppress(StudiesError, StorageInternalError, UpdateFinishedTrialError, KeyError):
            self.flush(wait_s=0)


def _again(own: OwnTrial, writes: Pending, ending: Mapping[str, Any]) -> Statement:
    return statement_of(own.id, own.everything().with_more(writes), ending, soon=False, start=own.start)
