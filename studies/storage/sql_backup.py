# ruff: noqa: S608 - nothing but names that PostgreSQL or Optuna gave is put into a statement
"""The SQL of `studies storage backup` and `restore`."""

from __future__ import annotations

from collections.abc import Sequence

# One view of everything for the whole backup, even while others write; and the same text for the same value, whatever
# the client's variables say.
BEGIN_BACKUP = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL DateStyle = 'ISO'; SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 1;
SET LOCAL client_encoding = 'UTF8'"""

# What a restore reads the text of a backup with.
BEGIN_RESTORE = """
SET LOCAL DateStyle = 'ISO'; SET LOCAL TimeZone = 'UTC'; SET LOCAL client_encoding = 'UTF8'"""

# A table's columns in their order.
READ_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""

# The columns of a table that are numbered by a sequence, and its name.
READ_SEQUENCES = """
SELECT a.attname, pg_get_serial_sequence(%(table)s, a.attname) FROM pg_attribute a
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
    AND pg_get_serial_sequence(%(table)s, a.attname) IS NOT NULL"""


def read_table(table: str, columns: Sequence[str]) -> str:
    """Return the statement that sends a table's rows."""
    return f"COPY {table} ({', '.join(columns)}) TO STDOUT"


def write_table(table: str, columns: Sequence[str]) -> str:
    """Return the statement that takes a table's rows."""
    return f"COPY {table} ({', '.join(columns)}) FROM STDIN"


def keep_others_out(tables: Sequence[str]) -> str:
    """Return the statement after which nobody else writes to the tables; reading them goes on."""
    return f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE"


def find_rows(tables: Sequence[str]) -> str:
    """Return the statement that tells whether any of the tables has a row."""
    return "SELECT " + " OR ".join(f"EXISTS (SELECT FROM {table})" for table in tables)


def go_on_counting(table: str, column: str, sequence: str) -> str:
    """Return the statement after which new rows get numbers above all that were restored."""
    return f"SELECT setval('{sequence}', coalesce(max({column}), 1), max({column}) IS NOT NULL) FROM {table}"
