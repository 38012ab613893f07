# ruff: noqa: S608 - nothing but the constants of this file is put into a statement
"""Every SQL statement of the fast storage, with its reason. The tables are Optuna's own.

What they have in common:

- One message to the server each, complete in itself: no session state, no server-side prepared statement, so that a
  pooler may give every message another connection (PgBouncer in transaction mode).
- Writes to a trial name the trial once, in a first part called `trial`, which is empty when the trial is not there or
  has finished; every other part inserts `FROM trial`. Who gets no row back wrote nothing and asks why.
- No statement looks at trials that were seen finished before: `%(after)s` is the newest trial this process has read
  of a study, `%(watched)s` are the older ones that had not finished then. Trials of a study get rising ids in the
  order in which they are committed, because every creator holds the lock on the study's row, RDBStorage's too.
"""

from __future__ import annotations

from collections.abc import Iterable

# --- one trial with all that belongs to it ----------------------------------------------------------------------------

# Rows as nested JSON arrays: one row a trial, and the parsing is json's, in C. What is not a finite number comes as the
# name of its kind. Parameters keep the order in which they were suggested.
TRIAL_COLUMNS = """
    t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete,
    (SELECT json_agg(json_build_array(param_name, param_value, distribution_json) ORDER BY param_id)
     FROM trial_params c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(CASE value_type WHEN 'FINITE' THEN to_json(value) ELSE to_json(value_type) END ORDER BY objective)
     FROM trial_values c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(json_build_array(step, CASE intermediate_value_type WHEN 'FINITE'
                                            THEN to_json(intermediate_value) ELSE to_json(intermediate_value_type) END))
     FROM trial_intermediate_values c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(json_build_array(key, value_json))
     FROM trial_user_attributes c WHERE c.trial_id = t.trial_id)::text,
    (SELECT json_agg(json_build_array(key, value_json))
     FROM trial_system_attributes c WHERE c.trial_id = t.trial_id)::text"""

# One trial, and its study in front.
READ_TRIAL = f"SELECT t.study_id, {TRIAL_COLUMNS} FROM trials t WHERE t.trial_id = %(trial_id)s"

# What changed in a study since the last time. A trial that this process runs itself (`own`) is news only when somebody
# else ended it; `known` are newer than `after` and were ended by this process. The outer join gives a row of nulls when
# nothing changed and no row at all when there is no such study.
READ_CHANGES = f"""
SELECT {TRIAL_COLUMNS}
FROM studies s
LEFT JOIN trials t ON t.study_id = s.study_id
    AND (t.trial_id > %(after)s OR t.trial_id = ANY(%(watched)s::int[]))
    AND t.trial_id <> ALL(%(known)s::int[])
    AND (t.trial_id <> ALL(%(own)s::int[]) OR t.state <> 'RUNNING')
WHERE s.study_id = %(study_id)s"""

# The queue alone, which `Study.ask` looks at before each trial. A row of null: nothing waits; no row: no such study.
READ_WAITING = """
SELECT t.trial_id
FROM studies s
LEFT JOIN trials t ON t.study_id = s.study_id AND t.state = 'WAITING'
    AND (t.trial_id > %(after)s OR t.trial_id = ANY(%(watched)s::int[]))
WHERE s.study_id = %(study_id)s"""

# The distribution that a parameter of this name must be compatible with, asked once per process and name.
READ_FIRST_DISTRIBUTION = """
SELECT p.distribution_json
FROM trials t JOIN trial_params p ON p.trial_id = t.trial_id AND p.param_name = %(name)s
WHERE t.study_id = %(study_id)s
LIMIT 1"""

# Why a write found no trial to write to: its state now, or nothing.
READ_STATE = """
SELECT number, state, study_id, datetime_start, datetime_complete FROM trials WHERE trial_id = %(trial_id)s"""

# --- creating trials --------------------------------------------------------------------------------------------------

# A trial's number is its place in the study. The lock on the study's row is the one RDBStorage takes, so both kinds of
# worker take turns. It travels in the same message as the statement after it: that one then sees what the previous
# holder committed, which a single statement, whose view is older than its wait for the lock, would not.
_LOCK_STUDY = "SELECT FROM studies WHERE study_id = %(study_id)s FOR NO KEY UPDATE;"

_NEXT_NUMBER = """(SELECT coalesce(max(number), %(last_number)s) + 1 FROM trials
      WHERE study_id = %(study_id)s AND trial_id >= %(after)s)"""

_INSERT_TRIAL = f"""trial AS (
    INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
    SELECT study_id, {_NEXT_NUMBER}, %(state)s::trialstate, %(start)s, %(complete)s
    FROM studies WHERE study_id = %(study_id)s
    RETURNING trial_id, number)"""

# The next trial to run, within the budget: the oldest waiting one, or else a new one. What counts is running, finished,
# or failed without a continuation (`continued_by`). `n_done` were seen complete or pruned, which is for ever; `failed`
# were seen failed, and may have been continued since; the rest is counted here. No row: the budget is spent. A row
# without a trial: there is no such study. Who pops on RDBStorage takes no lock on the study, hence SKIP LOCKED.
CLAIM_TRIAL = f"""{_LOCK_STUDY}
WITH recent AS (
    SELECT trial_id, state FROM trials
    WHERE study_id = %(study_id)s AND (trial_id > %(after)s OR trial_id = ANY(%(watched)s::int[]))
        AND trial_id <> ALL(%(known)s::int[])
), failed AS (
    SELECT unnest(%(failed)s::int[]) AS trial_id UNION ALL SELECT trial_id FROM recent WHERE state = 'FAIL'
), within_budget AS (
    SELECT %(n_trials)s::int IS NULL OR %(n_trials)s::int > %(n_done)s
        + (SELECT count(*) FROM recent WHERE state IN ('RUNNING', 'COMPLETE', 'PRUNED'))
        + (SELECT count(*) FROM failed f WHERE NOT EXISTS (
               SELECT FROM trial_user_attributes a WHERE a.trial_id = f.trial_id AND a.key = 'continued_by')) AS yes
), popped AS (
    UPDATE trials SET state = 'RUNNING', datetime_start = %(start)s
    WHERE (SELECT yes FROM within_budget) AND trial_id = (
        SELECT trial_id FROM trials
        WHERE trial_id = ANY(ARRAY(SELECT trial_id FROM recent WHERE state = 'WAITING')) AND state = 'WAITING'
        ORDER BY trial_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING trial_id, number
), created AS (
    INSERT INTO trials (study_id, number, state, datetime_start)
    SELECT study_id, {_NEXT_NUMBER}, 'RUNNING', %(start)s
    FROM studies
    WHERE study_id = %(study_id)s AND (SELECT yes FROM within_budget) AND NOT EXISTS (SELECT FROM popped)
    RETURNING trial_id, number
)
SELECT trial_id, number, true FROM popped
UNION ALL SELECT trial_id, number, false FROM created
UNION ALL SELECT NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM studies WHERE study_id = %(study_id)s)"""

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

# --- writing to a trial: parts of one statement -----------------------------------------------------------------------

_OPEN_TRIAL = """trial AS (
    SELECT trial_id FROM trials WHERE trial_id = %(trial_id)s AND state IN ('RUNNING', 'WAITING'))"""

_FINISH_TRIAL = """trial AS (
    UPDATE trials SET state = %(state)s::trialstate, datetime_complete = %(complete)s
    WHERE trial_id = %(trial_id)s AND state IN ('RUNNING', 'WAITING')
    RETURNING trial_id)"""

# A parameter's first value stays, as with RDBStorage.
PARAMS = """params AS (
    INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, p.* FROM trial,
        unnest(%(param_names)s::text[], %(param_values)s::float8[], %(param_distributions)s::text[]) p
    ON CONFLICT DO NOTHING)"""

_ATTRS = """{kind}_attrs AS (
    INSERT INTO trial_{kind}_attributes (trial_id, key, value_json)
    SELECT trial_id, a.* FROM trial, unnest(%({kind}_keys)s::text[], %({kind}_values)s::text[]) a
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json)"""
USER_ATTRS = _ATTRS.format(kind="user")
SYSTEM_ATTRS = _ATTRS.format(kind="system")

REPORTS = """reports AS (
    INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, r.* FROM trial, unnest(
        %(steps)s::int[], %(reported)s::float8[], %(reported_types)s::trialintermediatevaluetype[]) r
    ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
        intermediate_value_type = excluded.intermediate_value_type)"""

VALUES = """finals AS (
    INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT trial_id, v.objective - 1, v.value, v.value_type FROM trial, unnest(
        %(finals)s::float8[], %(final_types)s::trialvaluetype[]) WITH ORDINALITY v (value, value_type, objective)
    ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type)"""


def write(parts: Iterable[str]) -> str:
    """Return the statement that writes these parts to an unfinished trial."""
    return f"WITH {', '.join([_OPEN_TRIAL, *parts])} SELECT trial_id FROM trial"


def finish(parts: Iterable[str]) -> str:
    """Return the statement that ends a trial and writes these parts to it."""
    return f"WITH {', '.join([_FINISH_TRIAL, *parts])} SELECT trial_id FROM trial"


def create(parts: Iterable[str]) -> str:
    """Return the statement that creates a trial with the next number and these parts."""
    return f"{_LOCK_STUDY}\nWITH {', '.join([_INSERT_TRIAL, *parts])} SELECT trial_id, number FROM trial"


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
# Held by whoever creates the tables, until its transaction ends; the number is arbitrary.
LOCK_TABLE_CREATION = "SELECT pg_advisory_xact_lock(5031894720)"
