"""Several launchers and workers, as on several machines, against one TCP server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from studies.report.summary import read_report
from studies.settings import Settings
from studies.storage import open_storage

from ..conftest import TcpServer, execute
from .conftest import Studies


@pytest.fixture
def team(tcp_server: TcpServer, studies: Studies) -> Iterator[Studies]:
    """`studies` with the team's server as its storage, in a database of its own."""
    execute(tcp_server.url, "CREATE DATABASE team_test")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="team_test")
    yield studies
    execute(tcp_server.url, "DROP DATABASE team_test WITH (FORCE)")


def test_two_launchers_and_a_worker_share_one_exact_study(team: Studies, tcp_server: TcpServer) -> None:
    slow = ("--set", "space.seconds=0.05", "--trials", "30")
    launchers = [team.start("launch", "./parabola.yaml", "--workers", "2", *slow) for _ in range(2)]
    # A third machine joins by name alone, once the study is there.
    joined = ""
    while "0 s" not in joined and "trial" not in joined:
        worker = team.start("worker", "parabola")
        _, joined = worker.communicate(timeout=120)
        if worker.returncode == 0:
            break
        assert "has no trial in this storage yet" in joined, joined
    for launcher in launchers:
        _, stderr = launcher.communicate(timeout=180)
        assert launcher.returncode == 0, stderr
        assert tcp_server.PASSWORD not in stderr
    with open_storage(Settings.from_environment(team.environment)) as storage:
        trials = read_report(storage, "parabola").trials
    assert sorted(trial.number for trial in trials) == list(range(30))
    assert all(trial.state == "complete" for trial in trials)
    assert len({trial.params["x"] for trial in trials}) == 30
    assert "left: all 30 trials are done" in joined
    assert not (team.directory / "home" / "postgres").exists()


def test_the_password_is_in_no_log_and_no_export(team: Studies, tcp_server: TcpServer) -> None:
    launched = team("launch", "./parabola.yaml", "--workers", "2")
    shown = launched.stderr + launched.stdout + team("export", "parabola").stdout + team("storage", "url").stdout
    written = [path.read_text() for path in team.directory.rglob("*.log")] + [shown]
    for text in written:
        assert "s3cret" not in text
