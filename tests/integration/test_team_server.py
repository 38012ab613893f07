"""A team's server: TLS that is verified, roles that hold, what survives a kill and what is made anew."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import optuna
import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest
from cryptography import x509

from studies.errors import (
    CannotListen,
    CertificateRefused,
    ClockBehind,
    LetInNoMore,
    NotSetUp,
    RoleMayNot,
    StorageRefused,
    WrongInput,
)
from studies.settings import Settings
from studies.storage import checked_url, functions, open_storage
from studies.storage.accounts import Accounts, Role
from studies.storage.connections import Connections
from studies.storage.copy import Copy, copy_rows
from studies.storage.team import front
from studies.storage.team.certificates import Certificates
from studies.storage.team.passwords import ROLES, passwords
from studies.storage.team.place import Address, Place, names_of
from studies.storage.team.serve import Where, serve
from studies.storage.team.server import TeamServer
from studies.web.serve import Where as Elsewhere
from studies.web.serve import serve as serve_dashboard

from ..conftest import rows_of
from ..served import Served
from ..waiting import PATIENCE_S, hear, wait_for


@pytest.fixture(scope="module")
def home(reachable_directory: Path) -> Path:
    path = Path(tempfile.mkdtemp(dir=reachable_directory))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    served = Served(home)
    yield served
    served.end()
    assert served.process.returncode == 0


def run(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def settings(url: str, path: Path) -> Settings:
    return Settings(url, path, path, storage_wait_s=5)


# --- TLS --------------------------------------------------------------------------------------------------------------


def test_the_connection_is_encrypted_and_the_certificate_verified(served: Served, tmp_path: Path) -> None:
    with closing(psycopg2.connect(served.url("worker"))) as connection:
        assert connection.info.ssl_in_use
        assert connection.info.ssl_attribute("protocol") in ("TLSv1.2", "TLSv1.3")
        assert "sslmode=verify-full" in served.url("worker")
    Certificates(tmp_path).ensure(["127.0.0.1"])
    other = served.url("worker").replace(str(served.place.root), str(tmp_path / "root.crt"))
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        psycopg2.connect(other)
    with pytest.raises(CertificateRefused, match=r"unable to get local issuer.*copy root.crt again"):
        checked_url(other)


def test_a_name_that_the_certificate_lacks_is_refused_with_what_to_type(served: Served) -> None:
    url = served.url("worker").replace("127.0.0.1", "127.0.0.2").replace("sslmode", "hostaddr=127.0.0.1&sslmode")
    with pytest.raises(CertificateRefused, match=r"does not match host name.*`studies storage serve --name 127.0.0.2`"):
        checked_url(url)
    for name in ("localhost", socket.gethostname()):
        named = served.url("worker").replace("@127.0.0.1", f"@{name}").replace("sslmode", "hostaddr=127.0.0.1&sslmode")
        checked_url(named)


def test_a_certificate_that_was_not_copied_says_what_to_copy(served: Served, tmp_path: Path) -> None:
    (half := tmp_path / "half.crt").write_bytes(served.place.root.read_bytes()[:200])
    with pytest.raises(CertificateRefused, match=r"could not read.*the file is broken, or not yours to read: copy"):
        checked_url(served.url("worker").replace(str(served.place.root), str(half)))
    with pytest.raises(CertificateRefused, match=r"does not exist\); copy the server's root.crt to that path"):
        checked_url(served.url("worker").replace(str(served.place.root), "/none/root.crt"))


def test_without_tls_nothing_is_said_but_that(served: Served) -> None:
    plain = served.url("worker").replace("verify-full", "disable")
    with pytest.raises(psycopg2.OperationalError, match="takes TLS connections only; add sslmode=verify-full"):
        psycopg2.connect(plain)
    with pytest.raises(StorageRefused, match="TLS connections only"):
        checked_url(plain)


def test_what_is_no_postgresql_leaves_the_server_as_it_was(served: Served) -> None:
    address = ("127.0.0.1", served.place.address().port)
    for message in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 8,
        b"\xff" * 20_000,
        front.BEGINNING.pack(8, front.TLS) * 2,
        b"x",
    ):
        # It may hang up before all is said.
        with socket.create_connection(address, PATIENCE_S) as client, suppress(OSError):
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    checked_url(served.url("worker"))


def test_gss_is_declined_before_tls(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.place.address().port), PATIENCE_S) as client:
        client.sendall(front.BEGINNING.pack(8, front.GSS))
        assert client.recv(1) == b"N"
        client.sendall(front.BEGINNING.pack(8, front.TLS))
        assert client.recv(1) == b"S"
        context = ssl.create_default_context(cafile=str(served.place.root))
        with context.wrap_socket(client, server_hostname="localhost") as encrypted:
            assert encrypted.version() in ("TLSv1.2", "TLSv1.3")


def test_a_statement_can_be_cancelled(served: Served) -> None:
    with closing(psycopg2.connect(served.url("viewer"))) as connection:
        cursor = connection.cursor()
        over = threading.Event()

        def cancel() -> None:
            while not over.wait(0.2):  # before the statement has begun, there is nothing to cancel
                connection.cancel()

        cancelling = threading.Thread(target=cancel)
        cancelling.start()
        with pytest.raises(psycopg2.errors.QueryCanceled):
            cursor.execute("SELECT pg_sleep(60)")
        over.set()
        cancelling.join()


def test_large_answers_and_many_connections_pass(served: Served) -> None:
    with closing(psycopg2.connect(served.url("viewer"))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT repeat('x', 20000000)")
        assert cursor.fetchone() == ("x" * 20_000_000,)
    many = [psycopg2.connect(served.url("viewer")) for _ in range(100)]
    for connection in many:
        connection.cursor().execute("SELECT 1")
        connection.close()


# --- certificates -----------------------------------------------------------------------------------------------------


def ends(file: Path) -> datetime:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


def test_a_certificate_is_renewed_a_month_before_its_end_and_the_root_stays(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    now = datetime.now(UTC)
    assert made.ensure(["localhost"], now)
    root = made.root.read_bytes()
    assert not made.ensure(["localhost"], now + timedelta(days=334))
    assert made.ensure(["localhost"], now + timedelta(days=336))
    assert ends(made.server) > now + timedelta(days=700)
    assert made.ensure(["localhost", "gpu1", "10.0.0.7"], now + timedelta(days=336))
    assert not made.ensure(["gpu1"], now + timedelta(days=336))
    assert made.root.read_bytes() == root
    assert made.ensure(["gpu1"], now + timedelta(days=3640))
    assert made.root.read_bytes() != root
    root = made.root.read_bytes()
    with pytest.raises(ClockBehind, match="set the clock"):
        made.ensure(["gpu1"], now)
    assert made.root.read_bytes() == root
    assert (tmp_path / "root.pem").stat().st_mode & 0o077 == 0
    assert made.server.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in root


@pytest.mark.parametrize(
    ("days", "said"), [(-400, "certificate has expired.*renews it"), (2, "not yet valid.*set this machine's clock")]
)
def test_an_expired_certificate_and_a_wrong_clock_are_told_apart(tmp_path: Path, days: int, said: str) -> None:
    """The root lasts, the server's certificate does not: what a client meets whose clock, or whose server, is off."""
    made = Certificates(tmp_path)
    now = datetime.now(UTC)
    made.ensure(["127.0.0.1"], now - timedelta(days=500))
    made.ensure(["127.0.0.1"], now + timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    listeners = front.listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    url = f"postgresql://worker:x@127.0.0.1:{port}/studies?sslmode=verify-full&sslrootcert={quote(str(made.root))}"

    async def meet() -> None:
        task = asyncio.create_task(front.Front(listeners, tmp_path / "none", context).serve())
        with pytest.raises(CertificateRefused, match=said):
            await asyncio.to_thread(checked_url, url)
        task.cancel()

    asyncio.run(meet())
    for listener in listeners:
        listener.close()


def test_a_certificate_is_for_every_address_when_it_listens_everywhere() -> None:
    names = names_of("0.0.0.0", ["gpu1.lab.example"])
    assert {"gpu1.lab.example", "localhost", "127.0.0.1", "::1", socket.gethostname()} <= set(names)
    assert "0.0.0.0" not in names
    assert names[0] == "gpu1.lab.example"


# --- roles ------------------------------------------------------------------------------------------------------------


def test_passwords_are_kept_for_their_owner_alone_and_no_log_has_them(served: Served) -> None:
    directory = served.place.directory
    secrets = passwords(directory / "passwords.json")
    assert set(secrets) == set(ROLES)
    assert all(len(password) >= 32 for password in secrets.values())
    assert len(set(secrets.values())) == 3
    for file in directory.iterdir():
        if file.is_file() and any(secret.encode() in file.read_bytes() for secret in secrets.values()):
            assert file.stat().st_mode & 0o077 == 0, file
            assert file.name in {"passwords.json", "owner.url", "worker.url", "viewer.url"}
    arguments = Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
    assert not any(secret.encode() in arguments for secret in secrets.values())


def test_a_wrong_password_is_refused_and_so_is_every_other_user(served: Served) -> None:
    secrets = passwords(served.place.directory / "passwords.json")
    with pytest.raises(StorageRefused, match="password authentication failed"):
        checked_url(served.url("worker").replace(secrets["worker"], secrets["viewer"]))
    for other in (":@", "studies:@", "postgres:x@", "nobody:x@"):
        with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry"):
            psycopg2.connect(re.sub(r"worker:.*@", other, served.url("worker")))


REFUSED = "permission denied|must be owner|cannot drop the currently open database"
WRITES = [
    "INSERT INTO studies (study_name) VALUES ('mine')",
    "UPDATE trials SET state = 'FAIL'",
    "DELETE FROM studies",
    "CREATE TABLE mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE TABLE studies.mine (x int)",
    "SELECT nextval('trials_trial_id_seq')",
    "INSERT INTO studies.control (study_id, n_trials) VALUES (1, 1)",
    "UPDATE studies.workers SET ended_at = now()",
]
DROPS = [
    "DROP TABLE trials",
    "DROP TABLE studies.workers",
    "TRUNCATE trials CASCADE",
    "DELETE FROM studies",
    "DELETE FROM trials",
    "DROP SCHEMA studies CASCADE",
    "DROP SCHEMA public CASCADE",
    "DROP DATABASE postgres",
    "DROP DATABASE studies",
    "DROP ROLE viewer",
    "ALTER ROLE owner PASSWORD 'x'",
    "CREATE ROLE another LOGIN",
    "GRANT owner TO worker",
    "SET ROLE owner",
    "ALTER TABLE trials ADD COLUMN x int",
    "CREATE FUNCTION studies.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION studies.report_{version}(_trial_id int, _step int, _value float8, "
    "_type trialintermediatevaluetype) RETURNS bool LANGUAGE sql AS 'SELECT true'",
    "CREATE DATABASE another",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_read_file('pg_hba.conf')",
    "COPY trials TO PROGRAM 'true'",
    "UPDATE alembic_version SET version_num = 'x'",
    "ALTER SYSTEM SET jit = on",
]


@pytest.mark.parametrize("statement", [*WRITES, *DROPS])
def test_a_viewer_writes_nothing(served: Served, statement: str) -> None:
    with pytest.raises(psycopg2.Error, match=REFUSED):
        run(served.url("viewer"), statement.format(version=functions.VERSION))


@pytest.mark.parametrize("statement", DROPS)
def test_a_worker_drops_nothing_and_makes_no_function(served: Served, statement: str) -> None:
    with pytest.raises(psycopg2.Error, match=REFUSED):
        run(served.url("worker"), statement.format(version=functions.VERSION))


def test_a_worker_does_what_a_storage_can_and_a_viewer_reads_it(served: Served, tmp_path: Path) -> None:
    with open_storage(settings(served.url("worker"), tmp_path)) as storage:
        study = optuna.create_study(storage=storage.optuna, study_name="ours", pruner=optuna.pruners.HyperbandPruner())

        def objective(trial: optuna.Trial) -> float:
            x = trial.suggest_float("x", -1, 1)
            for step in range(5):
                trial.report(x * x + step, step)
                if trial.should_prune():
                    raise optuna.TrialPruned
            return x * x

        study.optimize(objective, n_trials=5)
        study.enqueue_trial({"x": 0.5})
        storage.ledger.open_study(study._study_id, 10)
        worker_id = storage.ledger.enter(study._study_id, "cpu")
        storage.ledger.heartbeat(worker_id)
        storage.ledger.annotate(study._study_id, {0: {"verdict": "fine"}})
        storage.optuna.delete_trial_system_attr(1, "nothing")
        storage.optuna.delete_study_system_attrs(study._study_id, ["nothing"])
        with pytest.raises(RoleMayNot, match=r"permission denied.*`studies storage serve --show` prints all three"):
            storage.optuna.delete_study(study._study_id)
    with open_storage(settings(served.url("viewer"), tmp_path)) as storage:
        seen = optuna.load_study(storage=storage.optuna, study_name="ours")
        assert len(seen.get_trials()) == 6
        assert storage.ledger.budget(seen._study_id).n_trials == 10
        with pytest.raises(RoleMayNot, match="permission denied"):
            seen.set_user_attr("mine", 1)
    with open_storage(settings(served.url("owner"), tmp_path)) as storage:
        optuna.delete_study(storage=storage.optuna, study_name="ours")


def test_a_worker_copies_a_study_in(served: Served, database_url: str, tmp_path: Path) -> None:
    with (
        open_storage(settings(database_url, tmp_path)) as source,
        open_storage(settings(served.url("worker"), tmp_path)) as target,
    ):
        study = optuna.create_study(storage=source.optuna, study_name="brought")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        copy_rows(source.connections(), target.connections(), [Copy("brought", "uid", {})])
        assert optuna.load_study(storage=target.optuna, study_name="brought").best_value == study.best_value


def test_who_the_dashboards_users_are_is_for_the_owner(served: Served, tmp_path: Path) -> None:
    """Whoever may not read them is told that, and not that there is none."""
    says = "users are for the owner to see"
    for is_there in (False, True):
        for role in ("viewer", "worker"):
            with open_storage(settings(served.url(role), tmp_path)) as storage, closing(Accounts(storage)) as accounts:
                assert not accounts.exist()  # a dashboard for this machine alone asks nobody
                with pytest.raises(RoleMayNot, match=says):
                    accounts.set_user("mallory", Role.EDITOR, "a hash")
                if is_there:
                    for ask in (accounts.users, partial(accounts.audit, 1), partial(accounts.remove_user, "vera")):
                        with pytest.raises(RoleMayNot, match=says):
                            ask()
                    with pytest.raises(RoleMayNot, match=says):
                        serve_dashboard(storage, settings(served.url(role), tmp_path), Elsewhere("0.0.0.0", 0), print)
        with open_storage(settings(served.url("owner"), tmp_path)) as storage, closing(Accounts(storage)) as accounts:
            accounts.set_user("vera", Role.VIEWER, "a hash")
            assert [user.name for user in accounts.users()] == ["vera"]


def test_plain_optuna_takes_the_url(served: Served) -> None:
    url = served.place.url_file("worker").read_text().strip()
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name="plain")
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=3)
    storage.remove_session()
    storage.engine.dispose()
    viewer = optuna.storages.RDBStorage(served.url("viewer"))
    assert len(optuna.load_study(storage=viewer, study_name="plain").trials) == 3
    viewer.remove_session()
    viewer.engine.dispose()


def test_a_newer_release_asks_for_the_owner_once(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = functions.DEFINITIONS.replace(functions.VERSION, "0newer00")
    monkeypatch.setattr(functions, "DEFINITIONS", newer)
    monkeypatch.setattr(functions, "LAST_FUNCTION", "studies.write_trial_0newer00")
    for role in ("worker", "viewer"):
        with pytest.raises(NotSetUp, match=f"its user '{role}' may not add what this one needs"):
            open_storage(settings(served.url(role), tmp_path))
    open_storage(settings(served.url("owner"), tmp_path)).close()
    open_storage(settings(served.url("worker"), tmp_path)).close()


# --- starting, stopping, dying ----------------------------------------------------------------------------------------


@pytest.fixture
def own(reachable_directory: Path) -> Iterator[Served]:
    """A server that a test may hurt."""
    path = Path(tempfile.mkdtemp(dir=reachable_directory))
    path.chmod(0o755)
    served = Served(path)
    yield served
    if served.process.poll() is None:
        served.end()


def studies(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "studies", "storage", *arguments],
        env=os.environ | {"STUDIES_HOME": str(served.home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_second_serve_says_that_it_runs_and_where(served: Served) -> None:
    second = studies(served, "serve", "--port", "0")
    address = served.place.address()
    assert second.returncode == 2
    assert f"runs already, at 127.0.0.1:{address.port} (process {served.process.pid})" in second.stderr


def test_a_taken_port_and_an_address_that_is_not_ours(served: Served, tmp_path: Path) -> None:
    port = str(served.place.address().port)
    taken = studies(served, "serve", "--directory", str(tmp_path / "other"), "--port", port)
    assert taken.returncode == 2
    assert f"choose one with --port, such as --port {int(port) + 1}" in taken.stderr
    for host, port_, said in (("192.0.2.1", 0, "0.0.0.0 for all"), ("127.0.0.1", 70000, "1 to 65535")):
        with pytest.raises(CannotListen, match=said):
            serve(Settings(None, tmp_path, tmp_path), tmp_path, Where(host, port_), print, print)


def test_the_lines_to_paste_are_complete(served: Served, tmp_path: Path) -> None:
    shown = studies(served, "serve", "--show").stdout
    for role in ROLES:
        assert f'export STUDIES_STORAGE="{served.url(role)}"' in shown
    place = Place(tmp_path)
    place.announce(Address("gpu1.lab", 5432, 1))
    lines = place.lines()
    assert f"scp gpu1.lab:{tmp_path}/root.crt ~/studies-gpu1.lab.crt" in lines
    shutil.copy(served.place.root, tmp_path / "studies-gpu1.lab.crt")
    pasted = next(line for line in lines.splitlines() if "worker:" in line and line.startswith("export"))
    done = subprocess.run(
        ["sh", "-c", f"{pasted}; echo $STUDIES_STORAGE"],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    given = psycopg2.extensions.parse_dsn(done.stdout.strip())
    assert given["sslrootcert"] == str(tmp_path / "studies-gpu1.lab.crt")
    assert (given["host"], given["user"], given["sslmode"]) == ("gpu1.lab", "worker", "verify-full")


def test_killed_and_stopped_and_started_it_keeps_everything(own: Served) -> None:
    run(own.url("worker"), "INSERT INTO studies (study_name) VALUES ('first')")
    secrets = passwords(own.place.directory / "passwords.json")
    root = own.place.root.read_bytes()
    # Both at once, as when the power fails.
    own.kill_postgres()
    own.kill()
    own.start()
    assert rows_of(own.url("viewer"), "SELECT study_name FROM studies") == [("first",)]
    # The front alone: the PostgreSQL behind it goes on, and the next serve takes it over.
    own.kill()
    own.start()
    run(own.url("worker"), "INSERT INTO studies (study_name) VALUES ('second')")
    # PostgreSQL alone: it is started again by itself.
    own.kill_postgres()

    def names() -> list[tuple[str]]:
        with suppress(psycopg2.OperationalError):
            return rows_of(own.url("viewer"), "SELECT study_name FROM studies ORDER BY study_id")
        return []

    assert wait_for(names) == [("first",), ("second",)]
    said = hear(own.process, "PostgreSQL was gone and runs again.")
    # In order, with a client that is told so.
    with closing(psycopg2.connect(own.url("viewer"))) as connection:
        stdout, stderr = own.end()
        connection.poll()
        assert connection.notices == ["FATAL:  terminating connection due to administrator command\n"]
    assert own.process.returncode == 0
    assert stdout == ""
    assert stderr.endswith("Stopped; what is stored stays.\n"), stderr
    assert not any(secret in said + stderr for secret in secrets.values())
    assert passwords(own.place.directory / "passwords.json") == secrets
    assert own.place.root.read_bytes() == root
    assert not TeamServer(Settings(None, own.home, own.home), own.place.directory).listens()


def test_down_stops_it_and_a_postgresql_that_was_left_alone(own: Served) -> None:
    assert studies(own, "down", "--team").stderr == "The team's server is stopped.\n"
    assert own.process.communicate(timeout=PATIENCE_S)[0] == ""
    again = studies(own, "down", "--team")
    assert again.returncode == 2
    assert "No team's server runs in" in again.stderr
    own.start()
    own.kill()
    assert studies(own, "down", "--team").returncode == 0
    assert studies(own, "down", "--team").returncode == 2


def test_one_that_is_still_starting_is_stopped_and_nobody_in_its_place(tmp_path: Path) -> None:
    """The address is of the last time, whose process id may be anybody's by now."""
    place, bystander = Place(tmp_path), subprocess.Popen(["sleep", "600"])
    place.announce(Address("localhost", 5432, bystander.pid))
    starting = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"""
import pathlib, time
from studies.storage.team.place import Place
with Place(pathlib.Path({str(tmp_path)!r})).alone():
    time.sleep(600)
""",
        ]
    )
    try:
        wait_for(lambda: place.server_pid() is not None)
        assert place.stop()
        assert starting.wait(PATIENCE_S) == -signal.SIGTERM
        assert bystander.poll() is None
        assert not place.stop()
    finally:
        for process in (bystander, starting):
            process.kill()
            process.wait()


def test_in_the_background_it_is_there_when_the_command_returns(own: Served) -> None:
    own.end()
    port = own.place.address().port
    begun = studies(own, "serve", "--detach", "--port", str(port))
    assert begun.returncode == 0, begun.stderr
    checked_url(own.url("worker"))
    assert f'export STUDIES_STORAGE="{own.url("worker")}"' in begun.stdout
    log = own.place.log.read_text()
    assert "Serving at" in log
    assert not any(secret in log for secret in passwords(own.place.directory / "passwords.json").values())
    other = studies(own, "serve", "--detach", "--port", str(port), "--directory", str(own.home / "other"))
    assert other.returncode == 2
    assert "another program has that port" in other.stderr
    assert studies(own, "down", "--team").returncode == 0


def test_what_the_file_of_passwords_says_holds_after_a_start(own: Served) -> None:
    """PostgreSQL lets every role change its own password: the next start puts back the one that was given out."""
    run(own.url("worker"), "ALTER ROLE worker PASSWORD 'mine'")
    owners = own.url("owner")
    own.end()
    before, file = own.url("viewer"), own.place.directory / "passwords.json"
    kept = json.loads(file.read_text())
    del kept["viewer"], kept["owner"]
    for wrong in ("no JSON", "[]", '{"worker": 5}'):
        file.write_text(wrong)
        with pytest.raises(WrongInput, match="is not as it was written: expected JSON, a line for each role"):
            passwords(file)
    file.write_text(json.dumps(kept))
    own.start()
    assert own.url("viewer") != before
    assert own.url("owner") != owners
    checked_url(own.url("owner"))
    checked_url(own.url("viewer"))
    checked_url(own.url("worker"))
    old = before.replace(f":{psycopg2.extensions.parse_dsn(before)['port']}/", f":{own.place.address().port}/")
    with pytest.raises(StorageRefused, match=r"password authentication failed.*`studies storage serve --show` prints"):
        checked_url(old)
    running = Connections(old, wait_s=0)  # as of a launch that runs meanwhile
    with pytest.raises(
        LetInNoMore, match=r"password authentication failed .*; if its password was changed, set .* line"
    ):
        running.run("SELECT 1")


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    directory = tmp_path / 'per cent % $HOME "quoted"'
    printed = subprocess.run(
        [sys.executable, "-m", "studies", "storage", "serve", "--print-unit", "--host", "0.0.0.0", "--name", "gpu1",
         "--directory", str(directory)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "--host 0.0.0.0 --port 5432 --name gpu1 --directory" in printed
    assert "KillMode=mixed" in printed
    unit = tmp_path / "studies-storage.service"
    unit.write_text(printed)
    if shutil.which("systemd-analyze"):  # not on macOS
        verified = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
        assert (verified.returncode, verified.stderr) == (0, "")
    assert not directory.exists()
