"""Faults in the middle of a study: a worker that stalls, a server that dies, one that is gone for good, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from studies import study
from studies.record.reading import read_stored
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
        wait_for(lambda: any(trial.reason == "lost" for trial in read_stored(storage, "parabola").trials))
        os.kill(stalled, signal.SIGCONT)
        stderr = finish(process)
    assert "died" not in stderr
    trials = report(studies).trials
    assert counted(studies) == 12
    assert len([trial for trial in trials if trial.reason == "lost"]) == 1
    assert_continued_values(studies)
    logs = "".join(log.read_text() for log in (studies.directory / "home" / "logs").rglob("worker-*.log"))
    assert "was taken over by another worker" in logs


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
        trials = read_stored(storage, "parabola").trials
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
        trials = read_stored(storage, "parabola").trials
    assert len([trial for trial in trials if trial.continued_by is None]) == 8
    assert all(len(trial.curve) == 5 for trial in trials if trial.state == "complete")
    execute(tcp_server.url, "DROP DATABASE gone WITH (FORCE)")


def test_who_waits_for_a_dead_server_leaves_at_the_first_signal(studies: Studies, tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE left_alone")
    studies.environment |= {"STUDIES_STORAGE": tcp_server.team_url(database="left_alone"), "STUDIES_LEASE_S": "2"}
    slow = ("--set", "space.seconds=0.4")
    try:
        with running(studies, *slow) as (process, storage, study_id):
            alone = studies.start("worker", "parabola")
            wait_for(lambda: len([worker for worker in storage.ledger.workers(study_id) if worker.epoch]) == 3)
            tcp_server._stop()
            time.sleep(5)
            process.send_signal(signal.SIGINT)
            alone.send_signal(signal.SIGTERM)
            started = time.monotonic()
            for waiting in (process, alone):
                said = finish(waiting, expect=3).splitlines()
                assert [line for line in said if "No PostgreSQL server answers" in line and "Waiting for up to" in line]
                assert said[-1].startswith("studies: No PostgreSQL server answers")
            assert time.monotonic() - started < 8  # `docker stop` sends SIGKILL after 10
        logs = [log.read_text() for log in (studies.directory / "home" / "logs").rglob("worker-*.log")]
        assert ["No PostgreSQL server answers" in log for log in logs] == [True, True]
    finally:
        tcp_server._start()
    studies("launch", "./parabola.yaml", "--workers", "2", *slow)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    assert [trial.state for trial in trials if trial.continued_by is None] == ["complete"] * 8
    assert all(len(trial.curve) == 5 for trial in trials if trial.state == "complete")
    cut_off = [trial for trial in trials if trial.continued_by is not None]
    assert [trial.reason for trial in cut_off] == ["lost"] * 3
    # Each went on from its checkpoint, and so trained fewer than five epochs of 0.4 s.
    assert all((trials[trial.continued_by or 0].seconds or 0) < 1.9 for trial in cut_off)
    execute(tcp_server.url, "DROP DATABASE left_alone WITH (FORCE)")


def test_a_signal_to_every_process_at_once_is_one_signal(studies: Studies) -> None:
    """As Slurm and systemd send it; the launcher hands its own on, so its workers hear it twice."""
    with running(studies, "--set", "space.seconds=0.4") as (process, storage, study_id):
        for pid in (process.pid, *(worker.pid for worker in storage.ledger.workers(study_id))):
            os.kill(pid, signal.SIGTERM)
        assert "`studies launch parabola` goes on from here" in finish(process, expect=130)
    assert {trial.reason for trial in report(studies).trials if trial.state == "fail"} == {"stopped"}


def test_a_signal_after_a_stop_is_no_second_signal(studies: Studies) -> None:
    with running(studies, "--set", "space.seconds=1.5") as (process, storage, study_id):
        studies("stop", "parabola")
        wait_for(lambda: bool(storage.ledger.budget(study_id).stop))
        process.send_signal(signal.SIGTERM)
        finish(process, expect=130)
    assert {trial.reason for trial in report(studies).trials if trial.state == "fail"} == {"stopped"}
