"""Optuna's tables, created by Optuna itself, and the fast storage's functions beside them."""

from __future__ import annotations

import time

import psycopg2
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from studies.storage import functions, sql
from studies.storage.connections import Connections

# The schema this code is written against; every Optuna 5 so far has it. A test compares it with Optuna's own.
SCHEMA_VERSION = "v3.2.0.a"

_ATTEMPTS = 5


def ensure_tables(connections: Connections) -> None:
    """Create what is not there; RuntimeError when the tables belong to another version of Optuna."""
    there = connections.run(sql.HAS_TABLES, {}, wait_s=0) == [(True,)]
    if there and connections.run(sql.READ_SCHEMA_VERSION, {}) == [(SCHEMA_VERSION,)] and _has_functions(connections):
        return
    # PostgreSQL's CREATE ... IF NOT EXISTS fails when two run at once. The ledger takes the same lock.
    with connections.may_create(), connections.alone("ledger") as cursor:
        _create_tables(connections)
        if not _has_functions(connections):
            cursor.execute(functions.DEFINITIONS)


def _has_functions(connections: Connections) -> bool:
    return connections.run(sql.HAS_FUNCTIONS, {"name": functions.LAST_FUNCTION}) == [(True,)]


def _create_tables(connections: Connections) -> None:
    """Let RDBStorage do it, more than once if an RDBStorage elsewhere, which takes no lock, does it too."""
    import sqlalchemy

    for attempt in range(_ATTEMPTS):
        try:
            storage = RDBStorage(
                "postgresql+psycopg2://",
                engine_kwargs={"creator": connections.connect, "poolclass": sqlalchemy.pool.NullPool},
            )
        except (sqlalchemy.exc.SQLAlchemyError, psycopg2.Error, StorageInternalError):
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.2)
        else:
            storage.remove_session()
            storage.engine.dispose()
            return
