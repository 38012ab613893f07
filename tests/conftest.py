"""Real PostgreSQL for every test that needs one: the embedded server, with a database cloned per test."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import hypothesis
import psycopg2
import pytest

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

from .waiting import wait_for

# How long an example takes says more about the machine's neighbours than about the code.
UNTIMED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=UNTIMED)
hypothesis.settings.load_profile("untimed")

# A shell starts what ends in `&` deaf to Ctrl-C, and so would be the commands that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped, unless it needs a GPU: nobody would notice that it is not tested any more."""
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for what skips a whole module while it is imported."""
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    # An expected failure counts as skipped, too, and has no place.
    if report.skipped and isinstance(report.longrepr, tuple) and "GPU" not in report.longrepr[2]:
        report.outcome, report.longrepr = "failed", f"{report.longrepr[2]}; only what needs a GPU may be skipped"
    return report


def pytest_runtest_setup() -> None:
    """Train on one thread what trains in a test: on a busy machine, threads of tiny nets wait for each other."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def server_files(reachable_directory: Path) -> Path:
    """The data directory of an embedded server that was started once, and never used."""
    home = reachable_directory / "unused"
    with EmbeddedServer(Settings(None, home, home / "data")) as server:
        return server.data


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a free TCP port of this machine that the system gives to nobody else.

    It is bound to, and nobody listens: a program that binds to it by number and sets SO_REUSEADDR, as servers do, may.
    """
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield holding.getsockname()[1]


class TcpServer(EmbeddedServer):
    """A PostgreSQL server on a TCP port of this machine, as a team has one, which wants a password for user `team`."""

    PASSWORD = "s3cret/&p@ss"

    def __init__(self, settings: Settings, port: int) -> None:
        super().__init__(settings)
        self.port = port
        self.server_settings = {"listen_addresses": "127.0.0.1", "port": str(self.port)}

    def team_url(self, password: str = PASSWORD, database: str = "studies") -> str:
        return f"postgresql://team:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def join(self) -> None:
        super().join()
        execute(self.url, f"CREATE ROLE team LOGIN SUPERUSER PASSWORD '{self.PASSWORD}'")
        (self.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        execute(self.url, "SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def tcp_server(reachable_directory: Path) -> Iterator[TcpServer]:
    """One TCP server for the whole session."""
    home = reachable_directory / "tcp"
    with reserved_port() as port, TcpServer(Settings(None, home, home / "data"), port) as server:
        yield server


def execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def rows_of(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a statement returns."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def let_a_lease_pass(url: str, worker: str = "true") -> None:
    """As if workers had been silent for long, and nobody else. worker: which, as a condition on `studies.workers`.

    A lease so short that a test can wait for it ends for others, too, where the machine is busy.
    """
    execute(url, f"UPDATE studies.workers SET heartbeat_at = heartbeat_at - interval '1 day' WHERE {worker}")


@pytest.fixture(scope="session")
def template_database(server: EmbeddedServer) -> str:
    """A database with Optuna's tables in it, to be cloned: creating them costs ten times more than a clone."""
    from optuna.storages import RDBStorage

    execute(server.url, "CREATE DATABASE template_of_tests")
    storage = RDBStorage(server.url.replace("/studies?", "/template_of_tests?"))
    storage.remove_session()
    storage.engine.dispose()
    return "template_of_tests"


def _fresh_database(server: EmbeddedServer, template_database: str) -> Iterator[str]:
    """The URL of a fresh database with Optuna's tables, dropped after the test."""
    with fresh_database(server, template_database) as url:
        yield url


@contextmanager
def fresh_database(server: EmbeddedServer, template_database: str) -> Iterator[str]:
    """Create a database from a template, yield its URL, and drop it."""
    name = f"test_{uuid.uuid4().hex}"
    execute(server.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield server.url.replace("/studies?", f"/{name}?")
    execute(server.url, f"DROP DATABASE {name} WITH (FORCE)")


database_url = pytest.fixture(_fresh_database, name="database_url")
other_url = pytest.fixture(_fresh_database, name="other_url")  # for a test that needs two


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """An S3 server in a process of its own; what boto3 needs in its environment to reach it."""
    with reserved_port() as port:
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers() -> bool:
            assert server.poll() is None, "the S3 server did not start"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_for(answers)
            yield {
                "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "somebody",
                "AWS_SECRET_ACCESS_KEY": "t0p-secret",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a fresh bucket, with what reaches it in the environment."""
    import boto3

    for key, value in s3.items():
        monkeypatch.setenv(key, value)
    name = f"studies-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return name
