"""A part of other statements: whether a trial violates a constraint."""

# Whether a trial violates a constraint, in either form that Optuna keeps them in: one attribute each, or a list.
# Read as text, for PostgreSQL's JSON knows no Infinity, which Python writes. The list may be null.
VIOLATES = """
SELECT FROM trial_system_attributes a WHERE a.trial_id = {trial} AND CASE
    WHEN starts_with(a.key, 'constraints:') THEN a.value_json::float8 > 0
    WHEN a.key = 'constraints' THEN EXISTS (
        SELECT FROM unnest(string_to_array(nullif(btrim(a.value_json, '[]'), 'null'), ',')) AS own
        WHERE own::float8 > 0)
    ELSE false END"""
