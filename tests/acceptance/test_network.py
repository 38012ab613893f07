"""The network between workers and server is cut, for real where this machine allows it (`benchmarks/networks.py`)."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
import pytest

from benchmarks.networks import Network, Proxies, ServerOfHosts, free_port, make_network
from studies.record.reading import read_stored
from studies.settings import Settings
from studies.storage import open_storage
from studies.storage.connections import Connections

from ..conftest import TcpServer
from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies
from .test_faults import wait_until_a_trial_is_lost


@dataclass
class Net:
    network: Network
    server: ServerOfHosts
    settings: Settings

    def cut_for_good(self, host: int) -> None:
        """A proxy's silence is no silence to the kernel, which acknowledges for it: there a reset must end it."""
        self.network.cut(host)
        if isinstance(self.network, Proxies):
            time.sleep(1)
            self.network.reset(host)

    def url(self, host: int) -> str:
        return self.server.team_url(self.network.address(host))

    def python(self, host: int, code: str) -> subprocess.Popen[str]:
        command = self.network.command(host, [sys.executable, "-W", "error", "-c", code])
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def net(reachable_directory: Path) -> Iterator[Net]:
    port = free_port()
    home = reachable_directory / "network"
    settings = Settings(None, home, home / "data")
    with make_network(2, port) as network, ServerOfHosts(settings, port, network.listen_addresses) as server:
        settings = replace(settings, storage=server.url)
        open_storage(settings).close()
        yield Net(network, server, settings)


@pytest.fixture(autouse=True)
def healed(net: Net) -> Iterator[None]:
    yield
    for host in range(2):
        net.network.heal(host)


def test_both_ends_of_a_connection_notice_within_a_lease_that_the_other_is_gone(tcp_server: TcpServer) -> None:
    connections = Connections(tcp_server.team_url(), wait_s=0)
    connection = connections.connect()
    with socket.socket(fileno=connection.fileno()) as end:
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            end.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= Settings.lease_s / 2
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= Settings.lease_s / 2 * 1000
        end.detach()
    with connection.cursor() as cursor:
        shown = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4", "user_timeout": "30000"}
        for name, expected in shown.items():
            cursor.execute(f"SHOW tcp_{name}")
            assert cursor.fetchone() == (expected,)
    connection.close()
    given = Connections(tcp_server.team_url() + "?keepalives_idle=77", wait_s=0).connect()
    assert given.get_dsn_parameters()["keepalives_idle"] == "77"
    given.close()


IMPATIENT = "?connect_timeout=2&tcp_user_timeout=2000&keepalives_idle=1&keepalives_interval=1&keepalives_count=2"

ASK = """
import sys, time
from studies.errors import StorageUnreachable
from studies.storage.connections import Connections
connections = Connections({url!r}, wait_s=1)

def ask(statement):
    connections.run("SELECT 1", {{}}, wait_s=30)
    print("connected", flush=True)
    if statement == "SELECT 2":
        sys.stdin.readline()
    started = time.monotonic()
    try:
        print(connections.run(statement, {{}}), flush=True)
    except StorageUnreachable:
        print(time.monotonic() - started, flush=True)

ask("SELECT 1 FROM pg_sleep(100)")
sys.stdin.readline()
ask("SELECT 2")
connections.close()
"""


def test_a_peer_that_says_nothing_any_more_hangs_nobody(net: Net) -> None:
    with net.python(0, ASK.format(url=net.url(0) + IMPATIENT)) as process:
        assert process.stdout is not None
        assert process.stdin is not None

        def line() -> str:
            return process.stdout.readline().strip()  # type: ignore[union-attr]

        def go_on() -> None:
            process.stdin.write("\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        assert line() == "connected"
        time.sleep(0.5)
        net.cut_for_good(0)  # while it waits for an answer
        assert float(line()) < 60  # the statement takes 100
        net.network.heal(0)
        go_on()
        assert line() == "connected"
        net.cut_for_good(0)  # before it asks
        go_on()
        assert float(line()) < 60  # the statement takes 100
        net.network.heal(0)


HOLD = """
import time
from studies.storage import sql
from studies.storage.ledger import Ledger
for before, after in (("idle = 10", "idle = 1"), ("interval = 5", "interval = 1"), ("30000", "2000")):
    sql.NOTICE_SILENCE = sql.NOTICE_SILENCE.replace(before, after)
with Ledger({url!r}, lease_s=3, wait_s=1).alone("this"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_goes_with_the_host_that_held_it(net: Net) -> None:
    process = net.python(0, HOLD.format(url=net.url(0)))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with open_storage(net.settings) as storage:
            held = threading.Event()

            def take() -> None:
                with storage.ledger.alone("this"):
                    held.set()

            taker = threading.Thread(target=take)
            taker.start()
            assert not held.wait(1)
            net.cut_for_good(0)
            assert held.wait(PATIENCE_S)
            taker.join()
    finally:
        process.kill()
        process.communicate()


def test_a_worker_cut_off_past_its_lease_drops_its_trial(net: Net, make_studies: Callable[[str], Studies]) -> None:
    hosts = [make_studies("host-0"), make_studies("host-1")]
    launches = []
    slow = ("--set", "space.seconds=2", "--trials", "6")
    with open_storage(net.settings) as storage:
        for host, studies in enumerate(hosts):
            studies.environment |= {"STUDIES_STORAGE": net.url(host)}
            studies.environment["STUDIES_ARTIFACTS"] = str(hosts[0].directory / "shared")
            before = net.network.command(host, [])
            launches.append(studies.start("launch", "./parabola.yaml", *slow, before=before))
            wait_for(lambda: len(workers(storage)) == len(launches) and all(workers(storage)))
        net.network.cut(0)
        wait_until_a_trial_is_lost(storage, "worker_id = (SELECT min(worker_id) FROM studies.workers)")
        net.network.heal(0)
        net.network.reset(1)  # and the other has its connections reset, which costs it nothing
        time.sleep(0.5)
        net.network.heal(1)
        for studies in hosts:
            studies.hurry()
        for launch in launches:
            _, stderr = launch.communicate(timeout=PATIENCE_S)
            assert launch.returncode == 0, stderr
            assert "died" not in stderr
        trials = read_stored(storage, "parabola").trials
    assert [trial.state for trial in trials if trial.continued_by is None] == ["complete"] * 6
    assert [trial.reason for trial in trials if trial.continued_by is not None] == ["lost"]
    for trial in trials:
        expected = [(trial.params["x"] - 2) ** 2 + 1 / epoch for epoch in range(1, 6)]
        assert list(trial.curve.values()) == expected[: len(trial.curve)]
        assert trial.state == "fail" or len(trial.curve) == 5
    logs = "".join(log.read_text() for log in (hosts[0].directory / "home" / "logs").rglob("worker-*.log"))
    assert logs.count("was taken over by another worker") == 1


def workers(storage) -> list[int | None]:  # type: ignore[no-untyped-def]
    """The last epoch that each worker has reported of its trial."""
    ids = [study.study_id for study in storage.ledger.started_studies() if study.name == "parabola"]
    return [worker.epoch for study_id in ids for worker in storage.ledger.workers(study_id)]


@pytest.fixture
def proxies(tcp_server: TcpServer) -> Iterator[Proxies]:
    with Proxies(1, tcp_server.port) as proxies:
        yield proxies


def test_the_proxy_is_silent_resets_and_heals(proxies: Proxies, tcp_server: TcpServer) -> None:
    """What other machines than this one may be tested with."""
    through = tcp_server.team_url().replace(f":{tcp_server.port}/", f":{proxies.address(0)[1]}/")
    connections = Connections(through + "?connect_timeout=2", wait_s=30)
    assert connections.run("SELECT 1", {}) == [(1,)]
    proxies.cut(0)
    with pytest.raises(psycopg2.OperationalError, match="timeout"):
        connections.connect()
    healing = threading.Timer(1, proxies.heal, [0])
    healing.start()
    assert connections.run("SELECT 2", {}) == [(2,)]
    proxies.reset(0)
    with pytest.raises(psycopg2.OperationalError):
        connections.connect()
    healing = threading.Timer(1, proxies.heal, [0])
    healing.start()
    assert connections.run("SELECT 3", {}) == [(3,)]
    assert connections.n_lost == 1
    connections.close()
