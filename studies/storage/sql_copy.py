# ruff: noqa: S608 - nothing but names that PostgreSQL or Optuna gave is put into a statement
"""The SQL of `studies copy`: the rows of one study, from one storage into another where ids are others."""

from __future__ import annotations

from collections.abc import Sequence

# Whether the copies are there, where the answer to their commit was lost.
FIND_COPIES = "SELECT study_id FROM study_user_attributes WHERE key = %(key)s AND value_json = ANY(%(values)s)"

# Which study to copy.
FIND_STUDY = "SELECT study_id FROM studies WHERE study_name = %(name)s"

# No row where there is a study of this name.
CREATE_STUDY = """
INSERT INTO studies (study_name) VALUES (%(name)s) ON CONFLICT (study_name) DO NOTHING RETURNING study_id"""

# Which of the trials that came is which here.
MATCH_TRIALS = """
CREATE TEMP TABLE matched ON COMMIT DROP AS
SELECT came.trial_id AS was, t.trial_id FROM came JOIN trials t ON t.study_id = %(study)s AND t.number = came.number"""

# For the next study.
DROP_MATCHED = "DROP TABLE matched"

# Of workers only what they were comes along, which says for how many hours the study has run: a trial that one has left
# running is lost at once, and so continued. Nobody is to be told that it is missing here.
END_WORKERS = """
WITH unwatched AS (UPDATE studies.control SET is_watched = false WHERE study_id = %(study)s)
UPDATE studies.workers SET ended_at = coalesce(ended_at, now()) WHERE study_id = %(study)s"""

# What a copy has in place of its own.
SET_ATTRIBUTE = """
UPDATE study_user_attributes SET value_json = %(value)s WHERE study_id = %(study)s AND key = %(key)s"""

# An artifact has another name here.
RENAME_STUDYS_ARTIFACT = """
UPDATE study_system_attributes SET key = %(key)s, value_json = replace(value_json, %(was)s, %(now)s)
WHERE study_id = %(study)s AND key = %(old_key)s"""
RENAME_TRIALS_ARTIFACT = """
UPDATE trial_system_attributes a SET key = %(key)s, value_json = replace(value_json, %(was)s, %(now)s)
FROM trials t WHERE t.trial_id = a.trial_id AND t.study_id = %(study)s AND a.key = %(old_key)s"""

# A study's rows of a table that knows trials alone.
_TRIALS = "trial_id IN (SELECT trial_id FROM trials WHERE study_id = {study})"


def read_rows(table: str, columns: Sequence[str], study: int) -> str:
    """Return the statement that sends a study's rows of a table."""
    whose = "study_id = {study}" if "study_id" in columns else _TRIALS
    return f"COPY (SELECT {', '.join(columns)} FROM {table} WHERE {whose.format(study=study)}) TO STDOUT"


def receive(table: str, columns: Sequence[str]) -> str:
    """Return the statement that makes room for rows as they come; `COPY came FROM STDIN` takes them."""
    return f"""
DROP TABLE IF EXISTS came;
CREATE TEMP TABLE came ON COMMIT DROP AS SELECT {", ".join(columns)} FROM {table} LIMIT 0"""


# Rows as they come.
TAKE_ROWS = "COPY came FROM STDIN"


def keep_rows(table: str, columns: Sequence[str]) -> str:
    """Return the statement that puts the rows that came into their table, with the ids that they have here."""
    if table == "trials":
        columns = [column for column in columns if column != "trial_id"]
    here = {"study_id": "%(study)s", "trial_id": "matched.trial_id"}
    values = ", ".join(here.get(column, f"came.{column}") for column in columns)
    # A worker may have had no trial.
    joined = " LEFT JOIN matched ON matched.was = came.trial_id" if "trial_id" in columns else ""
    ordered = " ORDER BY came.trial_id" if table == "trials" else ""
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM came{joined}{ordered}"
