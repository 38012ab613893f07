# ruff: noqa: S608 - nothing but the constants of this file is put into a statement
"""The ledger's SQL, each statement with its reason: its own tables, and questions that span them and Optuna's.

As in `sql`, each is one message to the server and needs no session state. The ledger's tables are in the schema
`studies`.
"""

from __future__ import annotations

from studies.storage import sql_feasible
from studies.storage.sql import METRICS, REPEATS

# --- its tables -------------------------------------------------------------------------------------------------------

# Workers, each with the trial it runs and what it uses of its machine (`ledger.Usage`), and what was asked of a study.
# is_watched: somebody is to be told once no worker is alive any more.
# A table of an earlier release gets the new columns.
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
DROP INDEX IF EXISTS studies.workers_study;
CREATE INDEX IF NOT EXISTS workers_of_study ON studies.workers (study_id);
CREATE INDEX IF NOT EXISTS workers_trial ON studies.workers (trial_id);
CREATE TABLE IF NOT EXISTS studies.control (
    study_id  integer PRIMARY KEY,
    n_trials  integer NOT NULL,
    stop      text
);
ALTER TABLE studies.workers ADD COLUMN IF NOT EXISTS usage json;
ALTER TABLE studies.control ADD COLUMN IF NOT EXISTS forgiven integer NOT NULL DEFAULT -1;
CREATE TABLE IF NOT EXISTS studies.checkpoints (
    trial_id  integer PRIMARY KEY REFERENCES trials ON DELETE CASCADE,
    study_id  integer NOT NULL,
    number    integer NOT NULL,
    content   bytea NOT NULL,
    UNIQUE (study_id, number)
);
ALTER TABLE studies.control ADD COLUMN IF NOT EXISTS is_watched boolean NOT NULL DEFAULT false;
ALTER TABLE studies.control ADD COLUMN IF NOT EXISTS hours double precision;
ALTER TABLE studies.checkpoints ALTER COLUMN content SET STORAGE EXTERNAL;
"""

# What was added last: with it, the tables are whole.
HAS_LEDGER = """
SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('studies.control') AND attname = 'hours')"""

# --- the study --------------------------------------------------------------------------------------------------------

# What a launch does: a budget, no stop, and the failures until now forgiven. With the spec, which makes a study whole:
# one without the other would be a study that has all its trials.
OPEN_STUDY = """
WITH spec AS (
    INSERT INTO study_user_attributes (study_id, key, value_json)
    SELECT %(study)s, %(spec_key)s, %(spec)s WHERE %(spec)s::text IS NOT NULL
    ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json)
INSERT INTO studies.control (study_id, n_trials, hours, forgiven)
VALUES (%(study)s, %(n)s, %(hours)s,
    (SELECT coalesce(max(number), -1) FROM trials WHERE study_id = %(study)s AND state = 'FAIL'))
ON CONFLICT (study_id) DO UPDATE
SET n_trials = excluded.n_trials, hours = excluded.hours, stop = NULL, forgiven = excluded.forgiven"""

# For how many hours a study has run: while at least one of its workers did. One that died ran until its last
# heartbeats, however late that was noticed.
HOURS_USED = """
SELECT coalesce(sum(greatest(extract(epoch FROM upto - greatest(since, before)), 0)) / 3600, 0)::float8 FROM (
    SELECT since, upto,
        max(upto) OVER (ORDER BY since, worker_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (
        SELECT worker_id, started_at AS since,
            least(coalesce(ended_at, now()), heartbeat_at + make_interval(secs => %(lease)s / 6)) AS upto
        FROM studies.workers WHERE study_id = {study}) own) ordered"""

# A trial was queued that the budget did not know of, or it became known how many there will be.
SET_N_TRIALS = "UPDATE studies.control SET n_trials = %(n)s WHERE study_id = %(study)s"

# The first reason stays: the workers that see it say so in their logs.
REQUEST_STOP = "UPDATE studies.control SET stop = coalesce(stop, %(why)s) WHERE study_id = %(study)s"

# A study is deleted: what the ledger has of it goes, too. Checkpoints go with their trials.
FORGET = """
WITH gone AS (DELETE FROM studies.workers WHERE study_id = %(study)s)
DELETE FROM studies.control WHERE study_id = %(study)s"""

# What became of the study's trials that are new, or had not ended when they were last seen, for `budget.Tally`. The new
# are looked for by id, at the first time by study; see `functions` for what `+ 0` is for. A running one is lost when
# the worker that claimed it has ended or its lease is over; one of another Optuna program has no worker here. Losses
# are values, negated where they are to be maximized, and none of a trial that violates a constraint: it is nobody's
# best. One that is infinite is null.
READ_BUDGET = f"""
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
        extract(epoch FROM datetime_complete - datetime_start)::float8 AS seconds,
        CASE WHEN state = 'COMPLETE' AND NOT EXISTS ({sql_feasible.VIOLATES.format(trial="t.trial_id")} OFFSET 0) THEN (
            SELECT array_agg(CASE d.direction WHEN 'MAXIMIZE' THEN -v.value ELSE v.value END ORDER BY v.objective)
            FROM trial_values v JOIN study_directions d ON d.study_id = t.study_id AND d.objective = v.objective
            WHERE v.trial_id = t.trial_id) END AS losses
    FROM seen t WHERE state NOT IN ('RUNNING', 'WAITING'))
SELECT n_trials, stop, forgiven,
    (SELECT max(trial_id) FROM seen),
    (SELECT array_agg(trial_id) FROM seen WHERE state IN ('RUNNING', 'WAITING')),
    (SELECT count(*) FROM running),
    (SELECT coalesce(sum(extract(epoch FROM now() AT TIME ZONE 'UTC' - datetime_start)), 0)::float8 FROM running),
    (SELECT array_agg(w.trial_id) FROM studies.workers w
     WHERE w.trial_id = ANY(ARRAY(SELECT trial_id FROM running))
        AND (w.ended_at IS NOT NULL OR w.heartbeat_at <= now() - make_interval(secs => %(lease)s))),
    (SELECT array_agg(a.value_json::int) FROM seen t JOIN trial_user_attributes a
     ON a.trial_id = t.trial_id AND a.key = 'continues' AND a.value_json ~ '^[0-9]+$'),
    (SELECT json_agg(json_build_array(number, state, seconds, losses)) FROM ended),
    hours, CASE WHEN hours IS NOT NULL THEN ({HOURS_USED.format(study="%(study)s")}) END
FROM studies.control WHERE study_id = %(study)s"""

# What is found out about trials after they ended; what is the same is not written.
ANNOTATE = """
INSERT INTO trial_user_attributes AS kept (trial_id, key, value_json)
SELECT t.trial_id, given.key, given.value
FROM trials t, unnest(%(numbers)s::int[], %(keys)s::text[], %(values)s::text[]) AS given (number, key, value)
WHERE t.study_id = %(study)s AND t.number = given.number
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
WHERE kept.value_json IS DISTINCT FROM excluded.value_json"""

# --- workers ----------------------------------------------------------------------------------------------------------

# A worker begins, and the study is watched from now on.
ENTER = """
WITH watched AS (UPDATE studies.control SET is_watched = true WHERE study_id = %(study)s AND NOT is_watched)
INSERT INTO studies.workers (study_id, host, pid, device) VALUES (%(study)s, %(host)s, %(pid)s, %(device)s)
RETURNING worker_id"""

# The row of this process where its answer was lost: it has not done anything yet.
READ_ENTERED = """
SELECT worker_id FROM studies.workers
WHERE study_id = %(study)s AND host = %(host)s AND pid = %(pid)s AND ended_at IS NULL AND trial_id IS NULL
    AND heartbeat_at = started_at
ORDER BY worker_id DESC LIMIT 1"""

# A worker lives; what comes back is why it should stop. It does not wait for the disk: of what a thousand workers send,
# a third are heartbeats.
BEAT = """
SET LOCAL synchronous_commit = off;
UPDATE studies.workers w SET heartbeat_at = now(), usage = coalesce(%(usage)s, usage) WHERE worker_id = %(worker)s
RETURNING (SELECT stop FROM studies.control c WHERE c.study_id = w.study_id)"""

# A worker ended by itself.
LEAVE = "UPDATE studies.workers SET ended_at = now() WHERE worker_id = %(worker)s"

# Studies that are watched and have had no living worker for a lease: the one who takes them is to say so, and nobody
# else. Where its answer was lost, those are taken that are watched no more: better told of twice than never.
_LEFT_ALONE = """is_watched AND NOT EXISTS (
    SELECT FROM studies.workers w WHERE w.study_id = c.study_id
    AND coalesce(w.ended_at, w.heartbeat_at) > now() - make_interval(secs => %(lease)s))"""
READ_LEFT_ALONE = f"SELECT study_id FROM studies.control c WHERE {_LEFT_ALONE}"
TAKE_LEFT_ALONE = f"""
UPDATE studies.control c SET is_watched = false WHERE study_id = ANY(%(studies)s) AND {_LEFT_ALONE}
RETURNING study_id"""
READ_TAKEN = "SELECT study_id FROM studies.control WHERE study_id = ANY(%(studies)s) AND NOT is_watched"

# Who has ended a launch by hand needs not be told; unless others work on the study.
STOP_WATCHING = """
UPDATE studies.control c SET is_watched = false WHERE study_id = %(study)s AND NOT EXISTS (
    SELECT FROM studies.workers w WHERE w.study_id = c.study_id AND w.ended_at IS NULL
    AND w.heartbeat_at > now() - make_interval(secs => %(lease)s))"""

# The trial that a worker ran which the kernel killed.
READ_TRIAL_OF = """
SELECT t.trial_id FROM studies.workers w JOIN trials t ON t.trial_id = w.trial_id AND t.state = 'RUNNING'
WHERE w.study_id = %(study)s AND w.host = %(host)s AND w.pid = %(pid)s AND w.ended_at IS NULL"""

# A worker that its launcher saw die: its trial is taken over at once, not after its lease.
DECLARE_DEAD = """
UPDATE studies.workers SET ended_at = now()
WHERE study_id = %(study)s AND host = %(host)s AND pid = %(pid)s AND ended_at IS NULL"""

# The workers of a study, with the last epoch that each reported, how long it has been silent, and whether its lease
# still runs; and what it uses. A dead one is of interest until its trial is taken over: nobody ends its row.
READ_WORKERS = """
SELECT w.worker_id, w.host, w.pid, w.device, t.number,
    (SELECT max(step) FROM trial_intermediate_values v WHERE v.trial_id = t.trial_id),
    extract(epoch FROM now() - w.heartbeat_at)::float8,
    w.heartbeat_at > now() - make_interval(secs => %(lease)s), w.usage
FROM studies.workers w LEFT JOIN trials t ON t.trial_id = w.trial_id AND t.state = 'RUNNING'
WHERE w.study_id = %(study)s AND w.ended_at IS NULL
    AND (t.trial_id IS NOT NULL OR w.heartbeat_at > now() - make_interval(secs => %(lease)s))
ORDER BY w.worker_id"""

# --- taking over ------------------------------------------------------------------------------------------------------

# Whether a running trial is lost: its worker has ended, or its lease is over. The next worker ends and continues it.
_LOST_WORKERS = """studies.workers w WHERE w.trial_id = {trial}
    AND (w.ended_at IS NOT NULL OR w.heartbeat_at <= now() - make_interval(secs => %(lease)s))"""
IS_LOST = f"SELECT FROM {_LOST_WORKERS}"

# When the worker of a lost trial was last heard of, as Optuna keeps times; no row for a trial that is not lost.
LAST_HEARD = f"""
SELECT coalesce(w.ended_at, w.heartbeat_at) AT TIME ZONE 'UTC' FROM {_LOST_WORKERS} ORDER BY w.worker_id DESC LIMIT 1"""

# Queues the continuation of the one trial in `ended`. The study's row is locked first, by a statement of its own, so
# that the second one sees every number that was given out.
_LOCK = "SELECT FROM studies WHERE study_id = %(study)s FOR UPDATE;"
_QUEUE = """
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
SELECT count(*) FROM ended"""

# Ends a running trial and queues its continuation. A lost one ended when its worker was last heard of: the night until
# another came is not of its device.
CONTINUE = f"""{_LOCK}
WITH ended AS (
    UPDATE trials SET state = 'FAIL',
        datetime_complete = coalesce(({LAST_HEARD.format(trial="%(trial)s")}), now() AT TIME ZONE 'UTC')
    WHERE trial_id = %(trial)s AND state = 'RUNNING' RETURNING trial_id),
reason AS (
    INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, %(reason_key)s, %(reason)s FROM ended
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json),
{_QUEUE}"""

# Queues the continuation of a paused trial, unless it has one.
RESUME = f"""{_LOCK}
WITH ended AS (
    SELECT trial_id FROM trials t WHERE trial_id = %(trial)s AND state = 'PRUNED' AND NOT EXISTS (
        SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = %(link_key)s)),
{_QUEUE}"""

# Whether the two above were carried out, where the answer was lost.
READ_CONTINUED = f"""{_LOCK}
SELECT true FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = %(reason_key)s
WHERE t.trial_id = %(trial)s AND t.state = 'FAIL' AND a.value_json = %(reason)s"""
READ_RESUMED = f"""{_LOCK}
SELECT true FROM trial_user_attributes WHERE trial_id = %(trial)s AND key = %(link_key)s"""

# --- what a person looks at -------------------------------------------------------------------------------------------

# The studies that this package created, the oldest first. One without a spec is another program's, or was left half
# created by a launch that was killed.
READ_STARTED = f"""
SELECT s.study_id, s.study_name, {METRICS}, {REPEATS}
FROM studies s JOIN study_user_attributes a ON a.study_id = s.study_id AND a.key = %(spec_key)s
ORDER BY s.study_id"""

# The studies that another Optuna program created: with neither a spec nor the identity that a launch gives one first.
# No direction where they have several.
READ_FOREIGN = """
SELECT s.study_id, s.study_name, CASE WHEN count(*) = 1 THEN min(d.direction::text) END
FROM studies s JOIN study_directions d USING (study_id)
WHERE NOT EXISTS (SELECT FROM study_user_attributes a WHERE a.study_id = s.study_id AND a.key = ANY(%(keys)s))
GROUP BY s.study_id, s.study_name ORDER BY s.study_id"""

# How many trials have ended, by study: one statement tells the dashboard which studies have news.
COUNT_ENDED = """
SELECT study_id, count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL') GROUP BY study_id"""

# Trials by state, and failed ones by reason, as `status` shows them: "FAIL lost". Of pruned ones, those that wait with
# a checkpoint are PAUSED; those that were resumed are left out. A running one without a worker is LOST.
COUNT_STATES = f"""
SELECT CASE WHEN paused.key IS NOT NULL THEN 'PAUSED'
    WHEN t.state = 'RUNNING' AND EXISTS ({IS_LOST.format(trial="t.trial_id")} OFFSET 0) THEN 'LOST'
    ELSE t.state::text || coalesce(' ' || (reason.value_json::json #>> '{{}}'), '') END, count(*)
FROM trials t
LEFT JOIN trial_user_attributes reason ON reason.trial_id = t.trial_id AND reason.key = %(reason_key)s
LEFT JOIN trial_user_attributes paused ON paused.trial_id = t.trial_id AND paused.key = %(paused_key)s
WHERE t.study_id = %(study)s AND NOT (t.state = 'PRUNED' AND EXISTS (
    SELECT FROM trial_user_attributes link WHERE link.trial_id = t.trial_id AND link.key = %(link_key)s))
GROUP BY 1 ORDER BY 1"""

# Epochs that were reported so far, of all trials together.
COUNT_EPOCHS = """
SELECT count(*) FROM trial_intermediate_values v JOIN trials t USING (trial_id) WHERE t.study_id = %(study)s"""

# The feasible trial with the best value so far, among equals the first. Infinity, kept as null, is nobody's best.
# Constraints are looked at in this order, only until a feasible trial is found.
READ_BEST = f"""
SELECT value, number FROM (
    SELECT v.value, t.number, t.trial_id FROM trials t JOIN trial_values v USING (trial_id)
    WHERE t.study_id = %(study)s AND t.state = 'COMPLETE' AND v.value IS NOT NULL AND v.objective = 0
    ORDER BY CASE WHEN %(maximize)s THEN -v.value ELSE v.value END, t.number) best
WHERE NOT EXISTS ({sql_feasible.VIOLATES.format(trial="best.trial_id")} OFFSET 0) LIMIT 1"""

# The values of each trial that may be on the Pareto front: completed, feasible, none of its values infinite, which is
# kept as null.
READ_VALUES = f"""
SELECT t.number, array_agg(v.value ORDER BY v.objective) FROM trials t JOIN trial_values v USING (trial_id)
WHERE t.study_id = %(study)s AND t.state = 'COMPLETE'
AND NOT EXISTS ({sql_feasible.VIOLATES.format(trial="t.trial_id")} OFFSET 0)
GROUP BY t.number HAVING count(v.value) = count(*) ORDER BY t.number"""

# How many completed trials violate a constraint.
COUNT_INFEASIBLE = f"""
SELECT count(*) FROM trials t WHERE t.study_id = %(study)s AND t.state = 'COMPLETE'
AND EXISTS ({sql_feasible.VIOLATES.format(trial="t.trial_id")})"""

# The value of a trial, if trial `number` has the parameters of one of `numbers`: a confirmation's winner, unless the
# search has found something better than every contender since.
READ_CONFIRMED = """
WITH settings AS (
    SELECT t.number, string_agg(p.param_name || '=' || p.param_value, ',' ORDER BY p.param_name) AS params
    FROM trials t LEFT JOIN trial_params p USING (trial_id)
    WHERE t.study_id = %(study)s AND (t.number = %(number)s OR t.number = ANY(%(numbers)s)) GROUP BY t.number)
SELECT v.value FROM trials t JOIN trial_values v USING (trial_id)
WHERE t.study_id = %(study)s AND t.number = %(winner)s AND v.objective = 0 AND EXISTS (
    SELECT FROM settings best JOIN settings own ON own.params IS NOT DISTINCT FROM best.params
    WHERE best.number = %(number)s AND own.number = ANY(%(numbers)s))"""

# Trials by the word of their verdict. A trial that another continues is left out: its continuation has the verdict.
COUNT_VERDICTS = """
SELECT a.value_json::json #>> '{}', count(*)
FROM trials t JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = %(verdict_key)s
WHERE t.study_id = %(study)s AND NOT EXISTS (
    SELECT FROM trial_user_attributes c WHERE c.trial_id = t.trial_id AND c.key = %(link_key)s)
GROUP BY 1"""

# What the newest failed trial said, for the error that ends a launch.
READ_LAST_FAILURE = """
SELECT a.value_json::json #>> '{}' FROM trials t JOIN trial_user_attributes a USING (trial_id)
WHERE t.study_id = %(study)s AND t.state = 'FAIL' AND a.key = %(detail_key)s ORDER BY t.number DESC LIMIT 1"""

# --- checkpoints ------------------------------------------------------------------------------------------------------

# A trial has one; the worker that continues it may be on a machine that sees nothing of the other's disk. A study's
# together have a limit, for paused trials may be many. The content is sent once.
KEEP_CHECKPOINT = """
INSERT INTO studies.checkpoints (trial_id, study_id, number, content)
SELECT trial_id, study_id, number, %(content)s FROM trials
WHERE study_id = %(study)s AND number = %(number)s AND %(others)s >= (
    SELECT coalesce(sum(octet_length(content)), 0) FROM studies.checkpoints
    WHERE study_id = %(study)s AND number <> %(number)s)
ON CONFLICT (trial_id) DO UPDATE SET content = excluded.content
RETURNING trial_id"""

# What a trial goes on from.
READ_CHECKPOINT = "SELECT content FROM studies.checkpoints WHERE study_id = %(study)s AND number = %(number)s"

# Nobody needs it any more.
REMOVE_CHECKPOINT = "DELETE FROM studies.checkpoints WHERE study_id = %(study)s AND number = %(number)s"

# Few: those of running trials, of waiting ones that continue another, and of the best.
LIST_CHECKPOINTS = "SELECT number, octet_length(content) FROM studies.checkpoints WHERE study_id = %(study)s"
