"""What Optuna has no table for, in the schema `studies`: who works on what, what was asked of them, how many trials.

Optuna's own tables are read here (never written), for one statement here answers what takes Optuna's interface many.
Every method is one transaction on one connection; the connection is opened again when it was lost between two calls.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection

from studies.settings import masked

HEARTBEAT_S = 5.0
LEASE_S = 60.0  # a worker silent for longer is dead: long enough for a stalled machine, short enough for a night

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS studies;
CREATE TABLE IF NOT EXISTS studies.workers (
    worker_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id     integer NOT NULL,
    host         text NOT NULL,
    pid          integer NOT NULL,
    device       text NOT NULL,
    trial_id     integer,
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz
);
CREATE INDEX IF NOT EXISTS workers_study ON studies.workers (study_id) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS workers_trial ON studies.workers (trial_id);
CREATE TABLE IF NOT EXISTS studies.control (
    study_id  integer PRIMARY KEY,
    n_trials  integer NOT NULL,
    stop      text
);
"""

# A trial counts against the budget unless a continuation took its place. A waiting one counts once it runs.
COUNTED = """
    t.study_id = %(study)s AND t.state <> 'WAITING' AND NOT EXISTS (
        SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = 'continued_by')
"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Worker:
    """A worker as `status` shows it. trial: the number of the trial it runs; epoch: the last one it reported."""

    worker_id: int
    host: str
    pid: int
    device: str
    trial: int | None
    epoch: int | None
    silent_s: float

    @property
    def alive(self) -> bool:
        """Whether it has been heard of within its lease."""
        return self.silent_s <= LEASE_S


@dataclass(frozen=True)
class Budget:
    """How far a study is. counted: trials that count against n_trials, the running ones included."""

    n_trials: int
    counted: int
    running: int
    stop: str | None
    failures_in_a_row: int
    device_hours: float

    @property
    def done(self) -> int:
        """Trials that count and have ended."""
        return self.counted - self.running


class Ledger:
    """The tables of the schema `studies`, through one connection. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        with self.alone("ledger"):
            self._run(lambda cursor: cursor.execute(SCHEMA))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # --- the study ------------------------------------------------------------------------------------------------

    def open_study(self, study_id: int, n_trials: int) -> None:
        """Set how many trials the study shall have, and forget an earlier stop."""
        self._run(
            lambda cursor: cursor.execute(
                """INSERT INTO studies.control (study_id, n_trials) VALUES (%s, %s)
                   ON CONFLICT (study_id) DO UPDATE SET n_trials = excluded.n_trials, stop = NULL""",
                (study_id, n_trials),
            )
        )

    def request_stop(self, study_id: int, why: str) -> None:
        """Ask every worker of the study to leave after its epoch; the first reason given stays."""
        self._run(
            lambda cursor: cursor.execute(
                "UPDATE studies.control SET stop = coalesce(stop, %s) WHERE study_id = %s", (why, study_id)
            )
        )

    def budget(self, study_id: int) -> Budget:
        """Return how far the study is."""
        row = self._one(
            f"""SELECT c.n_trials, c.stop,
                       (SELECT count(*) FROM trials t WHERE {COUNTED}),
                       (SELECT count(*) FROM trials t WHERE t.study_id = %(study)s AND t.state = 'RUNNING'),
                       (SELECT count(*) FROM trials t
                         WHERE {COUNTED} AND t.state = 'FAIL' AND t.number > coalesce((
                            SELECT max(number) FROM trials
                             WHERE study_id = %(study)s AND state IN ('COMPLETE', 'PRUNED')), -1)),
                       (SELECT coalesce(sum(extract(epoch FROM coalesce(datetime_complete, now() AT TIME ZONE 'UTC')
                                                    - datetime_start)), 0) / 3600
                          FROM trials WHERE study_id = %(study)s AND state <> 'WAITING')
                  FROM studies.control c WHERE c.study_id = %(study)s""",  # noqa: S608 - COUNTED is a constant
            {"study": study_id},
        )
        n_trials, stop, counted, running, failures, hours = row or (0, None, 0, 0, 0, 0.0)
        return Budget(n_trials, counted, running, stop, failures, float(hours))

    @contextmanager
    def alone(self, what: object) -> Iterator[None]:
        """Hold a lock that only one process at a time holds for `what`, on a connection of its own.

        The lock belongs to a transaction, so it goes with the connection and works behind a pooler too.
        """
        connection = psycopg2.connect(self._url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('studies'), hashtext(%s))", (str(what),))
                yield
        finally:
            connection.close()

    # --- workers --------------------------------------------------------------------------------------------------

    def enter(self, study_id: int, device: str) -> int:
        """Register this process as a worker of the study; return its id."""
        row = self._one(
            "INSERT INTO studies.workers (study_id, host, pid, device) VALUES (%s, %s, %s, %s) RETURNING worker_id",
            (study_id, socket.gethostname(), os.getpid(), device),
        )
        return int(row[0])

    def heartbeat(self, worker_id: int) -> str | None:
        """Say that the worker lives; return why it should stop, or None."""
        row = self._one(
            """UPDATE studies.workers w SET heartbeat_at = now() WHERE worker_id = %s
               RETURNING (SELECT stop FROM studies.control c WHERE c.study_id = w.study_id)""",
            (worker_id,),
        )
        return None if row is None else row[0]

    def works_on(self, worker_id: int, trial_id: int | None) -> None:
        """Record which trial the worker runs."""
        self._run(
            lambda cursor: cursor.execute(
                "UPDATE studies.workers SET trial_id = %s, heartbeat_at = now() WHERE worker_id = %s",
                (trial_id, worker_id),
            )
        )

    def leave(self, worker_id: int) -> None:
        """Record that the worker ended by itself."""
        self._run(
            lambda cursor: cursor.execute(
                "UPDATE studies.workers SET ended_at = now(), trial_id = NULL WHERE worker_id = %s",
                (worker_id,),
            )
        )

    def declare_dead(self, study_id: int, host: str, pid: int) -> None:
        """End the lease of a worker that is known to be dead, so that its trial is taken over at once."""
        self._run(
            lambda cursor: cursor.execute(
                """UPDATE studies.workers SET ended_at = now()
                    WHERE study_id = %s AND host = %s AND pid = %s AND ended_at IS NULL""",
                (study_id, host, pid),
            )
        )

    def workers(self, study_id: int) -> list[Worker]:
        """Return the workers that have not ended, dead ones that nobody has declared so included."""
        rows = self.read(
            """SELECT w.worker_id, w.host, w.pid, w.device, t.number,
                      (SELECT max(step) FROM trial_intermediate_values v WHERE v.trial_id = w.trial_id),
                      extract(epoch FROM now() - w.heartbeat_at)::float8
                 FROM studies.workers w LEFT JOIN trials t ON t.trial_id = w.trial_id
                WHERE w.study_id = %s AND w.ended_at IS NULL ORDER BY w.worker_id""",
            (study_id,),
        )
        return [Worker(*row) for row in rows]

    def lost_trials(self, study_id: int) -> list[int]:
        """Return the ids of running trials whose worker is dead.

        A trial without a worker is one whose worker died between creating it and saying so, or one of another Optuna
        program; the second kind has parameters by the time a lease is over.
        """
        rows = self.read(
            """SELECT t.trial_id FROM trials t
                WHERE t.study_id = %(study)s AND t.state = 'RUNNING' AND (
                   EXISTS (SELECT FROM studies.workers w WHERE w.trial_id = t.trial_id)
                   AND NOT EXISTS (SELECT FROM studies.workers w WHERE w.trial_id = t.trial_id
                        AND w.ended_at IS NULL AND w.heartbeat_at > now() - make_interval(secs => %(lease)s))
                OR NOT EXISTS (SELECT FROM studies.workers w WHERE w.trial_id = t.trial_id)
                   AND NOT EXISTS (SELECT FROM trial_params p WHERE p.trial_id = t.trial_id)
                   AND t.datetime_start < (now() AT TIME ZONE 'UTC') - make_interval(secs => %(lease)s))""",
            {"study": study_id, "lease": LEASE_S},
        )
        return [row[0] for row in rows]

    # --- the connection -------------------------------------------------------------------------------------------

    def _one(self, sql: str, values: Any) -> Any:
        def read(cursor: Any) -> Any:
            cursor.execute(sql, values)
            return cursor.fetchone()

        return self._run(read)

    def read(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query over these tables and Optuna's."""

        def read(cursor: Any) -> list[tuple[Any, ...]]:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

        return self._run(read)

    def _run(self, work: Callable[[Any], Result]) -> Result:
        """Do the work in a transaction; once more on a new connection when the old one turns out to be gone."""
        with self._lock:
            for attempt in (1, 2):
                fresh = self._connection is None or bool(self._connection.closed)
                if fresh:
                    self._connection = psycopg2.connect(self._url, connect_timeout=10)
                assert self._connection is not None
                try:
                    with self._connection, self._connection.cursor() as cursor:
                        return work(cursor)
                except (psycopg2.OperationalError, psycopg2.InterfaceError):
                    self._connection.close()
                    if fresh or attempt == 2:
                        raise
                    time.sleep(0.1)
        raise AssertionError("unreachable")

    def __repr__(self) -> str:
        return f"Ledger({masked(self._url)!r})"
