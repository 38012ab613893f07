"""The embedded server: started by its first user, stopped by its last, and none the worse for being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from studies.errors import EmbeddedServerFailed, OtherPostgres, StorageRefused
from studies.settings import Settings
from studies.storage import checked_url
from studies.storage.connections import Connections
from studies.storage.embedded import EmbeddedServer

from ..conftest import TcpServer
from ..waiting import wait_for

USER = """
import sys
from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer
with EmbeddedServer(Settings.from_environment()) as server:
    print(server.url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def settings(reachable_directory: Path) -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(dir=reachable_directory))
    home.chmod(0o755)
    settings = Settings(None, home, home / "data")
    yield settings
    EmbeddedServer(settings).down()


def user(settings: Settings) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER],
        env=os.environ | {"STUDIES_HOME": str(settings.home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def postmaster(server: EmbeddedServer) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


def test_the_last_user_stops_it(settings: Settings) -> None:
    with EmbeddedServer(settings) as first:
        with EmbeddedServer(settings):
            pass
        assert first.answers()
    assert not first.answers()
    assert first.exists


def test_users_that_start_at_once_share_one_server(settings: Settings) -> None:
    users = [user(settings) for _ in range(4)]
    urls = {process.stdout.readline() for process in users if process.stdout}
    server = EmbeddedServer(settings)
    assert urls == {server.url + "\n"}
    for process in users[:-1]:
        process.communicate("\n")
        assert server.answers()
    users[-1].communicate("\n")
    assert not server.answers()


def test_a_killed_user_counts_as_gone(settings: Settings) -> None:
    with EmbeddedServer(settings) as server:
        other = user(settings)
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
        other.communicate()
    assert not server.answers()


def test_what_was_committed_survives_a_killed_server(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    server.join()
    connection = psycopg2.connect(server.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS number")
    connection.close()
    os.kill(postmaster(server), signal.SIGKILL)
    time.sleep(0.2)
    server.leave()
    with EmbeddedServer(settings) as again:
        connection = psycopg2.connect(again.url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT number FROM kept")
            assert cursor.fetchall() == [(7,)]
        connection.close()


def test_a_server_that_is_being_stopped_is_waited_for_and_started(settings: Settings) -> None:
    with EmbeddedServer(settings) as server, ThreadPoolExecutor(1) as threads:
        with closing(psycopg2.connect(server.url)):  # for which it waits
            os.kill(postmaster(server), signal.SIGTERM)
            wait_for(lambda: not server.answers())
            n_said = server.log.read_text().count("is shutting down")
            revived = threads.submit(server.revive)
            wait_for(lambda: server.log.read_text().count("is shutting down") > n_said + 2)
        revived.result()
        assert server.answers()


def test_the_pid_of_a_killed_server_may_belong_to_another_program(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    server.join()
    (socket_lock,) = server._sockets.glob(".s.PGSQL.*.lock")
    locks = {lock: lock.read_text().splitlines() for lock in (server.data / "postmaster.pid", socket_lock)}
    os.kill(postmaster(server), signal.SIGKILL)
    time.sleep(0.5)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        for lock, lines in locks.items():
            lock.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        server.revive()
        assert server.answers()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        server.leave()


def test_it_stays_when_asked(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    server.keep()
    assert server.answers()
    with EmbeddedServer(settings):
        assert not EmbeddedServer(settings).down()
    assert server.answers() is False  # `down` took the wish back; the last user stopped it


def test_a_server_that_cannot_start_says_why_and_leaves_no_user(settings: Settings) -> None:
    with EmbeddedServer(settings) as server:
        pass
    (server.data / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerFailed, match=r"FATAL|no_such_setting"):
        server.join()
    assert not server.in_use()


def test_data_of_another_postgresql_say_how_to_bring_them_over(settings: Settings) -> None:
    server = EmbeddedServer(settings)
    with server:
        pass
    version = server.data / "PG_VERSION"
    brought = version.read_text().strip()
    version.write_text("9\n")
    with pytest.raises(OtherPostgres, match=rf"written by PostgreSQL 9, and this installation brings {brought}, which"):
        server.join()
    assert not server.in_use()


def test_only_its_owner_can_reach_it(settings: Settings) -> None:
    with EmbeddedServer(settings) as server:
        assert server.data.stat().st_mode & 0o077 == 0
        assert "127.0.0.1" not in server.url
        sockets = Path(server.url.partition("host=")[2].partition("&")[0])
        assert sockets.stat().st_mode & 0o077 == 0


def test_long_and_odd_paths(reachable_directory: Path) -> None:
    home = Path(tempfile.mkdtemp(dir=reachable_directory)) / ("long " * 20 + "$HOME 'quoted' \"twice\" `id` ü")
    home.parent.chmod(0o755)
    settings = Settings(None, home, home / "data")
    with EmbeddedServer(settings) as server:
        assert server.answers()
    assert EmbeddedServer(settings).exists


ELSEWHERE = {
    "PGHOST": "nowhere.invalid", "PGPORT": "5555", "PGUSER": "somebody", "PGDATABASE": "other", "PGOPTIONS": "--wrong",
    "PGSERVICE": "none", "PGSSLMODE": "verify-full", "PGPASSFILE": "/none", "PGDATESTYLE": "wrong", "PGTZ": "wrong",
}  # fmt: skip


def test_variables_for_another_server_change_nothing(settings: Settings) -> None:
    environment = os.environ | ELSEWHERE | {"STUDIES_HOME": str(settings.home)}
    command = [sys.executable, "-m", "studies"]
    up = subprocess.run([*command, "storage", "up"], env=environment, capture_output=True, text=True)
    assert (up.returncode, up.stderr) == (0, "")
    assert up.stdout == EmbeddedServer(settings).url + "\n"
    listed = subprocess.run([*command, "list"], env=environment, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert EmbeddedServer(settings).down()


def test_they_stay_in_the_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedServer(settings) as server:
        monkeypatch.setenv("PGOPTIONS", "-c application_name=variable")
        ours, theirs = (Connections(server.url, 1, environment=environment).connect() for environment in (False, True))
        assert not ours.info.dsn_parameters.get("options")
        assert theirs.info.dsn_parameters["options"] == "-c application_name=variable"
        assert os.environ["PGOPTIONS"] == "-c application_name=variable"
        ours.close()
        theirs.close()


def test_a_url_is_completed_by_libpqs_variables(
    tcp_server: TcpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = tcp_server.team_url().replace(tcp_server.team_url().partition("team")[2].partition("@")[0], "", 1)
    assert url.startswith("postgresql://team@127.0.0.1:")
    with pytest.raises(StorageRefused, match="no password supplied"):
        checked_url(url)
    monkeypatch.setenv("PGPASSWORD", tcp_server.PASSWORD)
    Connections(checked_url(url), 1).connect().close()
    monkeypatch.delenv("PGPASSWORD")
    passwords = tmp_path / "passwords"
    passwords.write_text(f"127.0.0.1:{tcp_server.port}:*:team:{tcp_server.PASSWORD}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    Connections(checked_url(url), 1).connect().close()
    monkeypatch.setenv("PGSSLROOTCERT", "/none")
    connection = Connections(checked_url(url), 1).connect()
    assert connection.info.dsn_parameters["sslrootcert"] == "/none"
    connection.close()


class Deaf(EmbeddedServer):
    """A server that listens where nobody asks."""

    server_settings = EmbeddedServer.server_settings | {"port": "5499"}  # type: ignore[operator]


def test_a_server_that_starts_and_does_not_answer_is_stopped(settings: Settings) -> None:
    server = Deaf(settings)
    with pytest.raises(EmbeddedServerFailed, match="No such file"):
        server.join()
    assert server.exists
    assert not (server.data / "postmaster.pid").exists()
    assert not server.in_use()


def test_a_long_home_has_its_socket_where_any_tmpdir_finds_it(
    reachable_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(tempfile.mkdtemp(dir=reachable_directory)) / ("long" * 30)
    home.parent.chmod(0o755)
    home.mkdir(mode=0o755)
    settings = Settings(None, home, home / "data")
    with EmbeddedServer(settings) as server:
        monkeypatch.setattr(tempfile, "tempdir", str(home))
        assert EmbeddedServer(settings).url == server.url
        assert EmbeddedServer(settings).answers()
