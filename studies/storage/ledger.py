"""What Optuna has no table for, in the schema `studies`: who works on what, what was asked of them, how many trials.

Optuna's own tables are read here, for one statement here answers what takes Optuna's interface many, and written in two
cases: a trial that is continued, which must end and be queued again in one transaction; and what is found out about
trials after they ended, which Optuna's interface does not take. Every method is one transaction; when the server goes
away, it waits for it for the storage's `wait_s` seconds.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from studies.names import CONTINUED_BY, REASON
from studies.storage import sql
from studies.storage.budget import Budget, Tally
from studies.storage.connections import Connections, Statement, WhileWaiting


@dataclass(frozen=True)
class Worker:
    """A worker as `status` shows it.

    trial: the number of the trial it runs. epoch: the last one it reported. alive: heard of within its lease.
    """

    worker_id: int
    host: str
    pid: int
    device: str
    trial: int | None
    epoch: int | None
    silent_s: float
    alive: bool


class Ledger:
    """The tables of the schema `studies`. Safe to share between threads.

    lease_s: a worker that is silent for longer is dead. Optuna's tables must be there already.
    """

    def __init__(
        self, url: str, *, lease_s: float, wait_s: float, while_waiting: WhileWaiting = lambda why, waited_s: why
    ) -> None:
        self.lease_s = lease_s
        self._connections = Connections(url, wait_s, while_waiting)
        self._tallies: dict[int, tuple[int, Tally]] = {}  # by study: connections lost until then, and what was seen
        self._lock = threading.Lock()
        if self.read(sql.HAS_LEDGER) == [(False,)]:
            with self.alone("ledger"):
                self.read(sql.CREATE_LEDGER)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def read(self, sql: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, over these tables and Optuna's, and return its rows."""
        return self._connections.run(sql, values)  # type: ignore[arg-type]

    # --- the study ------------------------------------------------------------------------------------------------

    def open_study(self, study_id: int, n_trials: int) -> None:
        """Set how many trials the study shall have; forget an earlier stop and forgive the failures so far."""
        self.read(sql.OPEN_STUDY, {"study": study_id, "n": n_trials})

    def request_stop(self, study_id: int, why: str) -> None:
        """Ask every worker of the study to leave after its epoch; the first reason given stays."""
        self.read(sql.REQUEST_STOP, {"study": study_id, "why": why})

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
            return sql.READ_BUDGET, given

        with self._lock:
            rows = self._connections.run(statement)
            return tally.budget(rows)

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold a lock that only one process at a time holds for `what`.

        Raises StorageUnreachable when the connection breaks meanwhile, and the lock with it.
        """
        try:
            with self._connections.alone(what):
                yield
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise self._connections.unreachable(error) from error

    def annotate(self, study_id: int, attributes: Mapping[int, Mapping[str, str]]) -> None:
        """Set user attributes of trials, ended ones too, given by number and name; what is the same is not written."""
        given = [(number, key, json.dumps(text)) for number, own in attributes.items() for key, text in own.items()]
        numbers, keys, values = map(list, zip(*given, strict=True)) if given else ([], [], [])
        self.read(sql.ANNOTATE, {"study": study_id, "numbers": numbers, "keys": keys, "values": values})

    # --- workers --------------------------------------------------------------------------------------------------

    def enter(self, study_id: int, device: str) -> int:
        """Register this process as a worker of the study; return its id."""
        rows = self.read(
            sql.ENTER, {"study": study_id, "host": socket.gethostname(), "pid": os.getpid(), "device": device}
        )
        return int(rows[0][0])

    def heartbeat(self, worker_id: int) -> str | None:
        """Say that the worker lives; return why it should stop, or None."""
        rows = self.read(sql.BEAT, {"worker": worker_id})
        return rows[0][0] if rows else None

    def leave(self, worker_id: int) -> None:
        """Record that the worker ended by itself."""
        self.read(sql.LEAVE, {"worker": worker_id})

    def trial_of(self, study_id: int, host: str, pid: int) -> int | None:
        """Return the id of the trial that a worker runs."""
        rows = self.read(sql.READ_TRIAL_OF, {"study": study_id, "host": host, "pid": pid})
        return rows[0][0] if rows else None

    def declare_dead(self, study_id: int, host: str, pid: int) -> None:
        """End the lease of a worker that is known to be dead, so that its trial is taken over at once."""
        self.read(sql.DECLARE_DEAD, {"study": study_id, "host": host, "pid": pid})

    def workers(self, study_id: int) -> list[Worker]:
        """Return the workers that have not ended, dead ones that nobody has declared so included."""
        rows = self.read(sql.READ_WORKERS, {"study": study_id, "lease": self.lease_s})
        return [Worker(*row) for row in rows]

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
        rows = self.read(
            sql.CONTINUE,
            {
                "study": study_id,
                "trial": trial_id,
                "reason": json.dumps(reason),
                "reason_key": REASON,
                "link_key": CONTINUED_BY,
                "again": again,
                "params": json.dumps(params),
                "keys": list(attributes),
                "values": [json.dumps(value) for value in attributes.values()],
            },
        )
        return bool(rows[0][0])
