"""What is submitted to Slurm; tests/slurm submits it to a real one."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from studies.cli.options import changes
from studies.errors import WrongInput, WrongSpec
from studies.run.launchers import make_launcher
from studies.run.launchers.reach import host_of
from studies.run.launchers.slurm import last_words
from studies.run.launchers.slurm.queue import plain
from studies.run.launchers.slurm.script import quoted, render, settings_file
from studies.run.requeue import requeue
from studies.settings import Settings
from studies.spec import SpecFile
from studies.spec.model import Resources
from studies.testing.parabola import parabola

DIRECTORY = Path("/home/ann/50% of it's")


def script(**resources: object) -> str:
    return render("counted@1", Resources.model_validate(resources), DIRECTORY, DIRECTORY / "settings.sh")


def options(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]


def test_the_script_asks_for_what_a_worker_needs() -> None:
    assert options(script()) == [
        "--requeue",
        "--open-mode=append",
        "--signal=TERM@120",
        "--job-name=studies-counted@1",
        "--output='/home/ann/50%% of it\\'s/worker-%a.log'",
    ]


def test_the_study_file_adds_options_and_changes_the_defaults() -> None:
    slurm = {"partition": "gpu", "time": "4:00:00", "mem_per_cpu": 2000, "exclusive": True, "nice": False}
    found = options(script(threads_per_worker=2, slurm=slurm | {"signal": "TERM@600", "comment": "a b"}))
    assert found[2:] == [
        "--signal=TERM@600", "--job-name=studies-counted@1", "--cpus-per-task=2", "--partition=gpu", "--time=4:00:00",
        "--mem-per-cpu=2000", "--exclusive", "--comment='a b'", "--output='/home/ann/50%% of it\\'s/worker-%a.log'",
    ]  # fmt: skip
    assert "--cpus-per-task=4" in options(script(threads_per_worker=2, slurm={"cpus-per-task": 4}))


def test_a_shell_reads_the_script_and_the_settings(tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n"], input=script(), text=True).returncode == 0
    given = Settings("postgresql://a:it's $5@h/d", tmp_path / "a b", tmp_path, lease_s=5.0)
    (tmp_path / "settings.sh").write_text(settings_file(given))
    shell = f"set -a; source {shlex.quote(str(tmp_path))}/settings.sh; env --null"
    said = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    read = dict(line.partition("=")[::2] for line in said.stdout.split("\0"))
    assert Settings.from_environment(read) == given


@pytest.mark.parametrize(
    ("value", "expected"),
    [("gpu:1", "gpu:1"), ("a b", "'a b'"), ("it's", "'it\\'s'"), ("a\\b", "'a\\\\b'"), ("# no", "'# no'"), ("", "''")],
)
def test_values_are_quoted_as_slurm_reads_them(value: str, expected: str) -> None:
    assert quoted(value) == expected


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("array=0-3", "array is set by `studies` itself; leave it out"),
        ("output=log", "output is set by `studies` itself"),
        ("-p=gpu", "'-p' is no long option of sbatch; expected one such as partition, time or gres"),
        ("comment=a\nb", "comment is 'a\\nb'; expected one line of text"),
    ],
)
def test_what_cannot_be_an_option_is_refused(option: str, expected: str) -> None:
    with pytest.raises(WrongSpec) as error:
        SpecFile.find("meli-cnn").spec(changes(None, slurm=[option]))
    assert str(error.value).startswith(f"--slurm {option}: ")
    assert expected in str(error.value)


def test_options_are_text_whatever_yaml_would_make_of_them() -> None:
    given = ["time=12:30:00", "--partition=gpu", "exclusive", "nice=010", "cpus_per_task=4"]
    spec = SpecFile.find("meli-cnn").spec(changes(["resources.slurm={time: 1:30, mem: 8G}"], slurm=given))
    assert spec.resources.slurm == {
        "time": "12:30:00", "mem": "8G", "partition": "gpu", "exclusive": True, "nice": "010", "cpus-per-task": "4",
    }  # fmt: skip


def test_what_is_stored_without_options_is_as_it_was() -> None:
    assert set(Resources().model_dump()) == {"gpus_per_worker", "workers_per_gpu", "threads_per_worker"}
    assert Resources.model_validate(Resources(slurm={"time": "9"}).model_dump()).slurm == {"time": "9"}


def test_a_job_inherits_no_password_and_nothing_of_this_machine() -> None:
    given = {"PATH": "/bin", "LANG": "C", "SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "lab"}
    rest = {"STUDIES_STORAGE": "s", "PGPASSWORD": "s", "SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "3"}
    assert plain(given | rest | {"OMP_NUM_THREADS": "64"}) == given


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://ann:it's@gpu1.lab:5432/studies", "gpu1.lab"),
        ("postgresql+psycopg2://gpu1/studies?sslmode=verify-full", "gpu1"),
        ("postgresql://ann@/studies?host=gpu2", "gpu2"),
        ("postgresql://ann@/studies?host=/var/run/postgresql", ""),
        ("postgresql://[::1]/studies", "::1"),
        ("no address", ""),
    ],
)
def test_where_a_storage_is(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_last_words_are_the_workers(tmp_path: Path) -> None:
    log = tmp_path / "worker-0.log"
    assert last_words(log) == f"it wrote no log; is {tmp_path} there on the node?"
    log.write_text("one\nStudiesError: two\nsrun: error: vm: task 0: Exited\nslurmstepd-vm: error: *** STEP 1.0\n\n")
    assert last_words(log) == "StudiesError: two"


def test_without_slurm_nothing_is_queued_again_and_nothing_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    task = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_STEP_NUM_TASKS": "1"}
    for one in ({}, {"SLURM_JOB_ID": "7"}, task | {"SLURM_STEP_NUM_TASKS": "2"}):
        requeue(said.append, one)
    assert said == []
    requeue(said.append, task)
    assert said == ["task 7_2 could not be queued again: [Errno 2] No such file or directory: 'squeue'"]
    with pytest.raises(WrongInput, match="--on slurm needs the command sbatch, and it is not in PATH"):
        make_launcher("slurm", parabola("nowhere", 1, 0.0), Settings(None, tmp_path, tmp_path), 1)


LONG_ENOUGH = ("3", "2:01", "1:30:00", "0-1", "0", "UNLIMITED", "1 signal=TERM@40")
TOO_SHORT = ("2", "1:30", "0:02:00", "0-0:1", "10 signal=B:TERM@600", "1 signal=TERM")


@pytest.mark.parametrize("time", LONG_ENOUGH + TOO_SHORT)
def test_a_limit_that_is_over_before_it_is_warned_of_is_refused(time: str) -> None:
    refused = pytest.raises(WrongSpec, match=r"s before its end; expected a longer time")
    with refused if time in TOO_SHORT else nullcontext():
        SpecFile.find("meli-cnn").spec(changes([], slurm=f"time={time}".split()))
