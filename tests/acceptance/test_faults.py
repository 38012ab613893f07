"""Faults in the middle of a study: a worker that stalls, a server that dies, a server that is gone for good."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from studies import study
from studies.report.summary import read_report
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.storage.embedded import EmbeddedServer

from ..conftest import TcpServer, execute
from .conftest import Studies
from .test_study import assert_continued_values, counted, n_trials, report, wait_for

SLOW = ("--set", "space.seconds=0.2")


@contextmanager
def running(studies: Studies, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Storage, int]]:
    """Yield a launch whose workers have reported something, its storage and its study's id."""
    process = studies.start("launch", "./parabola.yaml", "--workers", "2", *arguments)
    if "STUDIES_STORAGE" not in studies.environment:
        wait_for(lambda: (studies.directory / "home" / "postgres").exists(), 120)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        wait_for(lambda: n_trials(storage) > 0)
        study_id = study.get(storage, "parabola")._study_id
        wait_for(lambda: any(worker.epoch for worker in storage.ledger.workers(study_id)))
        yield process, storage, study_id


def finish(process: subprocess.Popen[str], expect: int = 0) -> str:
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == expect, stderr
    assert "Traceback" not in stderr
    return stderr


def kill_server(server: EmbeddedServer) -> None:
    os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def test_a_stalled_worker_finds_its_trial_taken_over_and_goes_on(studies: Studies) -> None:
    studies.environment["STUDIES_LEASE_S"] = "3"
    with running(studies, "--set", "space.seconds=0.4", "--trials", "12") as (process, storage, study_id):
        stalled = next(worker.pid for worker in storage.ledger.workers(study_id) if worker.epoch)
        os.kill(stalled, signal.SIGSTOP)
        wait_for(lambda: any(trial.reason == "lost" for trial in read_report(storage, "parabola").trials))
        os.kill(stalled, signal.SIGCONT)
        stderr = finish(process)
    assert "died" not in stderr
    trials = report(studies).trials
    assert counted(studies) == 12
    assert len([trial for trial in trials if trial.reason == "lost"]) == 1
    assert_continued_values(studies)
    logs = "".join(log.read_text() for log in (studies.directory / "home" / "logs").rglob("worker-*.log"))
    assert "failed (taken over)" in logs


def test_the_embedded_server_is_killed_and_comes_back(studies: Studies) -> None:
    with running(studies, *SLOW) as (process, storage, _):
        assert storage.server is not None
        for _ in range(2):
            kill_server(storage.server)
            time.sleep(0.5)
            wait_for(storage.server.answers)
        finish(process)
    assert counted(studies) == 8
    assert {trial.state for trial in report(studies).trials} == {"complete"}
    assert_continued_values(studies)


def test_a_restarted_server_costs_nothing(studies: Studies, tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE restarts")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="restarts")
    with running(studies, *SLOW) as (process, _, _):
        tcp_server._stop()
        time.sleep(3)
        tcp_server._start()
        finish(process)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_report(storage, "parabola").trials
    assert [trial.state for trial in trials] == ["complete"] * 8
    assert all(len(trial.curve) == 5 for trial in trials)
    execute(tcp_server.url, "DROP DATABASE restarts WITH (FORCE)")


def test_a_server_that_is_gone_for_good_ends_the_launch_with_a_checkpoint(
    studies: Studies, tcp_server: TcpServer
) -> None:
    execute(tcp_server.url, "CREATE DATABASE gone")
    studies.environment |= {
        "STUDIES_STORAGE": tcp_server.team_url(database="gone"),
        "STUDIES_STORAGE_WAIT_S": "3",
        "STUDIES_LEASE_S": "2",
    }
    try:
        with running(studies, "--set", "space.seconds=0.4") as (process, _, _):
            tcp_server._stop()
            assert "No PostgreSQL server answers" in finish(process, expect=3)
        assert list((studies.directory / "home" / "checkpoints").rglob("*.safetensors"))
    finally:
        tcp_server._start()
    studies("launch", "./parabola.yaml", "--workers", "2", "--set", "space.seconds=0.4")
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_report(storage, "parabola").trials
    assert len([trial for trial in trials if trial.continued_by is None]) == 8
    assert all(len(trial.curve) == 5 for trial in trials if trial.state == "complete")
    execute(tcp_server.url, "DROP DATABASE gone WITH (FORCE)")
