"""Several launchers and workers, as on several machines, against one TCP server."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from studies.record.reading import read_stored
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.storage.ledger import Worker
from studies.study import get, lock_of

from ..conftest import TcpServer, execute, let_a_lease_pass, reserved_port
from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture
def team(tcp_server: TcpServer, studies: Studies) -> Iterator[Studies]:
    """`studies` with the team's server as its storage, in a database of its own."""
    execute(tcp_server.url, "CREATE DATABASE team_test")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="team_test")
    yield studies
    execute(tcp_server.url, "DROP DATABASE team_test WITH (FORCE)")


def test_two_launchers_and_a_worker_share_one_exact_study(team: Studies, tcp_server: TcpServer) -> None:
    slow = ("--set", "space.seconds=0.2", "--trials", "30")
    launchers = [team.start("launch", "./parabola.yaml", "--workers", "2", *slow) for _ in range(2)]
    # A third machine joins by name alone, once the study is there.
    while True:
        worker = team.start("worker", "parabola")
        _, joined = worker.communicate(timeout=PATIENCE_S)
        if worker.returncode == 0:
            break
        assert "No study is named 'parabola', in the catalog or in this storage" in joined, joined
    for launcher in launchers:
        _, stderr = launcher.communicate(timeout=PATIENCE_S)
        assert launcher.returncode == 0, stderr
        assert tcp_server.PASSWORD not in stderr
    with open_storage(Settings.from_environment(team.environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    assert sorted(trial.number for trial in trials) == list(range(30))
    assert all(trial.state == "complete" for trial in trials)
    assert len({trial.params["x"] for trial in trials}) == 30
    assert "left: all 30 trials are done" in joined
    assert not (team.directory / "home" / "postgres").exists()


def test_a_worker_that_finds_nothing_waits_for_a_launch_that_raises_the_budget(team: Studies) -> None:
    team("launch", "./parabola.yaml", "--trials", "2")
    with open_storage(Settings.from_environment(team.environment)) as storage:
        study = get(storage, "parabola")
        with storage.ledger.alone(lock_of("parabola")):  # as a launch does while it joins
            worker = team.start("worker", "parabola")
            while not storage.ledger.workers(study._study_id):
                time.sleep(0.1)
            time.sleep(1.0)  # it has seen two trials of two by now
            storage.ledger.open_study(study._study_id, 3)
        _, stderr = worker.communicate(timeout=PATIENCE_S)
        assert worker.returncode == 0, stderr
        assert "left: all 3 trials are done" in stderr
        assert len(study.get_trials()) == 3


def test_a_trial_that_is_lost_with_its_machine_goes_on_from_its_checkpoint_elsewhere(
    team: Studies, make_studies: Callable[[str], Studies], tcp_server: TcpServer
) -> None:
    """The two share nothing but the server."""
    elsewhere = make_studies("elsewhere")
    for machine in (team, elsewhere):
        code = (machine.directory / "mine.py").read_text()
        (machine.directory / "mine.py").write_text(
            code.replace("self.n += 1", "self.n += 1; print('epoch', self.n, flush=True)")
        )
        machine.environment["STUDIES_STORAGE"] = team.environment["STUDIES_STORAGE"]
    launch = ("launch", "./parabola.yaml", "--set", "space.seconds=2", "--trials", "1")
    lost = team.start(*launch)
    with open_storage(team.settings) as storage:
        (worker,) = wait_for(lambda: workers_at(storage, epoch=2))
        for pid in (lost.pid, worker.pid):
            os.kill(pid, signal.SIGKILL)
        let_a_lease_pass(storage.url)
        elsewhere.hurry()
        elsewhere(*launch)
        first, second = read_stored(storage, "parabola").trials
        assert (first.reason, second.state, len(second.curve)) == ("lost", "complete", 5)
        assert storage.ledger.checkpoint_sizes(get(storage, "parabola")._study_id).keys() == {second.number}  # the best
    (log,) = (elsewhere.directory / "home" / "logs").rglob("worker-*.log")
    epochs = "".join(re.findall(r"^epoch (\d)$", log.read_text(), re.MULTILINE))
    assert epochs in ("345", "2345")  # where writing the first one took long, the second was not due yet


def workers_at(storage: Storage, epoch: int) -> list[Worker]:
    """The workers whose trial has come so far."""
    ids = [study.study_id for study in storage.ledger.started_studies() if study.name == "parabola"]
    workers = [worker for study_id in ids for worker in storage.ledger.workers(study_id)]
    return [worker for worker in workers if (worker.epoch or 0) >= epoch]


def test_the_password_is_in_no_log_and_no_export(team: Studies, tcp_server: TcpServer) -> None:
    launched = team("launch", "./parabola.yaml", "--workers", "2")
    shown = launched.stderr + launched.stdout + team.told("export", "parabola").stdout + team("storage", "url").stdout
    written = [path.read_text() for path in team.directory.rglob("*.log")] + [shown]
    for text in written:
        assert "s3cret" not in text


def test_the_processes_of_the_compose_file(team: Studies, tcp_server: TcpServer) -> None:
    """What docker-compose.yml starts, started by hand: health check, launch, worker, dashboard."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    check = shlex.split(services["postgres"]["healthcheck"]["test"][1])
    check[0] = str(tcp_server._binaries() / check[0])
    healthy = subprocess.run(
        [*check, "--host=127.0.0.1", f"--port={tcp_server.port}"], capture_output=True, check=False
    )
    assert healthy.returncode == 0, healthy.stdout

    launcher = team.start("launch", "./parabola.yaml", "--set", "space.seconds=0.2")
    worker_command = [word.replace("${STUDY:-meli-cnn}", "parabola") for word in services["worker"]["command"]]
    while (worker := team.start(*worker_command)).wait(timeout=PATIENCE_S) == 2:  # until the launch has made the study
        worker.communicate()
    assert "all 8 trials are done" in worker.communicate()[1]
    assert "best loss" in launcher.communicate(timeout=PATIENCE_S)[1]

    command = services["dashboard"]["command"]
    command = [{"0.0.0.0": "127.0.0.1", "8080": "0"}.get(word, word) for word in command]
    dashboard = team.start(*command)
    assert dashboard.stderr is not None
    address = re.search(r"http://[\d.:]+/", dashboard.stderr.readline())
    assert address is not None
    with urllib.request.urlopen(f"{address[0]}api/studies") as answer:
        assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["parabola"]
    dashboard.send_signal(signal.SIGTERM)
    dashboard.communicate(timeout=PATIENCE_S)


def test_a_plain_optuna_dashboard_opens_the_storage(team: Studies) -> None:
    team("launch", "./parabola.yaml", "--trials", "2")
    command = [str(Path(sys.executable).parent / "optuna-dashboard"), team.environment["STUDIES_STORAGE"]]
    with reserved_port() as port:
        plain = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answered() -> dict[str, list[dict[str, str]]]:
            assert plain.poll() is None
            with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as got:
                return json.load(got)  # type: ignore[no-any-return]
            return {}

        try:
            assert [study["study_name"] for study in wait_for(answered)["study_summaries"]] == ["parabola"]
        finally:
            plain.terminate()
            plain.wait()
