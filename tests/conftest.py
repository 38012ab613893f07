"""Real PostgreSQL for every test that needs one: the embedded server, with a database cloned per test."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def reachable_directory() -> Iterator[Path]:
    """A directory that any user may enter: pytest's own is closed to the user a root's PostgreSQL runs as."""
    path = Path(tempfile.mkdtemp(prefix="studies-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def server(reachable_directory: Path) -> Iterator[EmbeddedServer]:
    """One embedded server for the whole session."""
    home = reachable_directory / "home"
    with EmbeddedServer(Settings(None, home, home / "data")) as server:
        yield server


def execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture(scope="session")
def template_database(server: EmbeddedServer) -> str:
    """A database with Optuna's tables in it, to be cloned: creating them costs ten times more than a clone."""
    from optuna.storages import RDBStorage

    execute(server.url, "CREATE DATABASE template_of_tests")
    storage = RDBStorage(server.url.replace("/studies?", "/template_of_tests?"))
    storage.remove_session()
    storage.engine.dispose()
    return "template_of_tests"


@pytest.fixture
def database_url(server: EmbeddedServer, template_database: str) -> Iterator[str]:
    """The URL of a fresh database with Optuna's tables, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    execute(server.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield server.url.replace("/studies?", f"/{name}?")
    execute(server.url, f"DROP DATABASE {name} WITH (FORCE)")
