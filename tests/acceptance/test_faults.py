"""Faults in the middle of a study: a worker that stalls, a server that dies, one that is gone for good, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from studies import study
from studies.record.reading import read_stored
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.storage.embedded import EmbeddedServer

from ..conftest import TcpServer, execute, let_a_lease_pass, rows_of
from ..waiting import PATIENCE_S, hear, wait_for
from .conftest import Studies
from .test_study import assert_continued_values, counted, n_trials, report

SLOW = ("--set", "space.seconds=1")


@contextmanager
def running(studies: Studies, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Storage, int]]:
    """Yield a launch whose workers have reported something, its storage and its study's id."""
    process = studies.start("launch", "./parabola.yaml", "--workers", "2", *arguments)
    if "STUDIES_STORAGE" not in studies.environment:
        wait_for(lambda: (studies.directory / "home" / "postgres").exists())
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        wait_for(lambda: n_trials(storage) > 0)
        study_id = study.get(storage, "parabola")._study_id
        wait_for(lambda: any(worker.epoch for worker in storage.ledger.workers(study_id)))
        yield process, storage, study_id


def finish(process: subprocess.Popen[str], expect: int = 0) -> str:
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == expect, stderr
    assert "Traceback" not in stderr
    return stderr


def wait_until_a_trial_is_lost(storage: Storage, worker: str) -> None:
    """Wait until others have taken over the trial of a worker that says nothing any more. worker: its condition."""

    def is_lost() -> bool:
        let_a_lease_pass(storage.url, worker)  # each time: a last heartbeat may have been on its way
        return any(trial.reason == "lost" for trial in read_stored(storage, "parabola").trials)

    wait_for(is_lost)


def kill_server(server: EmbeddedServer) -> None:
    os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def test_a_stalled_worker_finds_its_trial_taken_over_and_goes_on(studies: Studies) -> None:
    with running(studies, *SLOW, "--trials", "12") as (process, storage, study_id):
        stalled = wait_for(lambda: [worker.pid for worker in storage.ledger.workers(study_id) if worker.epoch])[0]
        os.kill(stalled, signal.SIGSTOP)
        wait_until_a_trial_is_lost(storage, f"pid = {stalled}")
        os.kill(stalled, signal.SIGCONT)
        studies.hurry()
        stderr = finish(process)
    assert "died" not in stderr
    trials = report(studies).trials
    assert counted(studies) == 12
    assert len([trial for trial in trials if trial.reason == "lost"]) == 1
    assert_continued_values(studies)
    assert "was taken over by another worker" in "".join(logs(studies))


def test_the_embedded_server_is_killed_and_comes_back(studies: Studies) -> None:
    with running(studies, *SLOW) as (process, storage, _):
        assert storage.server is not None
        for _ in range(2):
            kill_server(storage.server)
            time.sleep(0.5)
            wait_for(storage.server.answers)
        studies.hurry()
        finish(process)
    assert counted(studies) == 8
    assert {trial.state for trial in report(studies).trials} == {"complete"}
    assert_continued_values(studies)


PLAIN = """
def choose(trial):
    trial.report(trial.suggest_categorical("n", [1, 2, 3]), 1)
    return trial.params["n"]
"""
PLAIN_STUDY = {"objective": "plain:choose", "metric": "n", "direction": "minimize", "n_trials": 3, "max_epochs": 1}


def test_who_waits_for_a_lock_or_holds_it_when_the_server_is_killed_goes_on(studies: Studies) -> None:
    """Workers of a plain function choose one after the other, so there nearly always is one that waits."""
    (studies.directory / "plain.py").write_text(PLAIN)
    (studies.directory / "plain.yaml").write_text(yaml.safe_dump({"name": "plain", **PLAIN_STUDY}))
    studies("launch", "./plain.yaml", "--trials", "1")
    with open_storage(studies.settings) as storage:
        assert storage.server is not None
        with storage.ledger.alone(f"asked {study.get(storage, 'plain')._study_id}"):
            process = studies.start("launch", "./plain.yaml", "--workers", "2")
            waiting = "SELECT FROM pg_stat_activity WHERE query = 'ROLLBACK'"
            wait_for(lambda: len(rows_of(storage.url, waiting)) == 2)
            kill_server(storage.server)
            stderr = finish(process)
        assert "died" not in stderr
        assert [trial.state for trial in read_stored(storage, "plain").trials] == ["complete"] * 3


def test_a_restarted_server_costs_nothing(studies: Studies, tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE restarts")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="restarts")
    with running(studies, *SLOW) as (process, _, _):
        tcp_server._stop()
        time.sleep(3)
        tcp_server._start()
        studies.hurry()
        finish(process)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    assert [trial.state for trial in trials] == ["complete"] * 8
    assert all(len(trial.curve) == 5 for trial in trials)
    execute(tcp_server.url, "DROP DATABASE restarts WITH (FORCE)")


def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(studies: Studies) -> None:
    """As a standby does until it takes over, and a provider's server whose disk is full."""
    with running(studies, *SLOW) as (process, storage, _):
        read_only(storage, "on")
        wait_for(lambda: "takes no writes (cannot execute " in "".join(logs(studies)))
        read_only(storage, "off")
        studies.hurry()
        finish(process)
    assert counted(studies) == 8
    assert {trial.state for trial in report(studies).trials} == {"complete"}
    assert_continued_values(studies)
    assert "no heartbeat: " not in "".join(logs(studies))


REFUSE_HEARTBEATS = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON studies.workers FOR EACH ROW
    WHEN (new.trial_id = old.trial_id AND new.ended_at IS NULL) EXECUTE FUNCTION refuse()"""


def test_a_heartbeat_that_the_server_refuses_is_not_the_last(studies: Studies) -> None:
    studies.environment["STUDIES_LEASE_S"] = "12"  # a heartbeat every second
    with running(studies, *SLOW, "--trials", "99") as (process, storage, _):
        execute(storage.url, REFUSE_HEARTBEATS)
        wait_for(lambda: "no heartbeat: " in "".join(logs(studies)))
        execute(storage.url, "DROP FUNCTION refuse CASCADE")
        [(since,)] = rows_of(storage.url, "SELECT now()")
        living = "SELECT FROM studies.workers GROUP BY () HAVING min(heartbeat_at) > '{}' AND count(*) = 2"
        wait_for(lambda: rows_of(storage.url, living.format(since)))
        process.send_signal(signal.SIGINT)
        finish(process, expect=130)


def read_only(storage: Storage, on: str) -> None:
    for statement in (f"ALTER SYSTEM SET default_transaction_read_only = {on}", "SELECT pg_reload_conf()"):
        execute(storage.url, statement)


def test_a_server_that_is_gone_for_good_ends_the_launch_with_a_checkpoint(
    studies: Studies, tcp_server: TcpServer
) -> None:
    execute(tcp_server.url, "CREATE DATABASE gone")
    url = tcp_server.team_url(database="gone")
    studies.environment |= {"STUDIES_STORAGE": url, "STUDIES_STORAGE_WAIT_S": "3"}
    try:
        with running(studies, *SLOW) as (process, _, _):
            tcp_server._stop()
            assert "No PostgreSQL server answers" in finish(process, expect=3)
        assert list((studies.directory / "home" / "checkpoints").rglob("*.safetensors"))
    finally:
        tcp_server._start()
    let_a_lease_pass(url)
    studies.hurry()
    del studies.environment["STUDIES_STORAGE_WAIT_S"]
    studies("launch", "./parabola.yaml", "--workers", "2", *SLOW)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    assert len([trial for trial in trials if trial.continued_by is None]) == 8
    assert all(len(trial.curve) == 5 for trial in trials if trial.state == "complete")
    execute(tcp_server.url, "DROP DATABASE gone WITH (FORCE)")


def test_who_waits_for_a_dead_server_leaves_at_the_first_signal(studies: Studies, tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE left_alone")
    url = studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="left_alone")
    code = (studies.directory / "mine.py").read_text()
    trained = "self.n += 1; print('trained', self.params['x'], self.n, flush=True)"
    (studies.directory / "mine.py").write_text(code.replace("self.n += 1", trained))
    try:
        with running(studies, *SLOW, "--trials", "16") as (process, storage, study_id):
            alone = studies.start("worker", "parabola")
            wait_for(lambda: len([worker for worker in storage.ledger.workers(study_id) if worker.epoch]) == 3)
            tcp_server._stop()
            heard = {waiting: hear(waiting, "Waiting for up to") for waiting in (process, alone)}
            wait_for(lambda: [log.count("No PostgreSQL server answers") > 0 for log in logs(studies)] == [True, True])
            process.send_signal(signal.SIGINT)
            alone.send_signal(signal.SIGTERM)
            for waiting, said in heard.items():
                assert "No PostgreSQL server answers" in said
                stdout, stderr = waiting.communicate(timeout=PATIENCE_S)  # half of what it would wait for a server
                assert waiting.returncode == 3, stderr
                assert stderr.splitlines()[-1].startswith("studies: No PostgreSQL server answers")
                assert "Traceback" not in stderr
    finally:
        tcp_server._start()
    let_a_lease_pass(url)
    studies.hurry()
    studies("launch", "./parabola.yaml", "--workers", "2", *SLOW, "--trials", "16")
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    assert [trial.state for trial in trials if trial.continued_by is None] == ["complete"] * 16
    assert all(len(trial.curve) == 5 for trial in trials if trial.state == "complete")
    assert [trial.reason for trial in trials if trial.continued_by is not None] == ["lost"] * 3
    printed = "".join([stdout, *logs(studies)]).splitlines()  # the last one's own, and the logs of the others
    epochs = [line for line in printed if line.startswith("trained")]
    assert len(epochs) == len(set(epochs)) == 16 * 5  # each trial went on from its checkpoint
    execute(tcp_server.url, "DROP DATABASE left_alone WITH (FORCE)")


def logs(studies: Studies) -> list[str]:
    """What each worker of a launch has printed."""
    return [log.read_text() for log in (studies.directory / "home" / "logs").rglob("worker-*.log")]


def test_a_signal_to_every_process_at_once_is_one_signal(studies: Studies) -> None:
    """As Slurm and systemd send it; the launcher hands its own on, so its workers hear it twice."""
    with running(studies, *SLOW) as (process, storage, study_id):
        for pid in (process.pid, *(worker.pid for worker in storage.ledger.workers(study_id))):
            os.kill(pid, signal.SIGTERM)
        assert "`studies launch parabola` goes on from here" in finish(process, expect=130)
    assert {trial.reason for trial in report(studies).trials if trial.state == "fail"} == {"stopped"}


def test_a_signal_after_a_stop_is_no_second_signal(studies: Studies) -> None:
    with running(studies, "--set", "space.seconds=1.5") as (process, storage, study_id):
        studies.told("stop", "parabola")
        wait_for(lambda: bool(storage.ledger.budget(study_id).stop))
        process.send_signal(signal.SIGTERM)
        finish(process, expect=130)
    assert {trial.reason for trial in report(studies).trials if trial.state == "fail"} == {"stopped"}
