"""Workers on a real Slurm: at their time limit, preempted, cancelled, stopped; the study is exact, and tells nobody."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from studies.run.launchers.slurm.script import quoted
from studies.testing import LauncherSuite

from ..acceptance.conftest import Studies, make_studies
from ..acceptance.test_faults import finish
from ..acceptance.test_machines import database, epochs, logs, machine, make_machine, trials
from ..conftest import TcpServer
from ..waiting import wait_for
from .cluster import CPUS, Cluster

__all__ = ["database", "machine", "make_machine", "make_studies"]

ON_SLURM = ("launch", "./counted.yaml", "--on", "slurm", "--workers")


@pytest.fixture(scope="module", autouse=True)
def cluster(reachable_directory: Path) -> Iterator[Cluster]:
    if os.geteuid() != 0:
        pytest.fail("slurmctld and slurmd run as root here; type: sudo make test-slurm")
    if missing := [name for name in ("munged", "slurmctld", "slurmd") if not shutil.which(name, path=PATH)]:
        pytest.fail(f"{missing[0]} is not installed; on Debian: apt-get install slurm-wlm munge")
    directory = reachable_directory / "slurm"
    directory.mkdir()
    with Cluster(directory) as cluster:
        os.environ["SLURM_CONF"] = str(cluster.configuration)
        yield cluster
        del os.environ["SLURM_CONF"]


PATH = f"{os.environ['PATH']}:/usr/sbin"


class TestSlurm(LauncherSuite):
    launcher = "slurm"


def queue(cluster: Cluster, *states: str) -> list[str]:
    """The tasks in these states."""
    shown = cluster("squeue", "--noheader", "--array", f"--states={','.join(states) or 'all'}", "--format=%i")
    return shown.splitlines()


def test_a_study_is_exact_with_workers_cancelled_preempted_and_at_their_limit(
    machine: Studies, database: str, cluster: Cluster
) -> None:
    machine.environment["STUDIES_STORAGE"] = database
    options = ("--slurm", "partition=low", "--slurm", "time=1", "--slurm", "signal=TERM@40")
    launch = machine.start(
        *ON_SLURM, "4", *options, "--trials", "28", "--set", "space.seconds=1.5", "--set", "max_epochs=5"
    )
    wait_for(lambda: len(epochs(machine)) >= 8)
    wait_for(lambda: len(queue(cluster, "RUNNING")) == 4)
    [job] = {task.partition("_")[0] for task in queue(cluster, "RUNNING")}
    assert sorted(queue(cluster, "RUNNING")) == [f"{job}_{index}" for index in range(4)]
    assert_nobody_is_told(machine, job, cluster)
    cluster("scancel", f"{job}_1")
    wait_for(lambda: f"{job}_1" in queue(cluster, "CANCELLED"))
    # The others are sent away at their limit. One is preempted once they run again: not while it leaves for the limit.
    wait_for(lambda: logs(machine).count("again as soon as there is room") >= 2)
    wait_for(lambda: len(queue(cluster, "RUNNING")) == 3)
    cluster("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 6")
    wait_for(lambda: f"{job}_" in " ".join(queue(cluster, "PENDING")))  # one made room, and is queued again
    machine.hurry()

    said = finish(launch, expect=0)
    assert "died" not in said
    ended = trials(machine)
    assert [trial.state for trial in ended if trial.continued_by is None] == ["complete"] * 28
    assert {trial.reason for trial in ended if trial.continued_by is not None} == {"stopped"}
    # Every worker left after an epoch and kept it: none was trained twice, none is missing.
    assert sorted(epochs(machine)) == sorted([*range(1, 6)] * 28)
    assert logs(machine).count("again as soon as there is room") >= 2  # at the limit; who is preempted need not ask
    restarts = cluster("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--Format=RestartCnt")
    assert sum(map(int, restarts.split())) >= 3
    wait_for(lambda: not queue(cluster, "RUNNING", "PENDING"))


def test_a_worker_that_slurm_ends_for_another_job_has_left(machine: Studies, database: str, cluster: Cluster) -> None:
    machine.environment["STUDIES_STORAGE"] = database
    options = ("--slurm", "partition=lowest", "--slurm", f"cpus-per-task={CPUS}")
    launch = machine.start(*ON_SLURM, "1", *options, "--trials", "2", "--set", "space.seconds=1")
    wait_for(lambda: epochs(machine))
    [task] = queue(cluster, "RUNNING")
    cluster("sbatch", "--partition=high", f"--cpus-per-task={CPUS}", "--output=/dev/null", "--wrap=true")
    wait_for(lambda: task in queue(cluster, "PREEMPTED"))
    machine.hurry()
    said = finish(launch, expect=0)
    assert "died" not in said
    assert "left, and another takes its place: Slurm has given its place to another job." in said
    assert sorted(epochs(machine)) == sorted([*range(1, 6)] * 2)


def assert_nobody_is_told(machine: Studies, job: str, cluster: Cluster) -> None:
    """The password of the storage is in a file that its owner alone may read, and nowhere else."""
    secret = TcpServer.PASSWORD[:6]
    [settings] = (machine.directory / "home" / "logs").rglob("settings.sh")
    assert secret in settings.read_text()
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert secret not in settings.with_name("job.sh").read_text()
    assert secret not in cluster("scontrol", "show", "job", job)
    assert secret not in cluster("scontrol", "write", "batch_script", f"{job}_0", "-")
    assert not [
        line for process in psutil.process_iter(["cmdline"]) if secret in (line := str(process.info["cmdline"]))
    ]
    assert not [path for path in (cluster.directory / "state").rglob("*") if holds(path, secret)]


def holds(path: Path, secret: str) -> bool:
    return path.is_file() and secret.encode() in path.read_bytes()


@pytest.mark.parametrize("by", ["Ctrl-C", "studies stop"])
def test_a_stop_lets_workers_leave_and_cancels_who_waits(machine: Studies, cluster: Cluster, by: str) -> None:
    half = f"cpus-per-task={CPUS // 2}"
    launch = machine.start(*ON_SLURM, "3", "--slurm", half, "--trials", "99", "--set", "space.seconds=0.5")
    wait_for(lambda: len(epochs(machine)) >= 8)
    assert len(queue(cluster, "PENDING")) == 1
    if by == "Ctrl-C":
        launch.send_signal(signal.SIGINT)
    else:
        machine("stop", "counted")
    assert "goes on from here" in finish(launch, expect=130)
    wait_for(lambda: not queue(cluster, "RUNNING", "PENDING", "COMPLETING"))
    assert {trial.reason for trial in trials(machine) if trial.state == "fail"} <= {"stopped"}
    assert not list((machine.directory / "home" / "logs").rglob("settings.sh"))


def test_workers_that_could_not_reach_the_storage_are_not_started(machine: Studies) -> None:
    said = machine(*ON_SLURM, "2", "--slurm", "partition=wide", expect=2).stderr.splitlines()
    assert said == [
        "studies: --on slurm may start workers on other, and the embedded storage can be reached from this machine "
        "alone; `studies storage serve --host ADDRESS --detach` starts one for all, and prints what to set "
        "STUDIES_STORAGE to."
    ]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("gres=gpu:1", "Invalid generic resource (gres) specification; options of sbatch are given as --slurm KEY="),
        ("partition=no such", "Invalid partition name specified; `sinfo` shows the partitions that there are."),
    ],
)
def test_what_slurm_refuses_is_one_sentence(machine: Studies, option: str, expected: str) -> None:
    said = machine(*ON_SLURM, "2", "--slurm", option, expect=2).stderr.splitlines()[-1]
    assert said.startswith("studies: sbatch said: ")
    assert said.count("sbatch") - expected.count("sbatch") == 1
    assert expected in said


@pytest.mark.parametrize("text", ["plain", "a b", "it's # not", 'a "b" \\ c\\', "$HOME %j é", "'", "\\n"])
def test_slurm_reads_what_is_quoted(cluster: Cluster, tmp_path: Path, text: str) -> None:
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/bash\n#SBATCH --hold --output=/dev/null --comment={quoted(text)}\ntrue\n")
    job = cluster("sbatch", "--parsable", str(script))
    try:
        shown = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%k"], capture_output=True, text=True)
        assert shown.stdout.removesuffix("\n") == text
    finally:
        cluster("scancel", job)
