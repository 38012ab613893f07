"""A trial's misbehaviour stays a trial's: whatever an objective does, the study goes on and says what happened."""

from __future__ import annotations

import json
import sys

import psutil
import pytest

from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.storage import open_storage

from ..waiting import wait_for
from .conftest import Studies

OBJECTIVES = r'''
import atexit, multiprocessing, os, signal, subprocess, sys, time

import optuna

class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no words")

def misbehaves(trial):
    """Each trial does what another program has done."""
    if trial.number == 0:
        inherits(trial)
        trial.suggest_categorical("text", ["caf\udce9.png \x00"])
        trial.set_user_attr("note", {"caf\udce9": ["\x00"]})
    trial.set_user_attr("here", os.getcwd())
    if trial.number == 1:
        os.chdir("/")
        sys.exit("this was a command line program once")
    if trial.number == 2:
        raise KeyboardInterrupt
    if trial.number == 3:
        raise Odd
    if trial.number == 4:
        raise FileNotFoundError(b"caf\xe9.png".decode("utf-8", "surrogateescape"))
    if trial.number == 5:
        raise ValueError("cannot decode field 'name\x00\x00'")
    if trial.number == 6:
        raise ValueError("red \x1b[31m alert\r\nand a second line\x9b0m")
    if trial.number == 7:
        os._exit(0)
    return 1.0

def inherits(trial):
    """Keep what a child of this process inherits."""
    code = "import signal; print(signal.getsignal(signal.SIGINT).__name__, int(signal.getsignal(signal.SIGTERM)))"
    trial.set_user_attr("executed", subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    trial.set_user_attr("method", multiprocessing.get_start_method())
    trial.set_user_attr("preload", "STUDIES_PRELOAD" in os.environ)
    child = multiprocessing.Process(target=lambda: time.sleep(60))  # only a forked one takes a lambda
    child.start()
    child.terminate()
    child.join(30)
    trial.set_user_attr("exitcode", child.exitcode)

def escapes(trial):
    raise ValueError("red \x1b[31m alert\r\nand a second line\x9b0m")

def stops(trial):
    if trial.number == 1:
        trial.study.stop()
        raise optuna.TrialPruned
    return float(trial.number)

def deletes(trial):
    """Do what a person may do in optuna-dashboard, in the middle of another trial."""
    if trial.number == 1:
        optuna.delete_study(study_name=trial.study.study_name, storage=trial.study._storage)
    return 1.0

def crashes(trial):
    """Half of the trials end their worker."""
    if trial.number % 4 == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    if trial.number % 2 == 0:
        os._exit(0)
    return 1.0

def always_crashes(trial):
    os._exit(0)

def crashes_once(trial):
    """As a library does that calls C's exit()."""
    if trial.number == 0:
        os._exit(7)
    return 1.0

def several(trial):
    return 1.0, 2.0

def starts(trial):
    """Two in the worker's group, two in sessions of their own, one of them nobody's child."""
    sleeping = [sys.executable, "-c", "import time; print(flush=True); time.sleep(1000)"]
    started = [subprocess.Popen(sleeping), subprocess.Popen(sleeping, start_new_session=True)]
    started.append(multiprocessing.Process(target=time.sleep, args=(1000,), daemon=True))
    started[-1].start()
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=-1).pid)"
    orphan = subprocess.run([sys.executable, "-c", code, *sleeping], capture_output=True, text=True).stdout
    with open("pids", "a") as file:
        print(*(process.pid for process in started), orphan, file=file)
    atexit.register(print, f"called for trial {trial.number}")
    if trial.number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
'''

EXPECTED = {
    1: "SystemExit: this was a command line program once",
    2: "KeyboardInterrupt",
    3: "odd.Odd: <exception str() failed>",
    4: r"FileNotFoundError: caf\udce9.png",
    5: r"ValueError: cannot decode field 'name\x00\x00'",
    6: "ValueError: red \\x1b[31m alert\nand a second line\\x9b0m",
}


def launched(studies: Studies, function: str, n_trials: int, expect: int = 0) -> tuple[str, StudyRecord]:
    """Launch a study of one of the functions above; return what the command said, and the study."""
    (studies.directory / "odd.py").write_text(OBJECTIVES)
    spec = {"name": "odd", "objective": f"odd:{function}", "direction": "minimize", "n_trials": n_trials}
    (studies.directory / "odd.yaml").write_text(json.dumps(spec))
    said = studies("launch", "odd.yaml", expect=expect).stderr
    with open_storage(studies.settings) as storage:
        return said, read_stored(storage, "odd")


def test_what_would_end_a_program_ends_one_trial(studies: Studies) -> None:
    said, record = launched(studies, "misbehaves", n_trials=9)
    inherited = record.trials[0].attributes  # what a plain program would give to its children
    assert inherited["executed"] == "default_int_handler 0\n"
    assert (inherited["method"], inherited["preload"]) == ("fork", False)
    assert inherited["exitcode"] == -15  # terminated, and not deaf to it
    assert {trial.attributes["here"] for trial in record.trials if trial.number != 7} == {str(studies.directory)}
    failed = {trial.number: trial for trial in record.trials if trial.state == "fail"}
    assert {number: trial.attributes.get("detail") for number, trial in failed.items()} == EXPECTED | {7: None}
    assert [trial.reason for trial in failed.values()] == ["exception"] * 6 + ["lost"]
    assert [trial.number for trial in record.trials if trial.state == "complete"] == [0, 8, 9]
    assert record.trials[7].continued_by in (8, 9)
    assert said.count("died") == 1
    assert "it exited with 0 in the middle of a trial" in said
    for kind in ("yaml", "csv", "json"):
        exported = studies.told("export", "odd", "--format", kind).stdout
        assert r"caf\udce9.png" in exported.replace(r"\\", "\\").replace("DCE9", "dce9")
    studies.told("export", "odd", "--format", "parquet", "-o", "odd.parquet")
    studies.told("report", "odd")


def test_how_a_worker_exited_is_said(studies: Studies) -> None:
    """The last line of its log had been written by then for another reason, if at all."""
    said, record = launched(studies, "crashes_once", n_trials=2)
    assert "died (it exited with 7); another takes its place" in said
    assert [trial.state for trial in record.trials] == ["fail", "complete", "complete"]


DECLARES = """
class Base:
    metrics, datasets, space = {"loss": "minimize"}, {"none": "None."}, {"x": {"low": 0, "high": 1}}

    def prepare(self, *given): ...

    def start(self, *given, **named): ...

class NoMetrics(Base):
    metrics = ["loss"]

class Down(Base):
    metrics = {"loss": "down"}

class NoSpace(Base):
    space = None

class Functions(Base):
    space = {"activation": {"choices": [abs, max]}}

class Leaves(Base):
    def prepare(self, *given):
        import os

        os._exit(3)
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "NoMetrics",
            """metrics of 'declares:NoMetrics' is ['loss']; expected a direction by name, such as {"loss": """,
        ),
        ("Down", "'declares:Down' has the direction 'down' for 'loss'; expected maximize or minimize"),
        ("NoSpace", "space of 'declares:NoSpace' is None; expected a range or choices by name, such as {"),
        ("Functions", "'activation' has the choice <built-in function abs>; expected numbers, text, true"),
        ("Leaves", "preparing odd ended early: it exited with 3"),
    ],
)
def test_what_an_objective_declares_wrongly_is_said(studies: Studies, name: str, sentence: str) -> None:
    (studies.directory / "declares.py").write_text(DECLARES)
    spec = {"name": "odd", "objective": f"declares:{name}", "dataset": "none", "metric": "loss", "n_trials": 1}
    (studies.directory / "odd.yaml").write_text(json.dumps(spec | {"direction": "minimize"}))
    said = studies.told("launch", "odd.yaml", expect=2).stderr.splitlines()[-1]
    assert sentence in said


def test_settings_that_crash_their_worker_end_no_study_in_which_others_end_well(studies: Studies) -> None:
    said, record = launched(studies, "crashes", n_trials=5)
    assert said.count("died") == 5
    assert said.count("killed by SIGTERM") == 3
    assert [trial.number for trial in record.trials if trial.state == "complete"] == [1, 3, 5, 7, 9]


def test_a_study_whose_workers_all_die_leaves_no_trial_running(studies: Studies) -> None:
    said, record = launched(studies, "always_crashes", n_trials=5, expect=4)
    assert "Workers died 4 times and the study is unfinished (1 of 5 trials)" in said
    assert {trial.state for trial in record.trials} == {"fail", "waiting"}


def test_nothing_that_an_objective_starts_outlives_its_worker_whether_that_ends_or_is_killed(studies: Studies) -> None:
    launched(studies, "starts", n_trials=1)
    pids = [int(pid) for pid in (studies.directory / "pids").read_text().split()]
    assert len(pids) == 8
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    logs = sorted((studies.directory / "home" / "logs").rglob("worker-*.log"))
    assert "".join(log.read_text() for log in logs).count("called for trial 1") == 1


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_words_from_outside_reach_the_terminal_as_one_clean_line(studies: Studies) -> None:
    said, _ = launched(studies, "escapes", n_trials=1, expect=1)
    assert r"ValueError: red \x1b[31m alert and a second line\x9b0m" in said.splitlines()[-1]
    assert "\x1b" not in said


def test_an_objective_may_stop_its_study(studies: Studies) -> None:
    said, record = launched(studies, "stops", n_trials=4)
    assert [trial.state for trial in record.trials] == ["complete", "pruned"]
    assert "Stopped after 2 of 4 trials: the objective called study.stop()." in said
    assert "best value 0.0000 (trial 0" in said


def test_several_values_are_refused_at_the_first_trial(studies: Studies) -> None:
    said, record = launched(studies, "several", n_trials=4, expect=2)
    assert said.splitlines()[-1].startswith("studies: 'odd:several' returned 2 values; expected 1 (value)")
    assert [(trial.state, trial.reason) for trial in record.trials] == [("fail", "exception")]


def test_folders_named_like_our_packages_break_nothing(studies: Studies) -> None:
    for folder in ("studies", "objectives"):
        (studies.directory / folder).mkdir()
    (studies.directory / "parabola.yaml").rename(studies.directory / "studies" / "mine.yaml")
    # Not as `python -m studies`, where Python itself looks into the working directory first.
    studies.command = [sys.executable, "-P", "-m", "studies"]
    studies("launch", "studies/mine.yaml", "--trials", "2")
    assert "sound" in studies("check", "studies/mine.yaml").stdout


def test_a_study_that_is_deleted_under_its_workers(studies: Studies) -> None:
    (studies.directory / "odd.py").write_text(OBJECTIVES)
    (studies.directory / "odd.yaml").write_text(
        "{name: odd, objective: 'odd:deletes', direction: minimize, n_trials: 4}"
    )
    said = studies("launch", "odd.yaml", expect=2).stderr
    assert said.splitlines()[-1].startswith("studies: Study 'odd' was deleted from the storage while its workers ran")
    assert "died" not in said
