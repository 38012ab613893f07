"""Hundreds of workers on few connections, and TLS: a real PgBouncer in transaction mode before a real server."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import optuna
import psycopg2
import pytest
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from studies.errors import CertificateRefused, StorageUnreachable
from studies.search.rungs import Hyperband
from studies.settings import Settings
from studies.storage import Storage, checked_url, open_storage
from studies.storage.embedded import EmbeddedServer
from studies.storage.postgres import PostgresStorage

from ..conftest import execute
from ..integration.test_postgres_storage_together import _claim_all, _crash, _processes
from ..waiting import PATIENCE_S, wait_for

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
N_SERVER_CONNECTIONS, POOL = 12, 6

Bouncer = Callable[..., str]


class SmallServer(EmbeddedServer):
    """A server that takes far fewer connections than there are workers."""

    server_settings = EmbeddedServer.server_settings | {"max_connections": str(N_SERVER_CONNECTIONS)}  # type: ignore


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    assert PGBOUNCER, "the storage is tested behind a real pooler; on Debian: apt-get install pgbouncer"


@pytest.fixture(scope="module")
def small_server(reachable_directory: Path) -> Iterator[EmbeddedServer]:
    home = reachable_directory / "small"
    with SmallServer(Settings(None, home, home / "data")) as server:
        yield server


@pytest.fixture
def pooled(small_server: EmbeddedServer) -> Iterator[str]:
    """An empty database's name."""
    execute(small_server.url, "CREATE DATABASE pooled")
    yield "pooled"
    execute(small_server.url, "DROP DATABASE pooled WITH (FORCE)")


@pytest.fixture
def bouncer(small_server: EmbeddedServer, reachable_directory: Path) -> Iterator[Bouncer]:
    """Starts a PgBouncer with these settings; returns the part of its URLs after the database's name."""
    place = reachable_directory / "bouncer"
    place.mkdir(exist_ok=True)
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None  # PgBouncer refuses to run as root, too
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        lines = {
            "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "any",
            "pool_mode": "transaction", "max_client_conn": "1000", "default_pool_size": str(POOL),
        } | settings  # fmt: skip
        (place / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={small_server._sockets} user=studies\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in lines.items())
        )
        with (place / "log").open("w") as log:
            started.append(subprocess.Popen([str(PGBOUNCER), str(place / "pgbouncer.ini")], user=user, stderr=log))

        def is_there() -> bool:
            assert started[0].poll() is None, (place / "log").read_text()
            return _answers(port)

        wait_for(is_there)
        return str(port)

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE_S)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _n_backends(server: EmbeddedServer) -> int:
    connection = psycopg2.connect(server.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'pooled'")
        [(n,)] = cursor.fetchall()
    connection.close()
    return int(n)


def test_five_hundred_workers_on_six_connections(small_server: EmbeddedServer, pooled: str, bouncer: Bouncer) -> None:
    n = min(500, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    url = f"postgresql://studies@127.0.0.1:{bouncer()}/{pooled}"
    workers = [PostgresStorage(url)]
    study_id = workers[0].create_new_study([StudyDirection.MINIMIZE])
    workers += [PostgresStorage(url) for _ in range(n - 1)]
    claimed = [worker.claim_trial(study_id, n_trials=n) for worker in workers]
    for worker, trial_id in zip(workers, claimed, strict=True):
        assert trial_id is not None
        worker.set_trial_user_attr(trial_id, "seconds", 1)
        worker.set_trial_intermediate_value(trial_id, 1, 0.5)
    assert sum(len(worker._connections._free) for worker in workers) >= n  # all are connected at once
    assert _n_backends(small_server) <= POOL
    for worker, trial_id in zip(workers, claimed, strict=True):
        worker.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(trial_id)])  # type: ignore[arg-type]
    assert workers[0].claim_trial(study_id, n_trials=n) is None
    trials = workers[-1].get_all_trials(study_id)
    assert [trial.number for trial in trials] == list(range(n))
    assert all(trial.values == [trial._trial_id] and trial.intermediate_values == {1: 0.5} for trial in trials)
    for worker in workers:
        worker.remove_session()


def test_processes_and_optunas_own_storage_behind_the_pooler(pooled: str, bouncer: Bouncer) -> None:
    url = f"postgresql://studies@127.0.0.1:{bouncer()}/{pooled}"
    storage = PostgresStorage(url)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "pooled")
    _processes(_claim_all, [(url, study_id, 60)] * 6)
    rdb = RDBStorage(url)
    for where in (rdb, storage):
        study = optuna.load_study(
            study_name="pooled", storage=where, pruner=Hyperband(min_resource=1, max_resource=9, reduction_factor=3)
        )
        study.enqueue_trial({"x": 0.5})
        for _ in range(3):
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            for step in range(1, 4):
                trial.report(0.5, step)
                trial.should_prune()
            study.tell(trial, 0.5)
    trials = storage.get_all_trials(study_id)
    assert [trial.number for trial in trials] == list(range(66))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert trials == rdb.get_all_trials(study_id)
    storage.remove_session()
    rdb.remove_session()
    rdb.engine.dispose()


def test_a_crash_that_nobody_notices_behind_the_pooler_takes_nothing_back(
    small_server: EmbeddedServer, pooled: str, bouncer: Bouncer
) -> None:
    url = f"postgresql://studies@127.0.0.1:{bouncer(server_login_retry='1')}/{pooled}"
    storage, direct = PostgresStorage(url), PostgresStorage(small_server.url)
    assert storage._connections.pooled
    assert direct._connections.pooled is False
    direct.remove_session()
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    ended, running = (storage.claim_trial(study_id) for _ in range(2))
    assert ended is not None
    assert running is not None
    storage.set_trial_user_attr(running, "seconds", 1)
    storage.set_trial_intermediate_value(running, 1, 0.25)
    storage.set_trial_state_values(ended, TrialState.COMPLETE, [0.5])
    _crash(small_server)
    again = storage.claim_trial(study_id)
    storage.set_trial_state_values(running, TrialState.COMPLETE, [0.25])
    reader = PostgresStorage(url)
    trials = reader.get_all_trials(study_id)
    assert [trial._trial_id for trial in trials] == [ended, running, again]
    assert [trial.values for trial in trials] == [[0.5], [0.25], None]
    assert trials[1].intermediate_values == {1: 0.25}
    storage.remove_session()
    reader.remove_session()


def test_opening_at_once_does_not_lock_itself_out(pooled: str, bouncer: Bouncer) -> None:
    """More than the pool has connections create the tables at once: waiting for a turn must not keep one."""
    url = f"postgresql://studies@127.0.0.1:{bouncer(default_pool_size='4')}/{pooled}"
    failed: list[BaseException] = []

    def open_and_create() -> None:
        try:
            storage = Storage(url, Settings(url, Path(), Path()))
            with storage.ledger.alone("study"):
                storage.optuna.get_all_studies()
            storage.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=open_and_create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


def test_tls_is_verified_when_the_url_says_so(pooled: str, bouncer: Bouncer, reachable_directory: Path) -> None:
    """The embedded server's build has no TLS; PgBouncer speaks it as a server does."""
    place = reachable_directory / "tls"
    place.mkdir()
    for name in ("server", "stranger"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", place / f"{name}.key",
             "-out", place / f"{name}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
        (place / f"{name}.key").chmod(0o644)  # PgBouncer runs as another user
    port = bouncer(
        client_tls_sslmode="require", client_tls_key_file=str(place / "server.key"),
        client_tls_cert_file=str(place / "server.crt"),
    )  # fmt: skip

    def url(host: str, root: str) -> str:
        certificate = quote(str(place / f"{root}.crt"), safe="")
        return f"postgresql://studies@{host}:{port}/{pooled}?sslmode=verify-full&sslrootcert={certificate}"

    settings = Settings(checked_url(url("localhost", "server")), reachable_directory, reachable_directory)
    with open_storage(settings) as storage:
        study = optuna.create_study(storage=storage.optuna)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
        assert len(study.trials) == 3
        connection, _ = storage.optuna._connections._free[0]
        assert connection.info.ssl_in_use
    for refused in (url("127.0.0.1", "server"), url("localhost", "stranger")):
        with pytest.raises(CertificateRefused, match="certificate"):
            checked_url(refused)
        with pytest.raises(StorageUnreachable, match="certificate"):
            PostgresStorage(refused)
    with pytest.raises(StorageUnreachable, match="SSL required"):
        checked_url(f"postgresql://studies@localhost:{port}/{pooled}?sslmode=disable")
