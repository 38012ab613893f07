"""Workers on a real Ray cluster of this machine: a node is lost, another is drained; the study is exact.

Run by `make test-ray`, which installs Ray: nothing else needs it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster
from ray.core.generated.gcs_pb2 import JobTableData

from benchmarks.networks import free_port
from studies import study
from studies.settings import Settings
from studies.storage import open_storage
from studies.testing import LauncherSuite

from ..acceptance.conftest import Studies, make_studies
from ..acceptance.test_faults import finish
from ..acceptance.test_machines import logs, machine, make_machine, trials
from ..waiting import PATIENCE_S, hear, wait_for

__all__ = ["machine", "make_machine", "make_studies"]

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own modules leave files open, and warn of what will change

SLOW = ("--set", "space.seconds=1.5")
CPUS = 2  # of each node: a worker takes one


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A node that stays. Its dashboard is left out: nothing here needs it."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CPUS, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def launched(machine: Studies, cluster: Cluster) -> Callable[..., subprocess.Popen[str]]:
    """Launch the study `counted` on the cluster."""
    prepare(machine)
    on = ("launch", "./counted.yaml", "--on", f"ray:{cluster.address}", *SLOW)
    return lambda *options: machine.start(*on, *options)


def prepare(machine: Studies) -> None:
    """Ray's own modules warn of what will change in them."""
    machine.command = [sys.executable, "-m", "studies"]
    machine.be_heard_elsewhere("counted.py")


class TestRay(LauncherSuite):
    @pytest.fixture(autouse=True)
    def _on_cluster(self, cluster: Cluster) -> None:
        self.launcher = f"ray:{cluster.address}"  # type: ignore[misc]


def n_at_work(machine: Studies) -> int:
    """How many workers run a trial and have reported an epoch of it."""
    with open_storage(Settings.from_environment(machine.environment)) as storage:
        if "counted" not in [started.name for started in storage.ledger.started_studies()]:
            return 0
        study_id = study.get(storage, "counted")._study_id
        return len([one for one in storage.ledger.workers(study_id) if one.epoch is not None and one.alive])


def assert_nothing_is_left(directory: Path) -> None:
    def left() -> list[psutil.Process]:
        found = [process for process in psutil.process_iter(["environ"]) if process.info["environ"]]
        return [
            process for process in found if process.info["environ"].get("STUDIES_HOME", "").startswith(str(directory))
        ]

    wait_for(lambda: not [one for one in left() if "postgres" not in one.name()])


def test_a_study_is_exact_though_a_node_is_lost(
    machine: Studies, cluster: Cluster, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launch = launched("--workers", "4", "--trials", "60")
    wait_for(lambda: n_at_work(machine) == CPUS)  # it belongs to the node that stays
    lost = cluster.add_node(num_cpus=CPUS)
    wait_for(lambda: n_at_work(machine) == 4)
    cluster.remove_node(lost, allow_graceful=False)
    added = cluster.add_node(num_cpus=CPUS)
    try:
        heard = [hear(launch, "is gone, and its worker") for _ in range(CPUS)]
        machine.hurry()
        said = "".join(heard) + finish(launch)
    finally:
        cluster.remove_node(added)
    assert said.count("is gone, and its worker") == 2
    ended = trials(machine)
    assert [trial.state for trial in ended if trial.continued_by is None] == ["complete"] * 60
    assert {trial.reason for trial in ended if trial.continued_by is not None} <= {"lost", "stopped"}
    assert logs(machine).count("left: all 60 trials are done") >= 2
    assert_nothing_is_left(machine.directory)


def test_workers_leave_a_node_that_is_drained_and_start_elsewhere(
    machine: Studies, cluster: Cluster, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launch = launched("--workers", "4", "--trials", "60", "--set", "max_epochs=30")  # none is at its last epoch
    wait_for(lambda: n_at_work(machine) == CPUS)
    drained = cluster.add_node(num_cpus=CPUS)
    wait_for(lambda: n_at_work(machine) == 4)
    drain = ["drain-node", f"--address={cluster.address}", f"--node-id={drained.node_id}"]
    why = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot", "--deadline-remaining-seconds=600"]
    ray = Path(sys.executable).with_name("ray")
    subprocess.run([ray, *drain, *why], check=True, capture_output=True, timeout=PATIENCE_S)
    heard = [hear(launch, "another starts elsewhere") for _ in range(CPUS)]
    machine.hurry()
    said = "".join(heard) + finish(launch)
    cluster.remove_node(drained)
    assert said.count("another starts elsewhere") == 2
    ended = trials(machine)
    assert [trial.state for trial in ended if trial.continued_by is None] == ["complete"] * 60
    assert {trial.reason for trial in ended if trial.continued_by is not None} == {"stopped"}
    assert_nothing_is_left(machine.directory)


def node_of_driver(cluster: Cluster) -> str:
    """The id of the node through which the only launch belongs to a cluster: Ray takes any of this machine's."""
    state = cluster.global_state
    state._check_connected()
    [job] = [JobTableData.FromString(raw) for raw in state.global_state_accessor.get_job_table()]
    return str(job.driver_address.node_id.hex())


def test_a_launch_that_loses_its_node_connects_again_and_its_workers_go_on(machine: Studies) -> None:
    """Of its two workers, the one on the other node goes on."""
    prepare(machine)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = {node.node_id: node for node in (cluster.head_node, cluster.add_node(num_cpus=1))}
    on = ("--on", f"ray:{cluster.address}", *SLOW, "--workers", "2")
    launch = machine.start("launch", "./counted.yaml", *on, "--trials", "60")
    try:
        wait_for(lambda: n_at_work(machine) == 2)
        nodes[node_of_driver(cluster)].kill_raylet()
        heard = hear(launch, "connected to its Ray cluster again")
        machine.hurry()
        said = heard + finish(launch)
    finally:
        cluster.shutdown()
    assert "has lost its Ray cluster (the node is gone through which this launch belonged to it)" in said
    assert "connected to its Ray cluster again" in said
    assert said.count("another") <= 1  # it may be seen to die before its node is known to be gone
    assert [trial.state for trial in trials(machine) if trial.continued_by is None] == ["complete"] * 60
    assert_nothing_is_left(machine.directory)


def test_a_launch_outlives_a_cluster_that_loses_its_head(machine: Studies) -> None:
    """As after `ray stop` and `ray start --head`: another cluster at the same address."""
    prepare(machine)
    args = {"num_cpus": CPUS, "include_dashboard": False, "gcs_server_port": free_port()}
    first = Cluster(initialize_head=True, head_node_args=args)
    launch = machine.start(
        "launch", "./counted.yaml", "--on", f"ray:{first.address}", *SLOW, "--workers", "2",
        "--trials", "40",
    )  # fmt: skip
    wait_for(lambda: n_at_work(machine) == CPUS)
    first.shutdown()
    second = Cluster(initialize_head=True, head_node_args=args)
    try:
        heard = [hear(launch, "is gone; another starts elsewhere") for _ in range(CPUS)]
        machine.hurry()
        said = "".join(heard) + finish(launch)
    finally:
        second.shutdown()
    assert said.count("is gone; another starts elsewhere") == 2
    assert [trial.state for trial in trials(machine) if trial.continued_by is None] == ["complete"] * 40
    assert_nothing_is_left(machine.directory)


def test_a_cluster_that_stays_away_is_given_up_in_one_sentence(machine: Studies) -> None:
    prepare(machine)
    machine.environment["STUDIES_STORAGE_WAIT_S"] = "10"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    launch = machine.start("launch", "./counted.yaml", "--on", f"ray:{cluster.address}", *SLOW)
    wait_for(lambda: n_at_work(machine) == 1)
    cluster.shutdown()
    said = finish(launch, expect=4).splitlines()[-1]
    assert "its Ray cluster could not be reached for " in said
    assert_nothing_is_left(machine.directory)


def test_ctrl_c_lets_workers_leave_and_a_killed_launch_leaves_none(
    machine: Studies, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launch = launched("--workers", "2", "--trials", "99")
    wait_for(lambda: n_at_work(machine) == 2)
    launch.send_signal(signal.SIGINT)
    assert "goes on from here" in finish(launch, expect=130)
    assert {trial.reason for trial in trials(machine) if trial.state == "fail"} <= {"stopped"}
    launch = launched("--workers", "2", "--trials", "99")
    wait_for(lambda: n_at_work(machine) == 2)
    launch.kill()
    launch.communicate()
    wait_for(lambda: n_at_work(machine) == 0)
    assert_nothing_is_left(machine.directory)


def test_more_workers_than_places_wait_and_are_not_missed(
    machine: Studies, launched: Callable[..., subprocess.Popen[str]]
) -> None:
    launch = launched("--workers", "3", "--trials", "10")
    hear(launch, "1 worker without a place: each needs 1 CPU; `ray status` shows what is free.")
    machine.hurry()
    finish(launch)
    assert [trial.state for trial in trials(machine) if trial.continued_by is None] == ["complete"] * 10


def test_a_cluster_that_is_not_there_is_one_sentence(machine: Studies) -> None:
    machine.command = [sys.executable, "-m", "studies"]
    said = machine("launch", "./counted.yaml", "--on", "ray:127.0.0.1:1", expect=2).stderr.splitlines()[-1]
    assert said.startswith("studies: No Ray cluster answers at 127.0.0.1:1 (")
