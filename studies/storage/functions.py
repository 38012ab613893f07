# ruff: noqa: S608 - nothing but the constants of this file is put into a statement
"""The hot path's SQL, as functions in the schema `studies`; `calls` has the one statement that calls each.

A function's statements are planned once in a connection; sent as text, planning them took half of their time. And each
of its statements sees what was committed before it began: who waited for the study's lock sees what its last holder
wrote, which a single statement, whose view is older than its wait, does not. The tables are Optuna's own.

The functions' names end in VERSION, a digest of their text, so that workers of two releases use one server.

What they have in common:

- No statement looks at trials that were seen finished before: `_after` is the newest trial that this process has read
  of a study, `_watched` are the older ones that had not finished then, `_known` newer ones that it ended itself. A
  study's trials get rising ids in the order in which they are committed, because every creator holds the lock on the
  study's row while it takes an id, RDBStorage's too.
- `_soon` does not wait for the disk at the end; a later transaction that waits does so for this one too.
"""

from __future__ import annotations

import hashlib

from studies.storage.sql import TRIAL_COLUMNS

# Plan once, not at each call, and for an index, whatever the tables held when that was.
_PLANNED = "LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off"

# The trials of a study that are newer than `_after`: by id, for few of another study lie in between; at a first reading
# by study. PostgreSQL is not left the choice, since it guesses half a percent of all rows either way: `+ 0` keeps it
# from the study's index, and a range with two ends from guessing a third.
_NEW = """(
        SELECT * FROM trials n WHERE _after < 0 AND n.study_id = _study_id
        UNION ALL
        SELECT * FROM trials n
        WHERE _after >= 0 AND n.trial_id > _after AND n.trial_id < _end AND n.study_id + 0 = _study_id)"""

_SOON = "SET LOCAL synchronous_commit = off"

# The number of a study's next trial, under the lock on the study's row.
_NEXT_NUMBER = f"coalesce((SELECT max(t.number) FROM {_NEW} t), _last_number) + 1"

# Grows with every write to a trial, by any program: the transactions that wrote its rows, added up. Of a thousand
# running trials few have changed between two readings, and only those are read again.
_SIGNATURE = "t.xmin::text::bigint" + "".join(
    f" + coalesce((SELECT sum(c.xmin::text::bigint) FROM {table} c WHERE c.trial_id = t.trial_id), 0)"
    for table in (
        "trial_params", "trial_values", "trial_intermediate_values", "trial_user_attributes", "trial_system_attributes",
    )
)  # fmt: skip

# What changed in a study since the last time. A trial that this process runs itself (`_own`) is news only when somebody
# else ended it, and is watched without a signature. With a signature of 0 a trial is news when it has ended, which is
# all that a question about finished trials needs to know. A row of nulls says that nothing changed; no row, that there
# is no such study. OFFSET 0 keeps the planner from reading the whole study for a join with the few that are watched.
CHANGES = f"""
FUNCTION studies.changes_VERSION(
    _study_id int, _after int, _watched int[], _signatures bigint[], _known int[], _own int[],
    _end int DEFAULT 2147483647
) RETURNS TABLE (
    trial_id int, number int, state text, datetime_start timestamp, datetime_complete timestamp,
    params text, finals text, reports text, user_attrs text, system_attrs text,
    signature bigint
) {_PLANNED} AS $$
#variable_conflict use_column
DECLARE
    _changed int[];
BEGIN
    SELECT array_agg(r.trial_id) INTO _changed FROM (
        SELECT t.trial_id FROM {_NEW} t
        WHERE t.trial_id <> ALL(_known) AND (t.state <> 'RUNNING' OR t.trial_id <> ALL(_own))
        UNION ALL
        SELECT t.trial_id FROM unnest(_watched, _signatures) w (trial_id, signature), LATERAL (
            SELECT xmin, * FROM trials WHERE trial_id = w.trial_id AND study_id = _study_id OFFSET 0) t
        WHERE t.trial_id <= _after
            AND CASE WHEN w.signature IS NULL THEN t.state <> 'RUNNING'
                WHEN w.signature = 0 THEN t.state NOT IN ('RUNNING', 'WAITING')
                ELSE w.signature <> {_SIGNATURE} END) r;
    IF _changed IS NOT NULL THEN
        RETURN QUERY SELECT {TRIAL_COLUMNS.replace("t.state,", "t.state::text,")},
            CASE WHEN t.state IN ('RUNNING', 'WAITING') THEN ({_SIGNATURE})::bigint END
            FROM trials t WHERE t.trial_id = ANY(_changed);
    ELSE
        RETURN QUERY SELECT NULL::int, NULL::int, NULL, NULL::timestamp, NULL::timestamp, NULL, NULL, NULL, NULL, NULL,
            NULL::bigint FROM studies WHERE study_id = _study_id;
    END IF;
END $$"""

# What trials reported at the rungs of successive halving: the attributes `completed_rung_*`, which Optuna's own pruners
# write and read too. Theirs read every trial whole to get at them, ours asks for these alone, and for new ones only.
# `_taken` is what the write returned that comes with the question; false goes straight back.
#
# An attribute of a transaction that was open when others were read may have an older id than theirs: `_after_attribute`
# stays where it is until no transaction from then is open any more. For that, each row comes with the newest id, the
# oldest open transaction, and the one that reads, which by its own write is the newest. OFFSET 0 keeps the planner from
# reading all trials of the study for a join, as it would for attributes whose number it guesses.
RUNGS = f"""
FUNCTION studies.rungs_VERSION(
    _study_id int, _after_attribute int, _taken bool, _end int DEFAULT 2147483647
) RETURNS TABLE (
    taken bool, newest int, oldest_open bigint, reading bigint, key text, numbers text, reported text
) {_PLANNED} AS $$
#variable_conflict use_column
BEGIN
    IF NOT _taken THEN
        RETURN QUERY SELECT false, NULL::int, NULL::bigint, NULL::bigint, NULL, NULL, NULL;
        RETURN;
    END IF;
    RETURN QUERY
        WITH now AS (
            SELECT coalesce(max(a.trial_system_attribute_id), 0) AS newest,
                pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest_open,
                pg_current_xact_id()::text::bigint AS reading
            FROM trial_system_attributes a),
        rungs AS (
            SELECT t.number, a.key, a.value_json
            FROM trials t JOIN trial_system_attributes a ON a.trial_id = t.trial_id
            WHERE _after_attribute < 0 AND t.study_id = _study_id AND starts_with(a.key, 'completed_rung_')
            UNION ALL
            SELECT t.number, a.key, a.value_json
            FROM trial_system_attributes a, LATERAL (
                SELECT number FROM trials WHERE trial_id = a.trial_id AND study_id = _study_id OFFSET 0) t
            WHERE _after_attribute >= 0 AND starts_with(a.key, 'completed_rung_')
                AND a.trial_system_attribute_id > _after_attribute AND a.trial_system_attribute_id < _end)
        SELECT true, now.newest, now.oldest_open, now.reading, r.key::text, r.numbers, r.reported
        FROM now LEFT JOIN (
            SELECT key, array_agg(number)::text AS numbers, string_agg(value_json, ',') AS reported
            FROM rungs GROUP BY key) r ON true;
END $$"""

# The queue alone, which `Study.ask` looks at before each trial: whether anything waits, or null if there is no study.
IS_WAITING = f"""
FUNCTION studies.is_waiting_VERSION(_study_id int, _after int, _watched int[], _end int DEFAULT 2147483647)
RETURNS bool {_PLANNED} AS $$
BEGIN
    RETURN (
        SELECT EXISTS (SELECT FROM {_NEW} t WHERE t.state = 'WAITING')
            OR EXISTS (SELECT FROM trials t WHERE t.trial_id = ANY(_watched) AND t.state = 'WAITING')
        FROM studies WHERE study_id = _study_id);
END $$"""

# A trial's number is its place in the study. The lock on the study's row is the one RDBStorage takes, so both kinds of
# worker take turns. It waits for the disk: a worker must not lose the trial it has begun.
CREATE = f"""
FUNCTION studies.create_trial_VERSION(
    _study_id int, _after int, _last_number int, _state trialstate, _start timestamp, _end int DEFAULT 2147483647
) RETURNS TABLE (trial_id int, number int) {_PLANNED} AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM studies WHERE study_id = _study_id FOR NO KEY UPDATE;
    IF FOUND THEN
        RETURN QUERY INSERT INTO trials (study_id, number, state, datetime_start)
            VALUES (_study_id, {_NEXT_NUMBER}, _state, _start) RETURNING trial_id, number;
    END IF;
END $$"""

# The next trial to run, within the budget: the oldest waiting one, or else a new one. What counts is what runs or has
# ended and is not continued. No row: the budget is spent. A row of nulls: there is no such study. Who pops on
# RDBStorage does not lock the study, hence SKIP LOCKED.
#
# It counts on from the census that it returned last time: `_n_done` trials ended, less those that continue another, for
# either is one for ever; `_unfinished`; all with an id up to `_after` and a number up to `_last_number`. Before the
# first, `_after` is -1. `_worker_id`: the worker of the ledger that has the trial from the same moment on.
CLAIM = f"""
FUNCTION studies.claim_trial_VERSION(
    _study_id int, _after int, _last_number int, _n_done int, _unfinished int[], _n_trials int,
    _start timestamp, _worker_id bigint, _end int DEFAULT 2147483647
) RETURNS TABLE (
    trial_id int, number int, popped bool, after int, last_number int, n_done int, unfinished text
) {_PLANNED} AS $$
#variable_conflict use_column
DECLARE
    _waiting int[];
    _trial_id int;
    _number int;
    _popped bool := false;
BEGIN
    PERFORM FROM studies WHERE study_id = _study_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::int, NULL::int, NULL::bool, NULL::int, NULL::int, NULL::int, NULL;
        RETURN;
    END IF;
    SELECT greatest(_after, max(r.trial_id)), greatest(_last_number, max(r.number)),
           _n_done - count(*) FILTER (WHERE r.continues)
               + count(*) FILTER (WHERE r.state NOT IN ('RUNNING', 'WAITING')),
           coalesce(array_agg(r.trial_id) FILTER (WHERE r.state IN ('RUNNING', 'WAITING')), '{{}}'),
           coalesce(array_agg(r.trial_id) FILTER (WHERE r.state = 'WAITING'), '{{}}')
        INTO _after, _last_number, _n_done, _unfinished, _waiting
        FROM (SELECT t.*, EXISTS (
                  SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = 'continues') continues
              FROM {_NEW} t
              UNION ALL
              SELECT t.*, false FROM trials t WHERE t.trial_id = ANY(_unfinished)) r;
    IF _n_done + cardinality(_unfinished) - cardinality(_waiting) >= _n_trials THEN
        RETURN;
    END IF;
    IF cardinality(_waiting) > 0 THEN
        UPDATE trials SET state = 'RUNNING', datetime_start = _start
            WHERE trial_id = (SELECT t.trial_id FROM trials t WHERE t.trial_id = ANY(_waiting) AND t.state = 'WAITING'
                              ORDER BY t.trial_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
            RETURNING trial_id, number INTO _trial_id, _number;
        _popped := FOUND;
    END IF;
    IF NOT _popped THEN
        _number := _last_number + 1;
        INSERT INTO trials (study_id, number, state, datetime_start) VALUES (_study_id, _number, 'RUNNING', _start)
            RETURNING trial_id INTO _trial_id;
        _after := _trial_id;
        _last_number := _number;
        _unfinished := _unfinished || _trial_id;
    END IF;
    IF _worker_id IS NOT NULL THEN
        UPDATE studies.workers SET trial_id = _trial_id, heartbeat_at = now() WHERE worker_id = _worker_id;
    END IF;
    RETURN QUERY SELECT _trial_id, _number, _popped, _after, _last_number, _n_done, _unfinished::text;
END $$"""

# One report of an own trial and nothing else, which is most of what is ever written. False: the trial takes none.
REPORT = f"""
FUNCTION studies.report_VERSION(_trial_id int, _step int, _value float8, _type trialintermediatevaluetype)
RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    {_SOON};
    INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
        SELECT trial_id, _step, _value, _type FROM trials
        WHERE trial_id = _trial_id AND state IN ('RUNNING', 'WAITING')
        ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
            intermediate_value_type = excluded.intermediate_value_type;
    RETURN FOUND;
END $$"""

# Everything that can be written to a trial, with its end or without. False: the trial takes nothing, being finished or
# not there, or (`_start`) being another that came to its id after a crash. A parameter's first value stays, as with
# RDBStorage.
WRITE = f"""
FUNCTION studies.write_trial_VERSION(
    _trial_id int, _soon bool DEFAULT false, _start timestamp DEFAULT NULL,
    _ending trialstate DEFAULT NULL, _complete timestamp DEFAULT NULL,
    _param_names text[] DEFAULT NULL, _param_values float8[] DEFAULT NULL, _param_distributions text[] DEFAULT NULL,
    _user_keys text[] DEFAULT NULL, _user_values text[] DEFAULT NULL,
    _system_keys text[] DEFAULT NULL, _system_values text[] DEFAULT NULL,
    _steps int[] DEFAULT NULL, _reported float8[] DEFAULT NULL,
    _reported_types trialintermediatevaluetype[] DEFAULT NULL,
    _finals float8[] DEFAULT NULL, _final_types trialvaluetype[] DEFAULT NULL
) RETURNS bool LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF _soon THEN {_SOON}; END IF;
    IF _ending IS NULL THEN
        PERFORM FROM trials WHERE trial_id = _trial_id AND state IN ('RUNNING', 'WAITING')
            AND (_start IS NULL OR datetime_start = _start);
    ELSE
        UPDATE trials SET state = _ending, datetime_complete = _complete
            WHERE trial_id = _trial_id AND state IN ('RUNNING', 'WAITING')
            AND (_start IS NULL OR datetime_start = _start);
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF _param_names IS NOT NULL THEN
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
            SELECT _trial_id, p.* FROM unnest(_param_names, _param_values, _param_distributions) p
            ON CONFLICT DO NOTHING;
    END IF;
    IF _user_keys IS NOT NULL THEN
        INSERT INTO trial_user_attributes (trial_id, key, value_json)
            SELECT _trial_id, a.* FROM unnest(_user_keys, _user_values) a
            ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json;
    END IF;
    IF _system_keys IS NOT NULL THEN
        INSERT INTO trial_system_attributes (trial_id, key, value_json)
            SELECT _trial_id, a.* FROM unnest(_system_keys, _system_values) a
            ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json;
    END IF;
    IF _steps IS NOT NULL THEN
        INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
            SELECT _trial_id, r.* FROM unnest(_steps, _reported, _reported_types) r
            ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value,
                intermediate_value_type = excluded.intermediate_value_type;
    END IF;
    IF _finals IS NOT NULL THEN
        INSERT INTO trial_values (trial_id, objective, value, value_type)
            SELECT _trial_id, v.objective - 1, v.value, v.value_type
            FROM unnest(_finals, _final_types) WITH ORDINALITY v (value, value_type, objective)
            ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type;
    END IF;
    RETURN true;
END $$"""

_ALL = (CHANGES, RUNGS, IS_WAITING, CREATE, CLAIM, REPORT, WRITE)

VERSION = hashlib.sha256("".join(_ALL).encode()).hexdigest()[:8]

# What creates them all, in any state of the schema.
DEFINITIONS = "\n".join(
    ["CREATE SCHEMA IF NOT EXISTS studies;"]
    + [f"CREATE OR REPLACE {text.strip().replace('VERSION', VERSION)};" for text in _ALL]
)

# The last one to be created tells whether all are there.
LAST_FUNCTION = f"studies.write_trial_{VERSION}"
