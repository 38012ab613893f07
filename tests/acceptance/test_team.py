"""A study on a team's server: from machines that have a certificate and a line, while the server is killed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from studies.errors import StorageUnreachable
from studies.record.reading import read_stored
from studies.settings import Settings
from studies.storage import open_storage

from ..conftest import let_a_lease_pass, reserved_port
from ..served import Served
from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies

Make = Callable[[str], Studies]


@pytest.fixture
def served(make_studies: Make) -> Iterator[Served]:
    machine = make_studies("serving")
    (machine.directory / "home").mkdir()
    with reserved_port() as port:  # it is killed, and comes back at the same one
        served = Served(machine.directory / "home", port)
        yield served
        if served.process.poll() is None:
            served.end()


def machine(make_studies: Make, served: Served, role: str, name: str) -> Studies:
    """Another machine: a home and a copy of the certificate of its own, and the line that was pasted there."""
    machine = make_studies(name)
    copy = Path(shutil.copy(served.place.root, machine.directory / "root.crt"))
    machine.environment["STUDIES_STORAGE"] = served.url(role).replace(str(served.place.root), str(copy))
    return machine


def n_ended(machine: Studies) -> int:
    """How many trials have ended; none while the server is away."""
    try:
        with open_storage(Settings.from_environment(machine.environment)) as storage:
            return sum(storage.ledger.n_ended().values())
    except StorageUnreachable:
        return 0


def hurt(served: Served, how: str) -> None:
    """Kill PostgreSQL, the process in front of it, or both; start again what does not start itself."""
    port = served.place.address().port
    if how != "front":
        served.kill_postgres()
    if how != "postgres":
        served.kill()
        time.sleep(0.5)
        served.start(port)


def study(make_studies: Make, served: Served, n_trials: int, n_workers: int, kills: list[str]) -> Studies:
    """Launch from two machines, hurt the server at even distances, and check that the study is exact."""
    machines = [machine(make_studies, served, "worker", name) for name in ("gpu1", "gpu2")]
    given = ("--workers", str(n_workers), "--trials", str(n_trials), "--set", "space.seconds=0.1")
    launches = [each.start("launch", "./parabola.yaml", *given) for each in machines]
    for n, how in enumerate(kills, start=1):
        enough = n * n_trials // (len(kills) + 1)
        wait_for(partial(lambda enough: n_ended(machines[0]) >= enough, enough))
        hurt(served, how)
    for launch in launches:
        stdout, stderr = launch.communicate(timeout=PATIENCE_S)
        assert launch.returncode == 0, stderr
        assert served.url("worker").split(":")[2].partition("@")[0] not in stdout + stderr
    with open_storage(Settings.from_environment(machines[0].environment)) as storage:
        trials = read_stored(storage, "parabola").trials
    ended = [trial for trial in trials if trial.continued_by is None]
    assert [trial.state for trial in ended] == ["complete"] * n_trials
    assert len({trial.params["x"] for trial in ended}) == n_trials
    assert all(trial.curve.keys() == {1, 2, 3, 4, 5} for trial in ended)
    return machines[0]


def test_a_study_is_exact_although_its_server_is_killed(make_studies: Make, served: Served) -> None:
    study(make_studies, served, 12, 2, ["postgres", "both"])


def test_a_viewer_sees_everything_and_starts_nothing(make_studies: Make, served: Served) -> None:
    worker = machine(make_studies, served, "worker", "gpu1")
    worker("launch", "./parabola.yaml", "--trials", "3")
    viewer = machine(make_studies, served, "viewer", "laptop")
    assert "parabola" in viewer("list").stdout
    assert viewer("status", "parabola").stdout in worker("status", "parabola").stdout  # whose checkpoints are its own
    for form in ("yaml", "csv"):
        exported = [each("export", "parabola", "--format", form).stdout for each in (viewer, worker)]
        assert exported[0] == exported[1]
    viewer("report", "parabola", "-o", "page.html")
    for arguments in (("launch", "./parabola.yaml", "--trials", "5"), ("worker", "parabola")):
        refused = viewer(*arguments, expect=2)
        assert "does not let this user do that (permission denied" in refused.stderr, arguments
    assert "3" in worker("status", "parabola").stdout


def test_a_backup_of_a_running_study_goes_on_elsewhere(make_studies: Make, served: Served) -> None:
    worker = machine(make_studies, served, "worker", "gpu1")
    launch = worker.start("launch", "./parabola.yaml", "--workers", "2", "--trials", "8", "--set", "space.seconds=0.1")
    wait_for(lambda: n_ended(worker) >= 2)
    viewer = machine(make_studies, served, "viewer", "laptop")
    viewer("storage", "backup", "middle.backup")
    launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 0
    viewer("storage", "backup", "end.backup")

    elsewhere = make_studies("elsewhere")
    elsewhere("storage", "restore", str(viewer.directory / "middle.backup"))
    with open_storage(elsewhere.settings) as storage:
        let_a_lease_pass(storage.url)
    elsewhere("launch", "./parabola.yaml", "--workers", "2", "--trials", "8", "--set", "space.seconds=0.1")
    with open_storage(elsewhere.settings) as storage:
        trials = read_stored(storage, "parabola").trials
    assert [trial.state for trial in trials if trial.continued_by is None] == ["complete"] * 8

    whole = make_studies("whole")
    whole("storage", "restore", str(viewer.directory / "end.backup"))
    for form in ("yaml", "csv", "json"):
        assert (
            whole("export", "parabola", "--format", form).stdout
            == worker("export", "parabola", "--format", form).stdout
        )
    refused = whole("storage", "restore", str(viewer.directory / "end.backup"), expect=2)
    assert "has studies already" in refused.stderr
