"""A whole storage as one file, and back: `studies storage backup FILE` and `restore FILE`.

The file is a ZIP archive: `backup.json` says what it is, and each table is one entry in the text form of PostgreSQL's
COPY. A ZIP's directory is at its end and each entry has a checksum, so half a file is never taken for a whole one.

Not `pg_dump`: it refuses a server that is newer than itself, and the wheel's speaks no TLS. Nothing here depends on the
server's version or on who owns what in it.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from studies.errors import BackupRefused, RoleMayNot, StorageNotEmpty, WrongInput
from studies.files import is_special, unique
from studies.settings import masked
from studies.storage import sql_backup
from studies.storage.connections import Connections
from studies.storage.tables import SCHEMA_VERSION
from studies.words import one_line

KIND = "studies-backup-1"
CONTENTS = "backup.json"

# The ledger's, whose rows name studies and trials by id.
LEDGER_TABLES = ("studies.workers", "studies.control")
# What every database has rows in from its first moment; Optuna writes them itself.
VERSION_TABLES = ("version_info", "alembic_version")
# Large, and of use only while their trials run.
LEFT_OUT_TABLES = ("studies.checkpoints",)


@dataclass(frozen=True)
class Contents:
    """What `backup.json` says: the kind of the file, the version of Optuna's tables, and each table's columns."""

    kind: str
    schema: str
    tables: dict[str, list[str]]


def backup(connections: Connections, path: Path) -> int:
    """Write everything in the storage to a file, whole or not at all; return how many bytes it has.

    Work on the storage goes on: the file has what was committed when it began. Raises WrongInput for a file
    that cannot be written.
    """
    if is_special(path):
        raise WrongInput(reason=f"Cannot write {path}: it is no file; choose another, such as studies.backup.")
    path = path.resolve()
    partial = unique(path)
    try:
        with partial.open("wb") as file:
            os.chmod(partial, 0o600)  # noqa: PTH101 - before there is anything in it
            with transaction(connections, sql_backup.BEGIN_BACKUP) as cursor:
                _write(cursor, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file.") from None
    finally:
        partial.unlink(missing_ok=True)
    return path.stat().st_size


def _write(cursor: psycopg2.extensions.cursor, file: Any) -> None:
    tables = {table: columns_of(cursor, table) for table in _tables()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr(CONTENTS, json.dumps(asdict(Contents(KIND, SCHEMA_VERSION, tables)), indent=1))
        for table, columns in tables.items():
            with archive.open(table, "w", force_zip64=True) as entry:
                cursor.copy_expert(sql_backup.read_table(table, columns), entry)


def restore(connections: Connections, path: Path) -> None:
    """Put a backup into a storage that has no study, all of it or nothing.

    The storage must have its tables, as any storage that was opened has.
    Raises BackupRefused for a file that is no whole backup, StorageNotEmpty.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (broken := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"Bad checksum of {broken!r}")
            _fill(connections, archive, _checked(archive, path), path)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise BackupRefused(path=path, reason=f"it is not whole ({one_line(str(error))})") from None
    except OSError as error:
        raise BackupRefused(path=path, reason=(error.strerror or str(error)).lower()) from None


def _checked(archive: zipfile.ZipFile, path: Path) -> Mapping[str, Sequence[str]]:
    """Return the tables and columns in a backup. Raises BackupRefused for one that this release cannot read."""
    try:
        contents = Contents(**json.loads(archive.read(CONTENTS)))
    except (KeyError, TypeError, ValueError):
        raise BackupRefused(path=path, reason="it is another kind of ZIP file") from None
    if contents.kind != KIND:
        raise BackupRefused(path=path, reason=f"it is of the kind {contents.kind!r}, expected {KIND!r}")
    if contents.schema != SCHEMA_VERSION:
        reason = f"its tables are those of Optuna's schema {contents.schema}, expected {SCHEMA_VERSION}"
        raise BackupRefused(path=path, reason=reason)
    if set(contents.tables) != set(_tables()):
        raise BackupRefused(path=path, reason="it has other tables than this release of studies")
    return contents.tables


def _fill(connections: Connections, archive: zipfile.ZipFile, tables: Mapping[str, Sequence[str]], path: Path) -> None:
    with transaction(connections, sql_backup.BEGIN_RESTORE) as cursor:
        cursor.execute(sql_backup.keep_others_out(_tables()))
        cursor.execute(sql_backup.find_rows(_tables()))
        if cursor.fetchone() != (False,):
            raise StorageNotEmpty(url=masked(connections.url))
        for table in _tables():  # a row comes after what it points to
            if unknown := set(tables[table]) - set(columns_of(cursor, table)):
                reason = f"its table {table} has columns that are unknown here: {', '.join(sorted(unknown))}"
                raise BackupRefused(path=path, reason=reason)
            with archive.open(table) as entry:
                cursor.copy_expert(sql_backup.write_table(table, tables[table]), entry)
            cursor.execute(sql_backup.READ_SEQUENCES, {"table": table})
            for column, sequence in cursor.fetchall():
                cursor.execute(sql_backup.go_on_counting(table, column, sequence))
        cursor.connection.commit()


def _tables() -> list[str]:
    return [*optuna_tables(), *LEDGER_TABLES]


def optuna_tables() -> list[str]:
    """Return the names of Optuna's tables, one that others point to before them."""
    from optuna.storages._rdb.models import BaseModel

    return [table.name for table in BaseModel.metadata.sorted_tables if table.name not in VERSION_TABLES]


def columns_of(cursor: psycopg2.extensions.cursor, table: str) -> list[str]:
    """Return a table's columns in their order."""
    cursor.execute(sql_backup.READ_COLUMNS, {"table": table})
    return [name for (name,) in cursor.fetchall()]


@contextmanager
def transaction(connections: Connections, begin: str) -> Iterator[psycopg2.extensions.cursor]:
    """Yield a cursor in a transaction that ends with its connection: undone, unless it was committed."""
    try:
        with closing(connections.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(begin)
            yield cursor
    except psycopg2.errors.InsufficientPrivilege as error:
        raise RoleMayNot(url=masked(connections.url), reason=str(error).strip().splitlines()[0]) from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise connections.unreachable(error) from error
