"""Workers in pods, in short: tests/kubernetes has the whole."""

from __future__ import annotations

from ..kubernetes.launches import ON_KUBERNETES, cluster_for
from ..waiting import wait_for
from .conftest import Studies
from .test_faults import finish
from .test_machines import database, epochs, machine, make_machine, trials

__all__ = ["database", "machine", "make_machine"]


def test_a_study_in_pods_is_exact_though_one_is_killed(machine: Studies, database: str) -> None:
    machine.environment["STUDIES_LEASE_S"] = "3"  # a pod that this machine cannot isolate is not known by its name
    with cluster_for(machine, database) as cluster:
        launch = machine.start(*ON_KUBERNETES, "2", "--trials", "6", "--set", "space.seconds=1.5")
        wait_for(lambda: len(cluster.alive()) == 2 and len(epochs(machine)) >= 1)
        killed = cluster.alive()[0]
        cluster.kill(killed)
        machine.hurry()
        assert f"{killed} died (killed by SIGKILL); another takes its place." in finish(launch)
        wait_for(lambda: not cluster.objects.all("Job"))  # it is deleted without waiting
        counted = [trial.state for trial in trials(machine) if trial.continued_by is None]
    assert counted == ["complete"] * 6
    assert cluster.n_created == 3
