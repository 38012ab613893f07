"""What a machine can run out of or lack, made real by root: disk, memory, shared memory, a name for the user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from studies import study
from studies.record.reading import read_stored
from studies.storage import open_storage
from studies.storage.embedded import EmbeddedServer

from ..acceptance.conftest import Studies, make_studies, studies
from ..acceptance.test_faults import SLOW, finish, kill_server, running
from ..acceptance.test_machines import counted_all, logs, machine, make_machine
from ..acceptance.test_study import counted, report
from ..waiting import PATIENCE_S, wait_for

__all__ = ["machine", "make_machine", "make_studies", "studies"]


@pytest.fixture(scope="module", autouse=True)
def root() -> None:
    assert os.geteuid() == 0, "these tests mount a disk and limit memory; type: sudo make test-root"


@contextmanager
def disk(directory: Path, size: str) -> Iterator[None]:
    """Make the directory a disk of this size."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_disk_that_is_too_small_for_the_first_start_is_named(studies: Studies) -> None:
    home = studies.directory / "home"
    with disk(home, "8m"):
        *prepared, said = studies("launch", "./parabola.yaml", expect=3).stderr.splitlines()
    assert prepared == ["Preparing: importing the objective"]
    assert f"The disk of the PostgreSQL server in {home / 'postgres'} is full" in said
    assert "No space left on device" in said
    assert "shared memory" not in said


def test_a_full_disk_under_the_embedded_server_is_named_and_loses_nothing(studies: Studies) -> None:
    home = studies.directory / "home"
    filler = home / "filler"
    studies.environment |= {"STUDIES_STORAGE_WAIT_S": "5", "STUDIES_LEASE_S": "3"}
    with disk(home, "220m"):
        with running(studies, *SLOW) as (process, storage, _):
            filler.touch()
            while process.poll() is None:  # whatever it gives free is taken
                with suppress(OSError), filler.open("ab", buffering=0) as file:
                    while file.write(bytes(4096)):
                        pass
                if storage.server is not None and storage.server.answers():
                    with suppress(OSError):
                        kill_server(storage.server)
                time.sleep(0.5)
            stderr = finish(process, expect=3)
            assert f"The disk of the PostgreSQL server in {home / 'postgres'} is full" in stderr
            assert "No space left on device" in stderr
            filler.unlink()
        studies.hurry()
        studies("launch", "./parabola.yaml", "--workers", "2", *SLOW)
        assert counted(studies) == 8
        assert all(len(trial.curve) == 5 for trial in report(studies).trials if trial.state == "complete")
        EmbeddedServer(studies.settings).down()


def test_a_full_disk_costs_the_checkpoint_and_not_the_trial(machine: Studies) -> None:
    small = machine.directory / "small"
    machine.environment["STUDIES_ARTIFACTS"] = str(small)
    large = ("--set", "space.kilobytes=1024", "--set", "space.trouble=memory", "--set", "sampler.name=random")
    with disk(small, "512k"):
        (small / "filler").write_bytes(bytes(512 * 1024))
        machine("launch", "./counted.yaml", *large, "--trials", "3")
        found = report(machine, "counted").trials
        states = {trial.number: trial.state for trial in found}
        assert states == {trial.number: "fail" if trial.params["x"] > 0 else "complete" for trial in found}
        failed, complete = (next(n for n, state in states.items() if state == kind) for kind in ("fail", "complete"))
        assert f"trial {complete} goes on without a checkpoint: [Errno" in logs(machine)
        assert found[complete].detail == "its checkpoint could not be written: No space left on device"
        assert f"the traceback of trial {failed} is not kept as an artifact: [Errno" in logs(machine)
        assert found[failed].attributes["detail"] == "MemoryError: too large"
        assert not list(small.rglob("*.*"))  # not even a part of one
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        machine("launch", "./counted.yaml", *large, "--trials", "6")
        assert counted_all(machine) == 6
        assert list(small.rglob("*.safetensors"))


@pytest.fixture
def memory_limit() -> Iterator[list[str]]:
    """Yield what to put before a command so that it and its children get a gigabyte and no more."""
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().split())
    place, limit = (
        (one / own["memory"][1:], "limit_in_bytes") if "memory" in own else (two / own.get("", "/")[1:], "max")
    )
    group = place / f"studies-{os.getpid()}"
    group.mkdir()
    try:
        (group / f"memory.{limit}").write_text(str(2**30))
        yield ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
    finally:
        wait_for(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_what_the_kernel_kills_for_lack_of_memory_teaches_too(machine: Studies, memory_limit: list[str]) -> None:
    greedy = ("--set", "space.trouble=kernel", "--trials", "12", "--set", "limits.max_failures=12")
    greedy += ("--set", "sampler.name=random")  # another learns of it, and soon has no more of them
    process = machine.start("launch", "./counted.yaml", *greedy, before=memory_limit)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    found = report(machine, "counted").trials
    failed = [trial for trial in found if trial.state == "fail"]
    assert len(found) == 12  # none was tried again
    assert len(failed) > 3  # more than the workers that may die
    assert all(trial.params["x"] > 0 for trial in failed)
    assert {trial.reason for trial in failed} == {"out_of_memory"}
    assert stderr.count("was killed for lack of memory") == len(failed)
    with open_storage(machine.settings) as storage:
        told = {trial.number for trial in study.get(storage, "counted").trials if trial.constraints}
    assert told == {trial.number for trial in failed}


# A user that only a number names, as `docker run --user 12345` has it. It may read what root may: Python is in /root.
NAMELESS = [
    "setpriv", "--reuid=12345", "--clear-groups", "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip
UP = [sys.executable, "-m", "studies", "storage", "up"]


def test_a_user_without_a_name_gets_a_sentence(reachable_directory: Path) -> None:
    home = reachable_directory / "nameless"
    home.mkdir()
    os.chown(home, 12345, -1)
    given = {"PATH": os.environ["PATH"], "STUDIES_HOME": str(home)}
    up = subprocess.run([*NAMELESS, *UP], env=given, capture_output=True, text=True)
    assert up.returncode == 2
    assert up.stderr.startswith("studies: User id 12345 has no entry in /etc/passwd")
    assert len(up.stderr.splitlines()) == 1


def test_a_user_without_a_home_gets_a_sentence() -> None:
    up = subprocess.run([*NAMELESS, *UP], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert up.returncode == 2
    assert "HOME is not set and user id 12345 has no home directory; set STUDIES_HOME" in up.stderr
    assert len(up.stderr.splitlines()) == 1


def test_the_embedded_server_needs_no_shared_memory_of_the_system(reachable_directory: Path) -> None:
    """A container has 64 MiB of /dev/shm by default, which a training may have filled."""
    mounted = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16k none /dev/shm && exec "$@"', "sh"]
    environment = os.environ | {"STUDIES_HOME": str(reachable_directory / "small-shm")}
    up = subprocess.run([*mounted, *UP], env=environment, capture_output=True, text=True)
    try:
        assert up.returncode == 0, up.stderr
    finally:
        subprocess.run([*UP[:-1], "down"], env=environment, check=True, capture_output=True)


GREEDY = """
import sys
from studies import program
program.report(1, score=1)
if sys.argv[1] == "greedy":
    kept = bytearray(3 * 2**30)
    for place in range(0, len(kept), 4096):
        kept[place] = 1
program.report(2, score=2)
"""


def test_a_program_that_the_kernel_kills_for_lack_of_memory_ends_alone(
    studies: Studies, memory_limit: list[str]
) -> None:
    (studies.directory / "greedy.py").write_text(GREEDY)
    spec = {
        "name": "greedy", "objective": {"command": [sys.executable, "greedy.py", "{kind}"]}, "metric": "score",
        "direction": "maximize", "n_trials": 2, "max_epochs": 2, "space": {"kind": ["modest", "greedy"]},
        "start_with": [{"kind": "greedy"}, {"kind": "modest"}], "resources": {"gpus_per_worker": 0},
    }  # fmt: skip
    (studies.directory / "greedy.yaml").write_text(json.dumps(spec))
    process = studies.start("launch", "greedy.yaml", before=memory_limit)
    stderr = finish(process, expect=0)
    assert "died" not in stderr, "the kernel killed a worker"
    with open_storage(studies.settings) as storage:
        greedy, modest = read_stored(storage, "greedy").trials
    assert greedy.reason == "out_of_memory"
    assert greedy.detail == "the program was killed by SIGKILL: the kernel was out of memory"
    assert modest.value == 2.0
