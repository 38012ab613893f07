"""Workers in pods: killed, evicted, out of memory, stopped; the study is exact, and no secret is in the manifest.

No cluster is at hand: `cluster` stands in for one, and runs the worker's real command as the manifest says.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from studies.settings import Settings
from studies.spec import StudySpec
from studies.storage.ledger import Worker
from studies.testing import LauncherSuite
from studies.testing import launchers as suite

from ..acceptance.conftest import Studies, make_studies
from ..acceptance.test_faults import finish
from ..acceptance.test_machines import database, epochs, machine, make_machine, trials
from ..conftest import TcpServer, execute
from ..waiting import wait_for
from .cluster import Cluster, isolation
from .launches import ON_KUBERNETES, as_others_see_it, cluster_for

__all__ = ["database", "machine", "make_machine", "make_studies"]

SLOW = ("--set", "space.seconds=1.5")


@pytest.fixture(scope="module", autouse=True)
def _isolated() -> None:
    if not isolation():
        pytest.fail("this user may not make namespaces, and pods need some; type: sudo make test-kubernetes")


@pytest.fixture
def cluster(machine: Studies, database: str) -> Iterator[Cluster]:
    with cluster_for(machine, database) as cluster:
        yield cluster


class TestKubernetes(LauncherSuite):
    launcher = "kubernetes"
    resources: ClassVar[Mapping[str, Any]] = {"kubernetes": {"image": "lab/parabola:1"}}
    cluster: ClassVar[Cluster]

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tcp_server: TcpServer, reachable_directory: Path) -> Iterator[Settings]:
        home = reachable_directory / "kubernetes"
        home.mkdir()
        execute(tcp_server.url, "CREATE DATABASE pods")
        with Cluster(home, home) as cluster, pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{cluster.bin}:{os.environ['PATH']}")
            cls.cluster = cluster
            yield Settings(as_others_see_it(tcp_server.team_url(database="pods")), home / "home", home / "data")
        execute(tcp_server.url, "DROP DATABASE pods WITH (FORCE)")

    def is_there(self, worker: Worker) -> bool:
        """A worker's process has the number 1 in its pod, and another here."""
        return worker.host in self.cluster.alive()


def test_a_study_is_exact_with_pods_killed_evicted_and_out_of_memory(machine: Studies, cluster: Cluster) -> None:
    launch = machine.start(*ON_KUBERNETES, "4", "--trials", "24", *SLOW)
    wait_for(lambda: len(cluster.alive()) == 4 and len(epochs(machine)) >= 8)
    killed, evicted, hungry, _ = cluster.alive()
    assert_nobody_is_told(machine, cluster)
    cluster.kill(killed)
    cluster.evict(evicted)
    wait_for(lambda: len({*cluster.alive()} - {killed, evicted}) == 4)
    cluster.kill(hungry, out_of_memory=True)
    machine.hurry()

    said = finish(launch, expect=0)
    assert f"{killed} died (killed by SIGKILL); another takes its place." in said
    assert f"{hungry} was killed for lack of memory, as the sampler knows; another starts." in said
    ended = trials(machine)
    counted = [trial for trial in ended if trial.continued_by is None]
    assert len(counted) == 24
    assert sorted(trial.reason or "" for trial in counted) == [""] * 23 + ["out_of_memory"]
    assert {trial.reason for trial in ended if trial.continued_by is not None} == {"stopped", "lost"}
    assert cluster.n_created >= 7
    wait_for(lambda: not cluster.objects.all("Job") + cluster.objects.all("Secret"))
    logs = [path.name for path in (machine.directory / "home" / "logs").rglob("worker-*.log")]
    assert {f"worker-{name}.log" for name in (killed, hungry)} <= {*logs}  # an evicted pod goes with its log


def assert_nobody_is_told(machine: Studies, cluster: Cluster) -> None:
    """The storage's address is in a Secret, and the worker's environment, and nowhere else."""
    secret = TcpServer.PASSWORD[:6]
    [kept] = cluster.objects.all("Secret")
    assert secret in kept["stringData"]["STUDIES_STORAGE"]
    assert secret not in str(cluster.objects.all("Job") + cluster.objects.all("Pod"))
    assert not [name for name in cluster.alive() if secret in str(cluster.worker(name).cmdline())]
    assert not [path for path in (machine.directory / "home" / "logs").rglob("*.*") if secret in path.read_text()]


@pytest.mark.parametrize("by", ["Ctrl-C", "studies stop"])
def test_a_stop_lets_workers_leave_and_deletes_the_job(machine: Studies, cluster: Cluster, by: str) -> None:
    launch = machine.start(*ON_KUBERNETES, "2", "--trials", "99", *SLOW)
    wait_for(lambda: len(epochs(machine)) >= 4)
    if by == "Ctrl-C":
        launch.send_signal(signal.SIGINT)
    else:
        machine("stop", "counted")
    assert "goes on from here" in finish(launch, expect=130)
    wait_for(lambda: not [each for kind in ("Job", "Pod", "Secret") for each in cluster.objects.all(kind)])
    assert cluster.n_created == 2
    assert {trial.reason for trial in trials(machine) if trial.state == "fail"} <= {"stopped"}


def test_what_a_dry_run_prints_runs_the_study_by_hand(machine: Studies, cluster: Cluster) -> None:
    machine.hurry()
    machine("launch", "./counted.yaml", "--trials", "1", *SLOW)
    (machine.directory / "quick").unlink()
    own = ("--kubernetes", "secret=ours", "--kubernetes", "grace_s=1")
    address = machine.environment["STUDIES_STORAGE"]
    before = cluster.objects.all("Job")
    job = yaml.safe_load(machine(*ON_KUBERNETES, "2", "--trials", "8", *own, "--dry-run").stdout)
    assert cluster.objects.all("Job") == before == []
    raise_budget(machine, 8)
    with cluster.objects.alone():
        cluster.objects.put(
            {"kind": "Secret", "metadata": {"name": "ours"}, "stringData": {"STUDIES_STORAGE": address}}
        )
        cluster.objects.put(job | {"metadata": job["metadata"] | {"uid": "1"}})
    wait_for(lambda: len(epochs(machine)) >= 6)
    cluster.evict(cluster.alive()[0])
    machine.hurry()
    wait_for(lambda: cluster.objects.all("Job")[0]["status"]["conditions"] != [])
    assert cluster.objects.all("Job")[0]["status"]["conditions"] == [{"type": "Complete", "status": "True"}]
    assert [trial.state for trial in trials(machine) if trial.continued_by is None] == ["complete"] * 8


def raise_budget(machine: Studies, n_trials: int) -> None:
    from studies import study
    from studies.storage import open_storage

    with open_storage(Settings.from_environment(machine.environment)) as storage:
        storage.ledger.open_study(study.get(storage, "counted")._study_id, n_trials)


def test_other_code_in_the_image_ends_the_job_with_its_sentence(
    machine: Studies, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.image = tmp_path
    tmp_path.chmod(0o755)
    (tmp_path / "counted.py").write_text((machine.directory / "counted.py").read_text() + "\nRELEASE = 2\n")
    said = finish(machine.start(*ON_KUBERNETES, "2"), expect=2)
    assert "studies: This machine has other code than study 'counted' was last launched with" in said
    wait_for(lambda: not cluster.alive())


def test_what_kubernetes_refuses_is_one_sentence(machine: Studies, cluster: Cluster) -> None:
    said = machine(*ON_KUBERNETES, "2", "--kubernetes", "namespace=lab", expect=2).stderr.splitlines()[-1]
    assert said.startswith(
        'studies: kubectl said: Error from server (NotFound): namespaces "lab" not found; `kubectl get'
    )


def test_why_a_worker_waits_is_said_once(machine: Studies, cluster: Cluster) -> None:
    launch = machine.start(*ON_KUBERNETES, "2", "--kubernetes", "secret=missing")
    wait_for(lambda: any(waits(pod) for pod in cluster.objects.all("Pod")))
    assert launch.stderr is not None
    lines = iter(launch.stderr.readline, "")
    assert any(
        'A worker waits for its turn: CreateContainerConfigError: secret "missing" not found' in line for line in lines
    )
    launch.send_signal(signal.SIGINT)
    assert "waits for its turn" not in finish(launch, expect=130)


def waits(pod: dict[str, object]) -> bool:
    return "containerStatuses" in pod["status"]  # type: ignore[operator]


def test_a_launcher_that_failed_leaves_nothing_behind(machine: Studies, cluster: Cluster) -> None:
    """However it ended: `close` deletes the Job, and its Secret goes with it."""
    from studies.run.launchers import make_launcher
    from studies.testing.parabola import parabola

    spec: StudySpec = parabola("left", 99, suite.LONG_S, resources={"kubernetes": {"image": "lab/parabola:1"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", machine.environment["PATH"])
        with closing(make_launcher("kubernetes", spec, Settings.from_environment(machine.environment), 1)) as launcher:
            launcher.start("left", 1)
            assert len(cluster.objects.all("Secret")) == 1
    wait_for(lambda: not cluster.objects.all("Job") + cluster.objects.all("Secret"))
