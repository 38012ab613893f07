# ruff: noqa: S608 - nothing but the constants of this package is put into a statement
"""The SQL of the dashboard's pages: each costs about the same whatever the size of the study."""

from __future__ import annotations

from studies.storage import sql_feasible
from studies.storage.sql import METRICS, REPEATS, TRIAL_COLUMNS
from studies.storage.sql_ledger import HOURS_USED, IS_LOST, LAST_HEARD

# Whether the server answers.
PING = "SELECT 1"

# How the studies that this package created stand, the newest first, or one of them. Trials that a continuation
# replaced, which had failed or were paused, do not count. The best value is that of the first feasible trial in the
# order of the values. How long a trial takes is what complete and pruned ones took on average. OFFSET 0 keeps the
# planner from reading the values of all studies for each study, and from asking anew wherever an answer is used.
READ_OVERVIEWS = f"""
WITH counted AS (
    SELECT study_id,
        count(*) FILTER (WHERE state = 'COMPLETE') AS complete,
        count(*) FILTER (WHERE state = 'PRUNED' AND NOT continued AND NOT paused) AS pruned,
        count(*) FILTER (WHERE state = 'PRUNED' AND NOT continued AND paused) AS paused,
        count(*) FILTER (WHERE state = 'FAIL' AND NOT continued) AS failed,
        count(*) FILTER (WHERE state = 'RUNNING' AND NOT lost) AS running,
        count(*) FILTER (WHERE state = 'RUNNING' AND lost) AS lost,
        count(*) FILTER (WHERE state = 'WAITING') AS waiting,
        avg(extract(epoch FROM datetime_complete - datetime_start)) FILTER (WHERE state IN ('COMPLETE', 'PRUNED'))
            AS seconds
    FROM (SELECT *, state IN ('PRUNED', 'FAIL') AND EXISTS (
        SELECT FROM trial_user_attributes a
        WHERE a.trial_id = trials.trial_id AND a.key = %(link_key)s OFFSET 0) AS continued,
        state = 'PRUNED' AND EXISTS (
        SELECT FROM trial_user_attributes a
        WHERE a.trial_id = trials.trial_id AND a.key = %(paused_key)s OFFSET 0) AS paused,
        state = 'RUNNING' AND EXISTS ({IS_LOST.format(trial="trials.trial_id")} OFFSET 0) AS lost
        FROM trials WHERE %(study)s::int IS NULL OR study_id = %(study)s OFFSET 0) t
    GROUP BY study_id),
alive AS (
    SELECT study_id, count(*) AS n FROM studies.workers
    WHERE ended_at IS NULL AND heartbeat_at > now() - make_interval(secs => %(lease)s) GROUP BY study_id)
SELECT s.study_id, s.study_name, {METRICS}, {REPEATS}, nullif(coalesce(c.n_trials, 0), %(unlimited)s),
    CASE WHEN c.hours IS NOT NULL THEN c.hours - ({HOURS_USED.format(study="s.study_id")}) END, c.stop,
    coalesce(t.complete, 0), coalesce(t.pruned, 0), coalesce(t.paused, 0), coalesce(t.failed, 0),
    coalesce(t.running, 0), coalesce(t.lost, 0), coalesce(t.waiting, 0), t.seconds::float8, coalesce(alive.n, 0),
    best.value, best.number
FROM studies s
JOIN study_user_attributes a ON a.study_id = s.study_id AND a.key = %(spec_key)s
JOIN study_directions d ON d.study_id = s.study_id AND d.objective = 0
LEFT JOIN studies.control c ON c.study_id = s.study_id
LEFT JOIN counted t ON t.study_id = s.study_id
LEFT JOIN alive ON alive.study_id = s.study_id
LEFT JOIN LATERAL (
    SELECT value, number FROM (
        SELECT v.value, t.number, t.trial_id FROM trials t, LATERAL (
            SELECT value FROM trial_values c WHERE c.trial_id = t.trial_id AND c.objective = 0 OFFSET 0) v
        WHERE t.study_id = s.study_id AND t.state = 'COMPLETE' AND v.value IS NOT NULL
        ORDER BY CASE WHEN d.direction = 'MAXIMIZE' THEN -v.value ELSE v.value END, t.number) own
    WHERE NOT EXISTS ({sql_feasible.VIOLATES.format(trial="own.trial_id")} OFFSET 0) LIMIT 1) best ON true
WHERE %(study)s::int IS NULL OR s.study_id = %(study)s
ORDER BY s.study_id DESC"""

# The trials whose curves are drawn: of each state the newest, and the best ones. A trial that another continues is left
# out, for its continuation has all of its epochs.
_DRAWN = """
SELECT trial_id, number, state FROM (
    SELECT trial_id, number, state, row_number() OVER (PARTITION BY state ORDER BY number DESC) AS place
    FROM trials t WHERE study_id = %(study)s AND state <> 'WAITING' AND NOT EXISTS (
        SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = %(link_key)s)) own
WHERE place <= %(n)s OR number = ANY(%(best)s::int[])"""

# Their curves. What is not a finite number breaks a line, and is left out.
READ_CURVES = f"""
SELECT number, lower(state::text), array_agg(step ORDER BY step), array_agg(intermediate_value ORDER BY step)
FROM ({_DRAWN}) own JOIN trial_intermediate_values v USING (trial_id)
WHERE intermediate_value_type = 'FINITE'
GROUP BY number, state ORDER BY number"""

# What stands for curves where several metrics count.
READ_COURSES = f"""
SELECT number, lower(state::text),
    (SELECT value_json FROM trial_user_attributes a WHERE a.trial_id = own.trial_id AND a.key = %(rungs_key)s),
    (SELECT value_json FROM trial_user_attributes a WHERE a.trial_id = own.trial_id AND a.key = %(history_key)s)
FROM ({_DRAWN}) own ORDER BY number"""

# The newest trials, whole.
READ_NEWEST = f"""
SELECT {TRIAL_COLUMNS} FROM trials t WHERE t.study_id = %(study)s ORDER BY t.number DESC LIMIT %(n)s"""

# The newest failed trials that nothing continues, whole: those that a person may try again.
READ_FAILED = f"""
SELECT {TRIAL_COLUMNS} FROM trials t WHERE t.study_id = %(study)s AND t.state = 'FAIL' AND NOT EXISTS (
    SELECT FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = %(link_key)s)
ORDER BY t.number DESC LIMIT %(n)s"""

# Some trials, whole.
READ_NUMBERS = f"""
SELECT {TRIAL_COLUMNS} FROM trials t WHERE t.study_id = %(study)s AND t.number = ANY(%(numbers)s::int[])"""

# The best completed trials, whole; an infeasible one is not among them.
READ_TOP = f"""
SELECT {TRIAL_COLUMNS} FROM (
    SELECT v.value AS final, o.* FROM trials o JOIN trial_values v USING (trial_id)
    WHERE o.study_id = %(study)s AND o.state = 'COMPLETE' AND v.value IS NOT NULL AND v.objective = 0
    ORDER BY CASE WHEN %(maximize)s THEN -v.value ELSE v.value END, o.number) t
WHERE NOT EXISTS ({sql_feasible.VIOLATES.format(trial="t.trial_id")} OFFSET 0) LIMIT %(n)s"""

# What `/metrics` says beside the overviews: epochs reported, and hours of devices, the running trials' included. For
# all studies at once: asked study by study, the reports of all were read for each.
READ_TOTALS = f"""
WITH reported AS (
    SELECT study_id, sum(n)::bigint AS epochs FROM trials JOIN (
        SELECT trial_id, count(*) AS n FROM trial_intermediate_values GROUP BY trial_id) v USING (trial_id)
    GROUP BY study_id),
used AS (
    SELECT study_id, sum(extract(epoch FROM coalesce(
        datetime_complete, ({LAST_HEARD.format(trial="t.trial_id")}), now() AT TIME ZONE 'UTC') - datetime_start)
    )::float8 AS seconds FROM trials t GROUP BY study_id)
SELECT s.study_id, coalesce(reported.epochs, 0), coalesce(used.seconds, 0)
FROM studies s JOIN study_user_attributes a ON a.study_id = s.study_id AND a.key = %(spec_key)s
LEFT JOIN reported ON reported.study_id = s.study_id LEFT JOIN used ON used.study_id = s.study_id"""

# What the living workers use of their machines, by study and machine: of cores and memory in all, of GPUs on average.
READ_USAGES = """
SELECT study_id, host,
    sum((usage ->> 'cpu_percent')::float8), sum((usage ->> 'memory_mib')::float8),
    avg((usage ->> 'gpu_percent')::float8), avg((usage ->> 'gpu_memory_mib')::float8)
FROM studies.workers WHERE ended_at IS NULL AND heartbeat_at > now() - make_interval(secs => %(lease)s)
GROUP BY study_id, host ORDER BY study_id, host"""
