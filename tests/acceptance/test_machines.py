"""A machine is lost, its disk is full, its container is stopped: the study goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from optuna.artifacts import get_all_artifact_meta

from studies import study
from studies.record.reading import read_stored
from studies.record.study import TrialRecord
from studies.settings import Settings
from studies.storage import open_storage

from ..conftest import TcpServer, execute, let_a_lease_pass
from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies
from .test_study import report

# Every epoch that is trained is written down on the machine that trains it.
OBJECTIVE = """
import os, time
from pathlib import Path

class Training:
    def __init__(self, params):
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        with open("epochs", "a") as file:
            file.write(f"{self.n}\\n")
        time.sleep(0 if Path("quick").exists() else self.params["seconds"])
        if self.params["trouble"] == "memory" and self.params["x"] > 0:
            raise MemoryError("too large")
        if self.params["trouble"] == "kernel" and self.params["x"] > 0:
            self.held = [b"1" * 2**26 for _ in range(64)]
        if self.params["trouble"] == "once" and self.n == 3 and not Path("had-trouble").exists():
            Path("had-trouble").touch()
            raise ConnectionResetError(104, "Connection reset by peer")
        return {"loss": self.params["x"] + 1 / self.n, "train_loss": 0.0}

    def state_dict(self):
        return {"n": self.n, "large": "x" * self.params["kilobytes"] * 1024}

    def load_state_dict(self, state):
        self.n = state["n"]

class Counted:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "x": {"low": -1.0, "high": 1.0, "default": 0.0},
        "seconds": {"low": 0.0, "high": 60.0, "default": 0.0},
        "kilobytes": {"low": 0, "high": 100_000, "default": 0},
        "trouble": {"choices": ["none", "once", "memory", "kernel"], "default": "none"},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params)
"""
STUDY = """
name: counted
objective: counted:Counted
dataset: none
metric: loss
direction: minimize
n_trials: 4
max_epochs: 5
space: {seconds: 0.0, kilobytes: 1, trouble: none}
pruner: {name: none}
"""
SLOW = ("--set", "space.seconds=2", "--trials", "1")


@pytest.fixture
def make_machine(make_studies: Callable[[str], Studies]) -> Callable[[str], Studies]:
    """Make `Studies` with the study `counted` in it."""

    def make(name: str) -> Studies:
        machine = make_studies(name)
        (machine.directory / "counted.py").write_text(OBJECTIVE)
        (machine.directory / "counted.yaml").write_text(STUDY)
        return machine

    return make


@pytest.fixture
def machine(make_machine: Callable[[str], Studies], server_files: Path) -> Studies:
    made = make_machine("one")
    made.server_files = server_files
    return made


@pytest.fixture
def database(tcp_server: TcpServer) -> Iterator[str]:
    """The URL of a fresh database on the team's server."""
    execute(tcp_server.url, "CREATE DATABASE machines")
    yield tcp_server.team_url(database="machines")
    execute(tcp_server.url, "DROP DATABASE machines WITH (FORCE)")


def epochs(machine: Studies) -> list[int]:
    written = machine.directory / "epochs"
    return [int(line) for line in written.read_text().split()] if written.exists() else []


def trials(machine: Studies) -> list[TrialRecord]:
    with open_storage(Settings.from_environment(machine.environment)) as storage:
        return read_stored(storage, "counted").trials


def logs(machine: Studies) -> str:
    return "".join(log.read_text() for log in (machine.directory / "home" / "logs").rglob("worker-*.log"))


def kill_machine(launch: subprocess.Popen[str]) -> None:
    """End a launch and all that it started, at once."""
    first = psutil.Process(launch.pid)  # who would start others in the place of those that are killed
    everyone = [first, *first.children(recursive=True)]
    for process in everyone:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(everyone)


def test_a_trial_lost_with_its_machine_goes_on_elsewhere(
    make_machine: Callable[[str], Studies], database: str, bucket: str, s3: dict[str, str]
) -> None:
    machines = [make_machine(name) for name in ("first", "second")]
    for machine in machines:
        machine.environment |= {**s3, "STUDIES_STORAGE": database, "STUDIES_ARTIFACTS": f"s3://{bucket}/team"}
    first, second = machines
    launch = first.start("launch", "./counted.yaml", *SLOW)
    wait_for(lambda: len(epochs(first)) >= 3)
    kill_machine(launch)
    let_a_lease_pass(database)
    second.hurry()
    assert f"Checkpoints in s3://{bucket}/team: 0.0 MiB." in second.told("status", "counted").stdout
    second("launch", "./counted.yaml", *SLOW)
    lost, ended = trials(second)
    assert (lost.reason, lost.continued_by, ended.state) == ("lost", 1, "complete")
    assert len(ended.curve) == 5
    assert epochs(second)[0] > 1  # not from the beginning
    assert epochs(second)[-1] == 5
    assert not list((second.directory / "home").rglob("*.safetensors"))


def test_a_broken_connection_is_tried_again_where_it_was(machine: Studies) -> None:
    machine("launch", "./counted.yaml", "--set", "space.trouble=once", "--set", "space.seconds=0.1", "--trials", "1")
    first, again = report(machine, "counted").trials
    assert (first.state, first.reason, first.continued_by) == ("fail", "connection", 1)
    assert first.attributes["detail"] == "ConnectionResetError: [Errno 104] Connection reset by peer"
    assert (again.state, again.params, len(again.curve)) == ("complete", first.params, 5)
    assert epochs(machine)[:3] == [1, 2, 3]
    assert epochs(machine)[3] in (2, 3)  # from its last checkpoint, not from the beginning
    assert epochs(machine)[-1] == 5


def test_out_of_memory_teaches_counts_and_shows_its_traceback(machine: Studies) -> None:
    machine("launch", "./counted.yaml", "--set", "space.trouble=memory", "--trials", "6")
    with open_storage(machine.settings) as storage:
        found = study.get(storage, "counted")
        for trial in found.trials:
            failed = trial.params["x"] > 0
            assert (trial.state.name, trial.constraints) == (
                ("FAIL", {"out_of_memory": 1.0}) if failed else ("COMPLETE", {})
            )
        assert len(found.trials) == 6
        failed = next(trial for trial in found.trials if trial.constraints)
        (meta,) = get_all_artifact_meta(failed, storage=storage.optuna)
        place = f"artifacts/{found._study_id}/{failed._trial_id}/{meta.artifact_id}"
    assert (meta.filename, meta.mimetype) == ("traceback.txt", "text/plain")
    dashboard = machine.start("dashboard", "--port", "0")
    assert dashboard.stderr is not None
    address = dashboard.stderr.readline().split()[4]
    with urllib.request.urlopen(address + place) as answer:
        assert b'raise MemoryError("too large")' in answer.read()
    dashboard.send_signal(signal.SIGTERM)
    dashboard.communicate(timeout=PATIENCE_S)


def counted_all(machine: Studies) -> int:
    return len([trial for trial in report(machine, "counted").trials if trial.continued_by is None])


# --- containers -------------------------------------------------------------------------------------------------------

CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


TWO = ("--set", "space.seconds=1.5", "--workers", "2")


def contained(machine: Studies, *arguments: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Start `studies` as process 1 of a PID namespace, as `docker run` without --init does; return it as seen here.

    Root may do that; others get a user namespace with it. Where a kernel allows neither, it runs as any process:
    everything but the special treatment of process 1 is tested still.
    """
    allowed = [*CONTAINER] if os.geteuid() == 0 else [*CONTAINER, "--user", "--map-current-user"]
    if shutil.which("unshare") is None or subprocess.run([*allowed, "true"], capture_output=True).returncode:
        process = machine.start(*arguments)
        return process, psutil.Process(process.pid)
    process = machine.start(*arguments, before=allowed)
    return process, wait_for(psutil.Process(process.pid).children)[0]


def test_docker_stop_ends_a_launch_in_order(machine: Studies) -> None:
    process, first = contained(machine, "launch", "./counted.yaml", *TWO)
    wait_for(lambda: len(epochs(machine)) >= 3)
    first.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert "`studies launch counted` goes on from here" in stderr
    assert process.returncode == 130
    assert {trial.reason for trial in report(machine, "counted").trials if trial.state == "fail"} == {"stopped"}
    assert not [trial for trial in report(machine, "counted").trials if trial.state == "running"]
    machine.hurry()
    machine("launch", "./counted.yaml", *TWO)
    assert counted_all(machine) == 4


def test_docker_stop_ends_a_worker_in_order(machine: Studies, database: str) -> None:
    machine.environment["STUDIES_STORAGE"] = database
    machine.hurry()
    machine("launch", "./counted.yaml", "--trials", "1", "--set", "space.seconds=2")
    (machine.directory / "quick").unlink()
    with open_storage(Settings.from_environment(machine.environment)) as storage:
        storage.ledger.open_study(study.get(storage, "counted")._study_id, 2)
        (machine.directory / "epochs").unlink()
    process, first = contained(machine, "worker", "counted")
    wait_for(lambda: len(epochs(machine)) >= 1)
    first.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert "left: SIGTERM received" in stderr
    assert process.returncode == 130
    assert [(trial.state, trial.reason) for trial in trials(machine)] == [
        ("complete", None),
        ("fail", "stopped"),
        ("waiting", None),
    ]


def kill_postmaster(first: psutil.Process) -> None:
    """Kill the server that a process has started; what belongs to one connection may end at this moment."""
    for process in first.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            above = process.parent()
            if process.name() == "postgres" and above is not None and above.name() != "postgres":
                process.kill()
                return
    raise AssertionError("no server runs")


def test_a_container_killed_in_the_middle_costs_nothing(machine: Studies) -> None:
    """What `docker stop` does to an epoch that takes longer than its ten seconds, the embedded server included.

    Before that the server is killed alone: process 1 inherits its remains, and must start another all the same.
    """
    process, first = contained(machine, "launch", "./counted.yaml", *TWO)
    wait_for(lambda: len(epochs(machine)) >= 3)
    kill_postmaster(first)
    before = len(epochs(machine))
    wait_for(lambda: len(epochs(machine)) >= before + 4)
    first.kill()
    process.communicate(timeout=PATIENCE_S)
    machine.hurry()
    with open_storage(machine.settings) as storage:
        let_a_lease_pass(storage.url)
    machine("launch", "./counted.yaml", *TWO)
    found = report(machine, "counted").trials
    assert len([trial for trial in found if trial.continued_by is None]) == 4
    assert {trial.state for trial in found if trial.continued_by is None} == {"complete"}
    assert [trial.reason for trial in found if trial.continued_by is not None] == ["lost"] * (len(found) - 4)
