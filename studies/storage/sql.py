# ruff: noqa: S608 - nothing but the constants of this file is put into a statement
"""Every SQL statement that is not on the hot path, with its reason; `functions` has the others.

Each is complete in itself, one message to the server: no session state and no prepared statement, so that a pooler may
give every message another connection (PgBouncer in transaction mode). The tables are Optuna's own, but for those of the
ledger, which are in the schema `studies`.
"""

from __future__ import annotations

# --- one trial with all that belongs to it ----------------------------------------------------------------------------

# Rows as nested JSON arrays: one row a trial, and the parsing is json's, in C. What is not a finite number comes as the
# name of its kind. Parameters keep the order in which they were suggested. Reports, which are most of a study, come as
# two arrays in PostgreSQL's form, {steps}{values}, at half of JSON's cost on either side.
TRIAL_COLUMNS = """
    t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete,
    (SELECT json_agg(json_build_array(param_name, param_value, distribution_json) ORDER BY param_id)
     FROM trial_params c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(CASE value_type WHEN 'FINITE' THEN to_json(value) ELSE to_json(value_type) END ORDER BY objective)
     FROM trial_values c WHERE c.trial_id = t.trial_id)::text,
    (SELECT array_agg(step)::text || array_agg(CASE intermediate_value_type
            WHEN 'FINITE' THEN intermediate_value WHEN 'NAN' THEN 'NaN'
            WHEN 'INF_POS' THEN 'Infinity' ELSE '-Infinity' END)::text
     FROM trial_intermediate_values c WHERE c.trial_id = t.trial_id),
    (SELECT json_agg(json_build_array(key, value_json))
     FROM trial_user_attributes c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(json_build_array(key, value_json))
     FROM trial_system_attributes c WHERE c.trial_id = t.trial_id)::text"""

# One trial, and its study in front.
READ_TRIAL = f"SELECT t.study_id, {TRIAL_COLUMNS} FROM trials t WHERE t.trial_id = %(trial_id)s"

# The distribution that a parameter of this name must be compatible with, asked once per process and name. All are
# compatible with each other, so any will do; the newest trials have the names that are in use.
READ_FIRST_DISTRIBUTION = """
SELECT p.distribution_json
FROM trials t JOIN trial_params p ON p.trial_id = t.trial_id AND p.param_name = %(name)s
WHERE t.study_id = %(study_id)s
ORDER BY t.trial_id DESC LIMIT 1"""

# Why a write found no trial to write to: its state now, or nothing.
READ_STATE = """
SELECT number, state, study_id, datetime_start, datetime_complete FROM trials WHERE trial_id = %(trial_id)s"""

# --- starting trials --------------------------------------------------------------------------------------------------

# After a connection was lost while a trial was being created or popped: was it? The moment it started is ours, to the
# microsecond.
FIND_STARTED = """
SELECT trial_id, number, true FROM trials
WHERE study_id = %(study_id)s AND (trial_id > %(after)s OR trial_id = ANY(%(watched)s::int[]))
    AND state = 'RUNNING' AND datetime_start = %(start)s"""

# The state changes that do not finish a trial. A trial that runs already is not started again.
START_TRIAL = """
UPDATE trials SET state = 'RUNNING', datetime_start = %(start)s
WHERE trial_id = %(trial_id)s AND state = 'WAITING' RETURNING study_id"""

REQUEUE_TRIAL = """
UPDATE trials SET state = 'WAITING'
WHERE trial_id = %(trial_id)s AND state IN ('RUNNING', 'WAITING') RETURNING study_id"""

# Waits for the disk for all that was written before: taking a transaction id is a write, too.
SETTLE = "SELECT pg_current_xact_id()"

# --- heartbeats -------------------------------------------------------------------------------------------------------

# The server's clock, as RDBStorage uses it. The state that comes back tells a worker that its trial was taken from it.
RECORD_HEARTBEAT = """
INSERT INTO trial_heartbeats (trial_id, heartbeat)
SELECT trial_id, localtimestamp FROM trials WHERE trial_id = %(trial_id)s
ON CONFLICT (trial_id) DO UPDATE SET heartbeat = excluded.heartbeat
RETURNING (SELECT state FROM trials WHERE trial_id = %(trial_id)s)"""

# Running trials whose worker has been silent for too long; one that never sent a heartbeat is not among them.
READ_STALE = """
SELECT t.trial_id
FROM trials t JOIN trial_heartbeats h ON h.trial_id = t.trial_id
WHERE t.study_id = %(study_id)s AND t.state = 'RUNNING'
    AND (t.trial_id > %(after)s OR t.trial_id = ANY(%(watched)s::int[]))
    AND h.heartbeat < localtimestamp - make_interval(secs => %(grace_s)s)
ORDER BY t.trial_id"""

# --- studies ----------------------------------------------------------------------------------------------------------

CREATE_STUDY = """
WITH study AS (INSERT INTO studies (study_name) VALUES (%(name)s) RETURNING study_id),
directions AS (
    INSERT INTO study_directions (study_id, direction, objective)
    SELECT study_id, d.direction, d.objective - 1
    FROM study, unnest(%(directions)s::studydirection[]) WITH ORDINALITY d (direction, objective))
SELECT study_id FROM study"""

# Foreign keys are checked when the statement ends, so the order of its parts does not matter.
DELETE_STUDY = """
SELECT FROM studies WHERE study_id = %(study_id)s FOR UPDATE;
WITH gone AS (DELETE FROM trials WHERE study_id = %(study_id)s RETURNING trial_id),
a AS (DELETE FROM trial_params c USING gone WHERE c.trial_id = gone.trial_id),
b AS (DELETE FROM trial_values c USING gone WHERE c.trial_id = gone.trial_id),
c AS (DELETE FROM trial_intermediate_values c USING gone WHERE c.trial_id = gone.trial_id),
d AS (DELETE FROM trial_user_attributes c USING gone WHERE c.trial_id = gone.trial_id),
e AS (DELETE FROM trial_system_attributes c USING gone WHERE c.trial_id = gone.trial_id),
f AS (DELETE FROM trial_heartbeats c USING gone WHERE c.trial_id = gone.trial_id),
g AS (DELETE FROM study_directions WHERE study_id = %(study_id)s),
h AS (DELETE FROM study_user_attributes WHERE study_id = %(study_id)s),
i AS (DELETE FROM study_system_attributes WHERE study_id = %(study_id)s)
DELETE FROM studies WHERE study_id = %(study_id)s RETURNING study_id"""

_SET_STUDY_ATTR = """
INSERT INTO study_{kind}_attributes (study_id, key, value_json)
SELECT study_id, %(key)s, %(value)s FROM studies WHERE study_id = %(study_id)s
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
RETURNING study_id"""
SET_STUDY_USER_ATTR = _SET_STUDY_ATTR.format(kind="user")
SET_STUDY_SYSTEM_ATTR = _SET_STUDY_ATTR.format(kind="system")

# No row: no such study. A row of nulls: a study without attributes.
_READ_STUDY_ATTRS = """
SELECT a.key, a.value_json
FROM studies s LEFT JOIN study_{kind}_attributes a ON a.study_id = s.study_id
WHERE s.study_id = %(study_id)s"""
READ_STUDY_USER_ATTRS = _READ_STUDY_ATTRS.format(kind="user")
READ_STUDY_SYSTEM_ATTRS = _READ_STUDY_ATTRS.format(kind="system")

_STUDY_COLUMNS = """
    s.study_id, s.study_name,
    ARRAY(SELECT direction::text FROM study_directions d WHERE d.study_id = s.study_id ORDER BY objective)"""
READ_STUDY = f"SELECT {_STUDY_COLUMNS} FROM studies s WHERE s.study_id = %(study_id)s"
READ_STUDY_BY_NAME = f"SELECT {_STUDY_COLUMNS} FROM studies s WHERE s.study_name = %(name)s"

READ_STUDIES = f"""
SELECT {_STUDY_COLUMNS},
    (SELECT json_agg(json_build_array(key, value_json))
     FROM study_user_attributes a WHERE a.study_id = s.study_id)::text,
    (SELECT json_agg(json_build_array(key, value_json))
     FROM study_system_attributes a WHERE a.study_id = s.study_id)::text
FROM studies s ORDER BY s.study_id"""

# --- tables -----------------------------------------------------------------------------------------------------------

HAS_TABLES = "SELECT to_regclass('alembic_version') IS NOT NULL"
READ_SCHEMA_VERSION = "SELECT version_num FROM alembic_version"
HAS_FUNCTIONS = "SELECT to_regproc(%(name)s) IS NOT NULL"

# --- the ledger: its tables -------------------------------------------------------------------------------------------

CREATE_LEDGER = """
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

# The last column that was added: with it, the tables are whole.
HAS_LEDGER = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('studies.control') AND attname = 'forgiven')"""

# --- the ledger: the study --------------------------------------------------------------------------------------------

# What a launch does: a budget, no stop, and the failures until now forgiven.
OPEN_STUDY = """
INSERT INTO studies.control (study_id, n_trials, forgiven)
VALUES (%(study)s, %(n)s,
    (SELECT coalesce(max(number), -1) FROM trials WHERE study_id = %(study)s AND state = 'FAIL'))
ON CONFLICT (study_id) DO UPDATE SET n_trials = excluded.n_trials, stop = NULL, forgiven = excluded.forgiven"""

REQUEST_STOP = "UPDATE studies.control SET stop = coalesce(stop, %(why)s) WHERE study_id = %(study)s"

# What became of the study's trials that are new, or had not ended when they were last seen, for `budget.Tally`. The new
# are looked for by id, at the first time by study; see `functions` for what `+ 0` is for. A running one is lost when
# the worker that claimed it has ended or its lease is over; one of another Optuna program has no worker here. A loss is
# a value, negated where it is to be maximized.
READ_BUDGET = """
WITH seen AS MATERIALIZED (
    SELECT * FROM trials WHERE %(after)s < 0 AND study_id = %(study)s
    UNION ALL
    SELECT * FROM trials
    WHERE %(after)s >= 0 AND trial_id > %(after)s AND trial_id < 2147483647 AND study_id + 0 = %(study)s
    UNION ALL
    SELECT * FROM trials WHERE trial_id = ANY(%(unfinished)s::int[])),
running AS MATERIALIZED (SELECT trial_id, datetime_start FROM seen WHERE state = 'RUNNING'),
ended AS (
    SELECT number, state,
        state = 'FAIL' AND coalesce((
            SELECT true FROM trial_user_attributes a
            WHERE a.trial_id = t.trial_id AND a.key = 'continued_by'), false) AS continued,
        extract(epoch FROM datetime_complete - datetime_start)::float8 AS seconds,
        CASE WHEN state = 'COMPLETE' THEN (
            SELECT CASE d.direction WHEN 'MAXIMIZE' THEN -v.value ELSE v.value END
            FROM trial_values v JOIN study_directions d ON d.study_id = t.study_id AND d.objective = v.objective
            WHERE v.trial_id = t.trial_id AND v.objective = 0) END AS loss
    FROM seen t WHERE state NOT IN ('RUNNING', 'WAITING'))
SELECT n_trials, stop, forgiven,
    (SELECT max(trial_id) FROM seen),
    (SELECT array_agg(trial_id) FROM seen WHERE state IN ('RUNNING', 'WAITING')),
    (SELECT count(*) FROM running),
    (SELECT coalesce(sum(extract(epoch FROM now() AT TIME ZONE 'UTC' - datetime_start)), 0)::float8 FROM running),
    (SELECT array_agg(w.trial_id) FROM studies.workers w
     WHERE w.trial_id = ANY(ARRAY(SELECT trial_id FROM running))
        AND (w.ended_at IS NOT NULL OR w.heartbeat_at <= now() - make_interval(secs => %(lease)s))),
    (SELECT json_agg(json_build_array(number, state, continued, seconds, loss)) FROM ended)
FROM studies.control WHERE study_id = %(study)s"""

# What is found out about trials after they ended; what is the same is not written.
ANNOTATE = """
INSERT INTO trial_user_attributes AS kept (trial_id, key, value_json)
SELECT t.trial_id, given.key, given.value
FROM trials t, unnest(%(numbers)s::int[], %(keys)s::text[], %(values)s::text[]) AS given (number, key, value)
WHERE t.study_id = %(study)s AND t.number = given.number
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
WHERE kept.value_json IS DISTINCT FROM excluded.value_json"""

# --- the ledger: workers ----------------------------------------------------------------------------------------------

ENTER = """
INSERT INTO studies.workers (study_id, host, pid, device) VALUES (%(study)s, %(host)s, %(pid)s, %(device)s)
RETURNING worker_id"""

# It does not wait for the disk: of what a thousand workers send, a third are heartbeats.
BEAT = """
SET LOCAL synchronous_commit = off;
UPDATE studies.workers w SET heartbeat_at = now() WHERE worker_id = %(worker)s
RETURNING (SELECT stop FROM studies.control c WHERE c.study_id = w.study_id)"""

LEAVE = "UPDATE studies.workers SET ended_at = now() WHERE worker_id = %(worker)s"
READ_TRIAL_OF = """
SELECT t.trial_id FROM studies.workers w JOIN trials t ON t.trial_id = w.trial_id AND t.state = 'RUNNING'
WHERE w.study_id = %(study)s AND w.host = %(host)s AND w.pid = %(pid)s AND w.ended_at IS NULL"""
DECLARE_DEAD = """
UPDATE studies.workers SET ended_at = now()
WHERE study_id = %(study)s AND host = %(host)s AND pid = %(pid)s AND ended_at IS NULL"""

# With the last epoch that each reported, how long it has been silent, and whether its lease still runs.
READ_WORKERS = """
SELECT w.worker_id, w.host, w.pid, w.device, t.number,
    (SELECT max(step) FROM trial_intermediate_values v WHERE v.trial_id = t.trial_id),
    extract(epoch FROM now() - w.heartbeat_at)::float8,
    w.heartbeat_at > now() - make_interval(secs => %(lease)s)
FROM studies.workers w LEFT JOIN trials t ON t.trial_id = w.trial_id AND t.state = 'RUNNING'
WHERE w.study_id = %(study)s AND w.ended_at IS NULL ORDER BY w.worker_id"""

# --- the ledger: taking over ------------------------------------------------------------------------------------------

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
SELECT (SELECT count(*) FROM ended), (SELECT number FROM queued)"""
