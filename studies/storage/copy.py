"""The rows of a study in another storage: all of them or none, exact to the last bit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg2
import psycopg2.extensions

from studies.errors import StudyIsThere
from studies.names import ARTIFACT, UID
from studies.settings import masked
from studies.storage import sql_backup, sql_copy
from studies.storage.backup import LEDGER_TABLES, columns_of, optuna_tables, transaction
from studies.storage.connections import Connections

IN_MEMORY_BYTES = 2**24
LEFT_OUT_TABLES = ("studies", "trial_heartbeats")  # the first has a row already
TABLES = (*LEDGER_TABLES, "studies.checkpoints")


@dataclass(frozen=True)
class Copy:
    """A study to copy. uid: what the copy has in place of its own. artifacts: their names in the copy, by their own."""

    name: str
    uid: str
    artifacts: Mapping[str, str]


def copy_rows(source: Connections, target: Connections, copies: Sequence[Copy]) -> None:
    """Copy studies as they are now, all or none. Raises StudyIsThere, RoleMayNot, StorageUnreachable."""
    with transaction(source, sql_backup.BEGIN_BACKUP) as there, transaction(target, sql_backup.BEGIN_RESTORE) as here:
        for copy in copies:
            there.execute(sql_copy.FIND_STUDY, {"name": copy.name})
            [(was,)] = there.fetchall()
            here.execute(sql_copy.CREATE_STUDY, {"name": copy.name})
            if (created := here.fetchone()) is None:
                raise StudyIsThere(name=copy.name, url=masked(target.url))
            for table in (*optuna_tables(), *TABLES):
                if table not in LEFT_OUT_TABLES:
                    _copy_table(there, here, table, was, created[0])
            _rename(here, created[0], copy)
        try:
            here.connection.commit()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            given = {"key": UID, "values": [json.dumps(copy.uid) for copy in copies]}
            if not target.run(sql_copy.FIND_COPIES, given):
                raise


def _rename(here: psycopg2.extensions.cursor, study: int, copy: Copy) -> None:
    here.execute(sql_copy.DROP_MATCHED)
    here.execute(sql_copy.END_WORKERS, {"study": study})
    here.execute(sql_copy.SET_ATTRIBUTE, {"study": study, "key": UID, "value": json.dumps(copy.uid)})
    for was, now in copy.artifacts.items():
        given = {"study": study, "was": was, "now": now, "old_key": ARTIFACT + was, "key": ARTIFACT + now}
        here.execute(sql_copy.RENAME_STUDYS_ARTIFACT, given)
        here.execute(sql_copy.RENAME_TRIALS_ARTIFACT, given)


def _copy_table(
    there: psycopg2.extensions.cursor, here: psycopg2.extensions.cursor, table: str, was: int, study: int
) -> None:
    there.execute(sql_backup.READ_SEQUENCES, {"table": table})
    counted = {column for column, _ in there.fetchall()} - {"trial_id"}  # what counts the rows says nothing elsewhere
    columns = [column for column in columns_of(there, table) if column not in counted]
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as rows:
        there.copy_expert(sql_copy.read_rows(table, columns, was), rows)
        rows.seek(0)
        here.execute(sql_copy.receive(table, columns))
        here.copy_expert(sql_copy.TAKE_ROWS, rows)
    here.execute(sql_copy.keep_rows(table, columns), {"study": study})
    if table == "trials":
        here.execute(sql_copy.MATCH_TRIALS, {"study": study})
