"""What Optuna has no table for, in the schema `studies`: who works on what, what was asked of them, how many trials.

Optuna's own tables are read here, for one statement here answers what takes Optuna's interface many, and written in
three cases: a study's spec, which comes in one transaction with its budget; a trial that is continued, which must end
and be queued again in one transaction; and what is found out about trials after they ended, which Optuna's interface
does not take. Every method is one transaction; when the server goes away, it waits for it for the storage's `wait_s`
seconds.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import psycopg2

from studies.names import CONTINUED_BY, DETAIL, PAUSED, REASON, SPEC, UID, VERDICT, Direction
from studies.storage import sql_ledger
from studies.storage.budget import Budget, Tally
from studies.storage.connections import Connections, Statement, WhileWaiting
from studies.storage.rows import metrics_from

CHECKPOINT_WAIT_S = 5.0  # a checkpoint is worth no more of a trial's time


@dataclass(frozen=True)
class Usage:
    """What a worker and the processes that it started use. cpu_percent: 100 is one core. None: it is not known.

    memory_mib: with its share of what processes have in common.
    """

    memory_mib: float | None = None
    cpu_percent: float | None = None
    gpu_memory_mib: float | None = None
    gpu_percent: float | None = None


@dataclass(frozen=True)
class Worker:
    """A worker as `status` shows it.

    trial: the number of the trial it runs. epoch: the last one it reported. alive: heard of within its lease. usage:
    when it was last heard of.
    """

    worker_id: int
    host: str
    pid: int
    device: str
    trial: int | None
    epoch: int | None
    silent_s: float
    alive: bool
    usage: Usage


@dataclass(frozen=True)
class Started:
    """A study that this package created. n_repeats: under how many seeds a setting runs."""

    study_id: int
    name: str
    metrics: dict[str, Direction]
    n_repeats: int


@dataclass(frozen=True)
class Foreign:
    """A study that another Optuna program created. direction: None where it has several, or none."""

    study_id: int
    direction: Direction | None


class Ledger:
    """The tables of the schema `studies`. Safe to share between threads.

    lease_s: a worker that is silent for longer is dead. Optuna's tables must be there already.
    environment: see `connections.Connections`.
    """

    def __init__(
        self,
        url: str,
        *,
        lease_s: float,
        wait_s: float,
        while_waiting: WhileWaiting = lambda why, waited_s: why,
        environment: bool = True,
    ) -> None:
        self.lease_s = lease_s
        self._connections = Connections(url, wait_s, while_waiting, environment=environment)
        self._tallies: dict[int, tuple[int, Tally]] = {}  # by study: connections lost until then, and what was seen
        self._lock = threading.Lock()
        if self._run(sql_ledger.HAS_LEDGER) == [(False,)]:
            with self._connections.may_create(), self.alone("ledger"):
                self._run(sql_ledger.CREATE_LEDGER)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        return self._connections.run(statement, values)

    def _once(self, statement: str, values: Mapping[str, Any], effect: str) -> list[tuple[Any, ...]]:
        """Run what must not take effect twice. effect: reads the same rows where it has, and the answer was lost."""
        return self._connections.run(statement, values, recover=partial(self._run, effect, values))

    # --- the study ------------------------------------------------------------------------------------------------

    def open_study(
        self, study_id: int, n_trials: int, hours: float | None = None, spec: Mapping[str, Any] | None = None
    ) -> None:
        """Set how many trials the study has in the end, or for how many hours it runs, or both; with it, its spec.

        Forget an earlier stop and forgive the failures so far.
        """
        given = {"study": study_id, "n": n_trials, "hours": hours, "spec_key": SPEC}
        self._run(sql_ledger.OPEN_STUDY, given | {"spec": None if spec is None else json.dumps(spec)})

    def set_n_trials(self, study_id: int, n_trials: int) -> None:
        """Set how many trials the study has in the end."""
        self._run(sql_ledger.SET_N_TRIALS, {"study": study_id, "n": n_trials})

    def forget(self, study_id: int) -> None:
        """Delete what is kept here of a study; its trials are Optuna's to delete."""
        self._run(sql_ledger.FORGET, {"study": study_id})

    def request_stop(self, study_id: int, why: str) -> None:
        """Ask every worker of the study to leave after its epoch; the first reason given stays."""
        self._run(sql_ledger.REQUEST_STOP, {"study": study_id, "why": why})

    def budget(self, study_id: int) -> Budget:
        """Return how far the study is."""
        tally = Tally()

        def statement() -> Statement:
            nonlocal tally
            n_lost, tally = self._tallies.get(study_id, (-1, tally))
            if n_lost != self._connections.n_lost:  # a server that crashed may have taken ends back
                tally = Tally()
                self._tallies[study_id] = self._connections.n_lost, tally
            given = {"study": study_id, "after": tally.after, "unfinished": tally.unfinished, "lease": self.lease_s}
            return sql_ledger.READ_BUDGET, given

        with self._lock:
            rows = self._connections.run(statement)
            return tally.budget(rows)

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold a lock that only one process at a time holds for `what`; wait for it, and for the server.

        A server that goes away takes the lock along. What is done inside waits for the server as always, and goes on.
        """
        holding = self._connections.lock(what)
        try:
            yield
        finally:
            with suppress(psycopg2.Error):
                holding.rollback()
            holding.close()

    def annotate(self, study_id: int, attributes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set user attributes of trials, ended ones too, given by number and name; what is the same is not written."""
        given = [(number, key, json.dumps(value)) for number, own in attributes.items() for key, value in own.items()]
        numbers, keys, values = map(list, zip(*given, strict=True)) if given else ([], [], [])
        self._run(sql_ledger.ANNOTATE, {"study": study_id, "numbers": numbers, "keys": keys, "values": values})

    # --- workers --------------------------------------------------------------------------------------------------

    def enter(self, study_id: int, device: str) -> int:
        """Register this process as a worker of the study; return its id."""
        given = {"study": study_id, "host": socket.gethostname(), "pid": os.getpid(), "device": device}
        return int(self._once(sql_ledger.ENTER, given, sql_ledger.READ_ENTERED)[0][0])

    def heartbeat(self, worker_id: int, usage: Usage | None = None) -> str | None:
        """Say that the worker lives, and what it uses; return why it should stop, or None."""
        used = None if usage is None else json.dumps(asdict(usage))
        rows = self._run(sql_ledger.BEAT, {"worker": worker_id, "usage": used})
        return rows[0][0] if rows else None

    def leave(self, worker_id: int) -> None:
        """Record that the worker ended by itself."""
        self._run(sql_ledger.LEAVE, {"worker": worker_id})

    def take_left_alone(self) -> list[int]:
        """Return the studies whose last worker was heard of more than a lease ago; each once, to one who asks."""
        left = [study_id for (study_id,) in self._run(sql_ledger.READ_LEFT_ALONE, {"lease": self.lease_s})]
        if not left:
            return []
        given = {"studies": left, "lease": self.lease_s}
        return [study_id for (study_id,) in self._once(sql_ledger.TAKE_LEFT_ALONE, given, sql_ledger.READ_TAKEN)]

    def stop_watching(self, study_id: int) -> None:
        """Have nobody told that no worker is alive, where none is."""
        self._run(sql_ledger.STOP_WATCHING, {"study": study_id, "lease": self.lease_s})

    def trial_of(self, study_id: int, host: str, pid: int) -> int | None:
        """Return the id of the trial that a worker runs."""
        rows = self._run(sql_ledger.READ_TRIAL_OF, {"study": study_id, "host": host, "pid": pid})
        return rows[0][0] if rows else None

    def declare_dead(self, study_id: int, host: str, pid: int) -> None:
        """End the lease of a worker that is known to be dead, so that its trial is taken over at once."""
        self._run(sql_ledger.DECLARE_DEAD, {"study": study_id, "host": host, "pid": pid})

    def workers(self, study_id: int) -> list[Worker]:
        """Return the workers that live, and the dead ones whose trials nobody has taken over yet."""
        rows = self._run(sql_ledger.READ_WORKERS, {"study": study_id, "lease": self.lease_s})
        return [Worker(*(*known, Usage(**(usage or {})))) for *known, usage in rows]

    # --- taking over ----------------------------------------------------------------------------------------------

    def end_and_continue(
        self,
        study_id: int,
        trial_id: int,
        reason: str,
        *,
        params: Mapping[str, Any],
        attributes: Mapping[str, Any],
        again: bool,
    ) -> bool:
        """Fail a running trial with this reason and, if `again`, queue its continuation, in one transaction.

        params: as Optuna's `enqueue_trial` takes them. attributes: user attributes of the continuation.
        Returns False, and does nothing, when the trial was not running any more.
        """
        given = _queued(study_id, trial_id, params, attributes) | {"again": again, "lease": self.lease_s}
        given |= {"reason": json.dumps(reason), "reason_key": REASON}
        return bool(self._once(sql_ledger.CONTINUE, given, sql_ledger.READ_CONTINUED)[0][0])

    def resume(self, study_id: int, trial_id: int, *, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
        """Queue the continuation of a pruned trial; False when it has one. params, attributes: as above."""
        given = _queued(study_id, trial_id, params, attributes) | {"again": True}
        return bool(self._once(sql_ledger.RESUME, given, sql_ledger.READ_RESUMED)[0][0])

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def keep_checkpoint(self, study_id: int, number: int, content: bytes, *, limit: int) -> bool:
        """Keep the checkpoint of a trial in place of its former one; False where the study's would exceed the limit.

        limit: bytes, of all checkpoints of the study. Waits CHECKPOINT_WAIT_S for a server at most, as the others do.
        """
        given = {"study": study_id, "number": number, "content": content, "others": limit - len(content)}
        return bool(self._checkpoint(sql_ledger.KEEP_CHECKPOINT, **given))

    def checkpoint(self, study_id: int, number: int) -> bytes | None:
        """Return the checkpoint of a trial, or None where there is none."""
        rows = self._checkpoint(sql_ledger.READ_CHECKPOINT, study=study_id, number=number)
        return bytes(rows[0][0]) if rows else None

    def remove_checkpoint(self, study_id: int, number: int) -> None:
        """Remove the checkpoint of a trial, if there is one."""
        self._checkpoint(sql_ledger.REMOVE_CHECKPOINT, study=study_id, number=number)

    def checkpoint_sizes(self, study_id: int) -> dict[int, int]:
        """Return how many bytes each checkpoint has, by its trial's number."""
        return dict(self._checkpoint(sql_ledger.LIST_CHECKPOINTS, study=study_id))

    def _checkpoint(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(statement, given, wait_s=CHECKPOINT_WAIT_S)

    # --- what a person looks at -----------------------------------------------------------------------------------

    def started_studies(self) -> list[Started]:
        """Return the studies that are whole, the oldest first."""
        rows = self._run(sql_ledger.READ_STARTED, {"spec_key": SPEC})
        return [Started(study_id, name, metrics_from(found), n) for study_id, name, found, n in rows]

    def foreign_studies(self) -> dict[str, Foreign]:
        """Return the studies that another Optuna program created, by name, the oldest first."""
        rows = self._run(sql_ledger.READ_FOREIGN, {"keys": [SPEC, UID]})
        known = {direction.value: direction for direction in Direction}
        return {name: Foreign(study_id, known.get((direction or "").lower())) for study_id, name, direction in rows}

    def n_ended(self) -> dict[int, int]:
        """Return how many trials have ended, by study id; a study without any is left out."""
        return dict(self._run(sql_ledger.COUNT_ENDED))

    def states(self, study_id: int) -> dict[str, int]:
        """Return how many trials are in each state; failed ones by reason ("FAIL lost"), pruned ones without PAUSED.

        LOST are those that run for Optuna, and whose worker is gone.
        """
        given = {"study": study_id, "reason_key": REASON, "paused_key": PAUSED, "link_key": CONTINUED_BY}
        return dict(self._run(sql_ledger.COUNT_STATES, given | {"lease": self.lease_s}))

    def n_epochs(self, study_id: int) -> int:
        """Return how many epochs the study's trials have reported."""
        return int(self._run(sql_ledger.COUNT_EPOCHS, {"study": study_id})[0][0])

    def best(self, study_id: int, *, maximize: bool) -> tuple[float, int] | None:
        """Return the best value of one trial so far, and its number; None while no feasible trial is complete."""
        rows = self._run(sql_ledger.READ_BEST, {"study": study_id, "maximize": maximize})
        return (rows[0][0], rows[0][1]) if rows else None

    def values(self, study_id: int) -> list[tuple[int, list[float]]]:
        """Return number and values of each completed feasible trial whose values are finite, by number."""
        return self._run(sql_ledger.READ_VALUES, {"study": study_id})

    def confirmed_value(self, study_id: int, winner: int, *, best: int, contenders: Sequence[int]) -> float | None:
        """Return the value of a confirmation's winner; None when the best trial has none of the contenders' parameters.

        winner, best, contenders: trials' numbers.
        """
        given = {"study": study_id, "winner": winner, "number": best, "numbers": list(contenders)}
        rows = self._run(sql_ledger.READ_CONFIRMED, given)
        return rows[0][0] if rows else None

    def n_infeasible(self, study_id: int) -> int:
        """Return how many completed trials violate a constraint."""
        return int(self._run(sql_ledger.COUNT_INFEASIBLE, {"study": study_id})[0][0])

    def verdicts(self, study_id: int) -> dict[str, int]:
        """Return how many trials have each verdict, in its own word; a continued trial has none."""
        given = {"study": study_id, "verdict_key": VERDICT, "link_key": CONTINUED_BY}
        return dict(self._run(sql_ledger.COUNT_VERDICTS, given))

    def last_failure(self, study_id: int) -> str | None:
        """Return what the newest failed trial said, or None when none said anything."""
        rows = self._run(sql_ledger.READ_LAST_FAILURE, {"study": study_id, "detail_key": DETAIL})
        return str(rows[0][0]) if rows else None


def _queued(study_id: int, trial_id: int, params: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a statement is given that queues the continuation of a trial."""
    return {
        "study": study_id,
        "trial": trial_id,
        "link_key": CONTINUED_BY,
        "params": json.dumps(params),
        "keys": list(attributes),
        "values": [json.dumps(value) for value in attributes.values()],
    }
