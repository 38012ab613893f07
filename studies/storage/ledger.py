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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from studies.names import CONTINUED_BY, REASON
from studies.storage.connections import Connections, WhileWaiting

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
ALTER TABLE studies.control ADD COLUMN IF NOT EXISTS forgiven integer NOT NULL DEFAULT -1;
"""
# The last column that was added: with it, the schema is whole.
SCHEMA_IS_THERE = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('studies.control') AND attname = 'forgiven')
"""

# A trial counts against the budget unless a continuation took its place. A waiting one counts once it runs.
COUNTED = """
    t.study_id = %(study)s AND t.state <> 'WAITING' AND NOT EXISTS (
        SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = 'continued_by')
"""

# Ends a running trial and queues its continuation. The study's row is locked first, by a statement of its own, so that
# the second one sees every number that was given out.
CONTINUE = """
SELECT FROM studies WHERE study_id = %(study)s FOR UPDATE;
WITH ended AS (
    UPDATE trials SET state = 'FAIL', datetime_complete = now() AT TIME ZONE 'UTC'
     WHERE trial_id = %(trial)s AND state = 'RUNNING' RETURNING trial_id),
reason AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, %(reason_key)s, %(reason)s FROM ended
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json),
queued AS (
    INSERT INTO trials (number, study_id, state)
    SELECT (SELECT max(number) + 1 FROM trials WHERE study_id = %(study)s), %(study)s, 'WAITING' FROM ended
     WHERE %(again)s RETURNING trial_id, number),
params AS (
    INSERT INTO trial_system_attributes (trial_id, key, value_json)
    SELECT trial_id, 'fixed_params', %(params)s FROM queued),
attributes AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, key, value FROM queued, unnest(%(keys)s::text[], %(values)s::text[]) AS given (key, value)),
link AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT ended.trial_id, %(link_key)s, queued.number::text FROM ended, queued)
SELECT (SELECT count(*) FROM ended), (SELECT number FROM queued)
"""

ANNOTATE = """
INSERT INTO trial_user_attributes AS kept (trial_id, key, value_json)
SELECT t.trial_id, given.key, given.value
  FROM trials t, unnest(%s::int[], %s::text[], %s::text[]) AS given (number, key, value)
 WHERE t.study_id = %s AND t.number = given.number
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
 WHERE kept.value_json IS DISTINCT FROM excluded.value_json
"""


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


@dataclass(frozen=True)
class Budget:
    """How far a study is.

    counted: trials that count against n_trials, the running ones included. failures_in_a_row: since the last launch.
    since_best: trials that ended and have a higher number than the best one. device_hours: of all trials together.
    """

    n_trials: int
    counted: int
    running: int
    stop: str | None
    failures_in_a_row: int
    since_best: int
    device_hours: float

    @property
    def done(self) -> int:
        """Trials that count and have ended."""
        return self.counted - self.running


class Ledger:
    """The tables of the schema `studies`. Safe to share between threads.

    lease_s: a worker that is silent for longer is dead. Optuna's tables must be there already.
    """

    def __init__(
        self, url: str, *, lease_s: float, wait_s: float, while_waiting: WhileWaiting = lambda why, waited_s: why
    ) -> None:
        self.lease_s = lease_s
        self._connections = Connections(url, wait_s, while_waiting)
        if self.read(SCHEMA_IS_THERE) == [(False,)]:
            with self.alone("ledger"):
                self.read(SCHEMA)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def read(self, sql: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, over these tables and Optuna's, and return its rows."""
        return self._connections.run(sql, values)  # type: ignore[arg-type]

    # --- the study ------------------------------------------------------------------------------------------------

    def open_study(self, study_id: int, n_trials: int) -> None:
        """Set how many trials the study shall have; forget an earlier stop and forgive the failures so far."""
        self.read(
            """INSERT INTO studies.control (study_id, n_trials, forgiven)
               VALUES (%(study)s, %(n)s, (SELECT coalesce(max(number), -1) FROM trials
                                            WHERE study_id = %(study)s AND state = 'FAIL'))
               ON CONFLICT (study_id) DO UPDATE
               SET n_trials = excluded.n_trials, stop = NULL, forgiven = excluded.forgiven""",
            {"study": study_id, "n": n_trials},
        )

    def request_stop(self, study_id: int, why: str) -> None:
        """Ask every worker of the study to leave after its epoch; the first reason given stays."""
        self.read("UPDATE studies.control SET stop = coalesce(stop, %s) WHERE study_id = %s", (why, study_id))

    def budget(self, study_id: int) -> Budget:
        """Return how far the study is."""
        rows = self.read(
            f"""SELECT c.n_trials,
                       (SELECT count(*) FROM trials t WHERE {COUNTED}),
                       (SELECT count(*) FROM trials t WHERE t.study_id = %(study)s AND t.state = 'RUNNING'),
                       c.stop,
                       (SELECT count(*) FROM trials t
                         WHERE {COUNTED} AND t.state = 'FAIL' AND t.number > c.forgiven AND t.number > coalesce((
                            SELECT max(number) FROM trials
                             WHERE study_id = %(study)s AND state IN ('COMPLETE', 'PRUNED')), -1)),
                       (SELECT count(*) FROM trials t
                         WHERE {COUNTED} AND t.state IN ('COMPLETE', 'PRUNED') AND t.number > (
                            SELECT b.number FROM trials b JOIN trial_values v USING (trial_id)
                              JOIN study_directions d ON d.study_id = b.study_id
                             WHERE b.study_id = %(study)s AND b.state = 'COMPLETE'
                             ORDER BY CASE d.direction WHEN 'MAXIMIZE' THEN -v.value ELSE v.value END, b.number
                             LIMIT 1)),
                       (SELECT coalesce(sum(extract(epoch FROM coalesce(datetime_complete, now() AT TIME ZONE 'UTC')
                                                    - datetime_start)), 0) / 3600
                          FROM trials WHERE study_id = %(study)s AND state <> 'WAITING')::float8
                  FROM studies.control c WHERE c.study_id = %(study)s""",  # noqa: S608 - COUNTED is a constant
            {"study": study_id},
        )
        return Budget(*rows[0]) if rows else Budget(0, 0, 0, None, 0, 0, 0.0)

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
        columns = zip(*given, strict=True) if given else ((), (), ())
        self.read(ANNOTATE, (*(list(column) for column in columns), study_id))

    # --- workers --------------------------------------------------------------------------------------------------

    def enter(self, study_id: int, device: str) -> int:
        """Register this process as a worker of the study; return its id."""
        rows = self.read(
            "INSERT INTO studies.workers (study_id, host, pid, device) VALUES (%s, %s, %s, %s) RETURNING worker_id",
            (study_id, socket.gethostname(), os.getpid(), device),
        )
        return int(rows[0][0])

    def heartbeat(self, worker_id: int) -> str | None:
        """Say that the worker lives; return why it should stop, or None."""
        # It does not wait for the disk: of what a thousand workers send, a third are heartbeats.
        rows = self.read(
            """SET LOCAL synchronous_commit = off;
               UPDATE studies.workers w SET heartbeat_at = now() WHERE worker_id = %s
               RETURNING (SELECT stop FROM studies.control c WHERE c.study_id = w.study_id)""",
            (worker_id,),
        )
        return rows[0][0] if rows else None

    def works_on(self, worker_id: int, trial_id: int | None) -> None:
        """Record which trial the worker runs."""
        self.read(
            "UPDATE studies.workers SET trial_id = %s, heartbeat_at = now() WHERE worker_id = %s", (trial_id, worker_id)
        )

    def leave(self, worker_id: int) -> None:
        """Record that the worker ended by itself."""
        self.read("UPDATE studies.workers SET ended_at = now(), trial_id = NULL WHERE worker_id = %s", (worker_id,))

    def trial_of(self, study_id: int, host: str, pid: int) -> int | None:
        """Return the id of the trial that a worker runs."""
        rows = self.read(
            """SELECT trial_id FROM studies.workers
                WHERE study_id = %s AND host = %s AND pid = %s AND ended_at IS NULL""",
            (study_id, host, pid),
        )
        return rows[0][0] if rows else None

    def declare_dead(self, study_id: int, host: str, pid: int) -> None:
        """End the lease of a worker that is known to be dead, so that its trial is taken over at once."""
        self.read(
            """UPDATE studies.workers SET ended_at = now()
                WHERE study_id = %s AND host = %s AND pid = %s AND ended_at IS NULL""",
            (study_id, host, pid),
        )

    def workers(self, study_id: int) -> list[Worker]:
        """Return the workers that have not ended, dead ones that nobody has declared so included."""
        rows = self.read(
            """SELECT w.worker_id, w.host, w.pid, w.device, t.number,
                      (SELECT max(step) FROM trial_intermediate_values v WHERE v.trial_id = w.trial_id),
                      extract(epoch FROM now() - w.heartbeat_at)::float8,
                      w.heartbeat_at > now() - make_interval(secs => %s)
                 FROM studies.workers w LEFT JOIN trials t ON t.trial_id = w.trial_id
                WHERE w.study_id = %s AND w.ended_at IS NULL ORDER BY w.worker_id""",
            (self.lease_s, study_id),
        )
        return [Worker(*row) for row in rows]

    # --- taking over ----------------------------------------------------------------------------------------------

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
            {"study": study_id, "lease": self.lease_s},
        )
        return [row[0] for row in rows]

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
            CONTINUE,
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
