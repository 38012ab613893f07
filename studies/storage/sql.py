# ruff: noqa: S608 - nothing but the constants of this file is put into a statement
"""The SQL that Optuna's interface needs outside the hot path, each statement with its reason.

`functions` has the hot path's SQL, `sql_ledger` the ledger's; no other module of the package contains any.

Each statement is complete in itself, one message to the server: no session state and no prepared statement, so that a
pooler may give every message another connection (PgBouncer in transaction mode). The tables are Optuna's own.
"""

from __future__ import annotations

# --- one trial with all that belongs to it ----------------------------------------------------------------------------

# A part of other statements: each metric of a spec, the attribute `a`, with its direction, as JSON in their order.
METRICS = """coalesce(a.value_json::json -> 'metrics',
    json_build_object(a.value_json::json ->> 'metric', a.value_json::json ->> 'direction'))"""

# Under how many seeds a study runs a setting.
REPEATS = "coalesce((a.value_json::json ->> 'repeats')::int, 1)"

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

# What is looked for after a connection was lost may not be there yet: what creates a trial holds the lock on the row of
# its study, or waits for it ahead of the one who looks.
_LOCK = "SELECT FROM studies WHERE study_id = %(study_id)s FOR UPDATE;"

# After a connection was lost while a trial was being created or popped: was it? The moment it started is ours, to the
# microsecond.
FIND_STARTED = f"""{_LOCK}
SELECT trial_id, number, true FROM trials
WHERE study_id = %(study_id)s AND (trial_id > %(after)s OR trial_id = ANY(%(watched)s::int[]))
    AND state = 'RUNNING' AND datetime_start = %(start)s"""

# The same for a trial that was to have these attributes and this start: it is newer than the last one created here, and
# may run by now, with more attributes.
FIND_CREATED = f"""{_LOCK}
SELECT trial_id, number, true FROM trials t
WHERE study_id = %(study_id)s AND trial_id > %(created)s
    AND (%(start)s::timestamp IS NULL OR datetime_start = %(start)s)
    AND NOT EXISTS (
        SELECT key, value FROM unnest(%(user_keys)s::text[], %(user_values)s::text[]) given (key, value)
        EXCEPT SELECT key, value_json FROM trial_user_attributes a WHERE a.trial_id = t.trial_id)
    AND NOT EXISTS (
        SELECT key, value FROM unnest(%(system_keys)s::text[], %(system_values)s::text[]) given (key, value)
        EXCEPT SELECT key, value_json FROM trial_system_attributes a WHERE a.trial_id = t.trial_id)
ORDER BY trial_id LIMIT 1"""

# Starts a trial that waits. One that runs already is not started again.
START_TRIAL = """
UPDATE trials SET state = 'RUNNING', datetime_start = %(start)s
WHERE trial_id = %(trial_id)s AND state = 'WAITING' RETURNING study_id"""

# The other way: a trial that waits or runs waits again.
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

# A study with the direction of each of its objectives, or a unique violation when the name is taken.
CREATE_STUDY = """
WITH study AS (INSERT INTO studies (study_name) VALUES (%(name)s) RETURNING study_id),
directions AS (
    INSERT INTO study_directions (study_id, direction, objective)
    SELECT study_id, d.direction, d.objective - 1
    FROM study, unnest(%(directions)s::studydirection[]) WITH ORDINALITY d (direction, objective))
SELECT study_id FROM study"""

# After a connection was lost while a study was being created: one of its name in which nothing is yet is ours.
FIND_CREATED_STUDY = """
SELECT study_id FROM studies s WHERE study_name = %(name)s
    AND NOT EXISTS (SELECT FROM trials c WHERE c.study_id = s.study_id)
    AND NOT EXISTS (SELECT FROM study_user_attributes c WHERE c.study_id = s.study_id)
    AND NOT EXISTS (SELECT FROM study_system_attributes c WHERE c.study_id = s.study_id)"""

# A study with all that belongs to it. Foreign keys are checked when the statement ends, so the order of its parts does
# not matter.
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

# Sets an attribute of a study that is there; no row: no such study.
_SET_STUDY_ATTR = """
INSERT INTO study_{kind}_attributes (study_id, key, value_json)
SELECT study_id, %(key)s, %(value)s FROM studies WHERE study_id = %(study_id)s
ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json
RETURNING study_id"""
SET_STUDY_USER_ATTR = _SET_STUDY_ATTR.format(kind="user")
SET_STUDY_SYSTEM_ATTR = _SET_STUDY_ATTR.format(kind="system")

# A study's attributes. No row: no such study. A row of nulls: a study without attributes.
_READ_STUDY_ATTRS = """
SELECT a.key, a.value_json
FROM studies s LEFT JOIN study_{kind}_attributes a ON a.study_id = s.study_id
WHERE s.study_id = %(study_id)s"""
READ_STUDY_USER_ATTRS = _READ_STUDY_ATTRS.format(kind="user")
READ_STUDY_SYSTEM_ATTRS = _READ_STUDY_ATTRS.format(kind="system")

# What never changes about a study, by its id and by its name.
_STUDY_COLUMNS = """
    s.study_id, s.study_name,
    ARRAY(SELECT direction::text FROM study_directions d WHERE d.study_id = s.study_id ORDER BY objective)"""
READ_STUDY = f"SELECT {_STUDY_COLUMNS} FROM studies s WHERE s.study_id = %(study_id)s"
READ_STUDY_BY_NAME = f"SELECT {_STUDY_COLUMNS} FROM studies s WHERE s.study_name = %(name)s"

# Every study with its attributes.
READ_STUDIES = f"""
SELECT {_STUDY_COLUMNS},
    (SELECT json_agg(json_build_array(key, value_json))
     FROM study_user_attributes a WHERE a.study_id = s.study_id)::text,
    (SELECT json_agg(json_build_array(key, value_json))
     FROM study_system_attributes a WHERE a.study_id = s.study_id)::text
FROM studies s ORDER BY s.study_id"""

# A row of an attribute, and not null in its place: the dashboard removes the link to an artifact that way, and
# `optuna.artifacts` cannot read a null. An ended trial takes it, too.
DELETE_TRIAL_SYSTEM_ATTR = "DELETE FROM trial_system_attributes WHERE trial_id = %(trial_id)s AND key = %(key)s"
DELETE_STUDY_SYSTEM_ATTRS = """
DELETE FROM study_system_attributes WHERE study_id = %(study_id)s AND key = ANY(%(keys)s::text[])"""

# --- tables -----------------------------------------------------------------------------------------------------------

# Whether Optuna's tables, of this version, and the functions of this release are there already: opening a storage asks
# and, in most cases, creates nothing.
HAS_TABLES = "SELECT to_regclass('alembic_version') IS NOT NULL"
READ_SCHEMA_VERSION = "SELECT version_num FROM alembic_version"
HAS_FUNCTIONS = "SELECT to_regproc(%(name)s) IS NOT NULL"

# --- connections ------------------------------------------------------------------------------------------------------

# The server's side of `connections._DEFAULTS`: its own defaults are hours, and so long a client that was cut off would
# keep a lock it held.
NOTICE_SILENCE = """
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4;
SET tcp_user_timeout = 30000"""

# Which process answers, and what time it is there. A pooler announces a process that it makes up.
READ_SERVER = "SELECT pg_backend_pid(), clock_timestamp()"

# A lock for one process at a time, which goes with the transaction: behind a pooler nothing else would release it.
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('studies'), hashtext(%(what)s))"

# What a new cluster of the embedded server gets, in single-user mode.
CREATE_DATABASE = "CREATE DATABASE studies"
