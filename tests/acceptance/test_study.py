"""A study from launch to export, with the real command on the embedded server."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable

import pandas as pd
import pytest
import yaml

from studies import study
from studies.errors import StudyNotStarted
from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.storage import Storage, open_storage

from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies


def report(studies: Studies, name: str = "parabola") -> StudyRecord:
    with open_storage(studies.settings) as storage:
        return read_stored(storage, name)


def n_trials(storage: Storage) -> int:
    """Return how many trials the study has; 0 as long as the launch has not made it."""
    try:
        return len(read_stored(storage, "parabola").trials)
    except StudyNotStarted:
        return 0


def counted(studies: Studies) -> int:
    return len([trial for trial in report(studies).trials if trial.state != "waiting" and trial.continued_by is None])


def assert_continued_values(studies: Studies) -> None:
    """Every completed trial has the curve of one that nothing happened to; only the best keep their checkpoints."""
    for trial in report(studies).trials:
        if trial.state == "complete":
            expected = [(trial.params["x"] - 2) ** 2 + 1 / epoch for epoch in range(1, 6)]
            assert trial.curve == dict(enumerate(expected, start=1))
            assert [metrics["loss"] for metrics in trial.attributes["history"]] == expected
            assert trial.attributes["evidence"] == {"epoch": 5}
    complete = [trial for trial in report(studies).trials if trial.state == "complete"]
    best = sorted((trial.value, trial.number) for trial in complete)[:3]
    left = (studies.directory / "home" / "checkpoints").rglob("*.safetensors*")
    assert {path.name for path in left} == {f"{number}.safetensors" for _, number in best}


@pytest.mark.parametrize("name", ["plain", "with space, 'quotes' and ünïcode %s $HOME"])
def test_launch_to_export(make_studies: Callable[[str], Studies], name: str) -> None:
    studies = make_studies(name)
    launched = studies("launch", "./parabola.yaml", "--workers", "3")
    assert "best loss" in launched.stderr
    assert launched.stdout == ""
    best = yaml.safe_load((studies.directory / "parabola.best.yaml").read_text())
    assert list(best) == [
        "study", "objective", "dataset", "metric", "direction", "value", "params", "epochs", "trial", "n_trials",
        "provenance",
    ]  # fmt: skip
    assert best["value"] == pytest.approx((best["params"]["x"] - 2) ** 2 + 1 / 5)
    assert best["n_trials"] == {"complete": 8, "pruned": 0, "failed": 0}
    assert (best["epochs"], best["params"]["mood"]) == (5, "fine")
    assert yaml.safe_load(studies.told("export", "parabola").stdout) == best
    assert "8/8" in studies.told("list").stdout
    assert "8/8 trials" in studies.told("status", "parabola").stdout


def test_report_and_every_trial_of_a_real_study(studies: Studies) -> None:
    with (studies.directory / "parabola.yaml").open("a") as file:
        file.write("start_with: [{x: 2.5}]\n")
    studies("launch", "./parabola.yaml", "--workers", "2", "--trials", "12")
    found = report(studies)
    assert found.best is not None
    assert "Written: parabola.report.html" in studies.told("report", "parabola").stderr
    page = (studies.directory / "parabola.report.html").read_text()
    assert json.dumps(found.best.value) in page
    words = studies.told("report", "parabola", "--format", "md").stdout
    assert f"(trial {found.best.number}, epoch 5)" in words
    assert "## Given against found" in words
    studies.told("report", "parabola", "-o", "report.md")
    assert (studies.directory / "report.md").read_text() == words
    assert "expected one of html, md" in studies.told("report", "parabola", "--format", "pdf", expect=2).stderr
    assert len(studies.told("export", "parabola", "--format", "csv").stdout.splitlines()) == 13
    assert len(json.loads(studies.told("export", "parabola", "--format", "json").stdout)["trials"]) == 12
    assert "expected a file" in studies.told("export", "parabola", "--format", "parquet", expect=2).stderr
    studies.told("export", "parabola", "--format", "parquet", "-o", "trials.parquet")
    frame = pd.read_parquet(studies.directory / "trials.parquet")
    assert list(frame["params_x"]) == [trial.params["x"] for trial in found.trials]
    curves = pd.read_csv(io.StringIO(studies.told("export", "parabola", "--format", "csv", "--curves").stdout))
    assert list(curves["loss"]) == [value for trial in found.trials for value in trial.curve.values()]
    assert "is for --format csv and parquet" in studies.told("export", "parabola", "--curves", expect=2).stderr


def test_a_directory_for_a_paper_and_verdicts_in_status(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--workers", "2")
    assert "verdicts: " in studies.told("status", "parabola").stdout
    studies.told("report", "parabola", "-o", "paper/")
    files = {file.name: file for file in (studies.directory / "paper").iterdir()}
    assert {"parabola.report.html", "parabola.report.md", "01-values-in-the-order-of-the-trials.png"} <= set(files)
    for file in files.values():
        assert file.suffix != ".png" or file.read_bytes().startswith(b"\x89PNG")
    with open_storage(studies.settings) as storage:
        for trial in study.get(storage, "parabola").trials:
            assert trial.user_attrs["verdict"]
            assert trial.user_attrs["peak_memory_mib"] > 0
    (studies.directory / "file").touch()
    assert "Cannot make the directory file" in studies.told("report", "parabola", "-o", "file/", expect=2).stderr


def test_a_finished_study_runs_nothing_and_a_larger_one_goes_on(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--workers", "2")
    again = studies("launch", "./parabola.yaml", "--workers", "2")
    assert "has all its 8 trials; nothing was run" in again.stderr
    assert len(report(studies).trials) == 8
    module = studies.directory / "mine.py"
    code = module.read_text()
    module.unlink()  # for what has nothing to do, nothing is imported
    unread = studies("launch", "./parabola.yaml")
    assert "has all its 8 trials; nothing was run" in unread.stderr
    assert "parabola: best loss" in unread.stderr
    assert "there is no module 'mine'" in studies("launch", "./parabola.yaml", "--trials", "9", expect=2).stderr
    module.write_text(code)
    studies("launch", "./parabola.yaml", "--workers", "2", "--trials", "11")
    assert [trial.number for trial in report(studies).trials] == list(range(11))


def test_start_with_comes_first_and_is_completed_with_defaults(studies: Studies) -> None:
    with (studies.directory / "parabola.yaml").open("a") as file:
        file.write("start_with: [{x: 2.0}, {}]\n")
    studies("launch", "./parabola.yaml", "--trials", "3")
    assert [trial.params["x"] for trial in report(studies).trials][:2] == [2.0, 0.0]


def test_one_worker_twice_gives_the_same_study(make_studies: Callable[[str], Studies]) -> None:
    params = []
    for name in ("one", "two"):
        studies = make_studies(name)
        studies("launch", "./parabola.yaml", "--trials", "14")
        params.append([trial.params for trial in report(studies).trials])
    assert params[0] == params[1]
    assert len({json.dumps(values) for values in params[0]}) == 14


def test_every_trial_says_where_its_value_comes_from(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "2")
    trials = report(studies).trials
    assert len({trial.attributes["seed"] for trial in trials}) == 2
    assert {"commit", "dirty", "torch", "host", "device", "python", "data"} <= set(trials[0].attributes["provenance"])
    assert len(trials[0].attributes["history"]) == 5


def test_a_plain_function_is_an_objective_too(studies: Studies) -> None:
    (studies.directory / "plain.yaml").write_text(
        "{name: plain, objective: 'mine:plain', direction: minimize, n_trials: 3, start_with: [{x: 0.5}]}"
    )
    before = studies.told("show", "./plain.yaml").stdout
    assert "\n\nThe function alone knows its parameters; they stand here once its trials" in before
    assert "data set" not in before
    assert studies.told("show", "./plain.yaml", "--storage", "postgresql://nobody@127.0.0.1:1/none").stdout == before
    said = studies("launch", "./plain.yaml").stderr
    assert said.startswith("Preparing: importing the objective\n")
    for name in ("plain", "./plain.yaml", "plain@1"):
        assert "\nx          -1 to 1  -\n" in studies.told("show", name).stdout
    found = report(studies, "plain").best
    assert found is not None
    assert found.value == found.params["x"] ** 2
    assert report(studies, "plain").trials[0].params == {"x": 0.5}
    assert "| x | - | -1 to 1 |" in studies.told("report", "plain", "--format", "md").stdout


SPINNING = """
import os
def spins(trial):
    return float(os.environ.get("GOMP_SPINCOUNT", 0))
"""


@pytest.mark.parametrize(
    ("given", "expected"), [({}, 1000), ({"GOMP_SPINCOUNT": "7"}, 7), ({"OMP_WAIT_POLICY": "passive"}, 0)]
)
def test_workers_threads_wait_briefly_unless_told_otherwise(
    studies: Studies, given: dict[str, str], expected: float
) -> None:
    (studies.directory / "spinning.py").write_text(SPINNING)
    (studies.directory / "spins.yaml").write_text(
        "{name: spins, objective: 'spinning:spins', direction: minimize, n_trials: 1}"
    )
    studies.environment.pop("GOMP_SPINCOUNT", None)
    studies.environment |= given
    studies("launch", "./spins.yaml")
    best = report(studies, "spins").best
    assert best is not None
    assert best.value == expected


def test_nan_ends_the_trial_with_a_reason_and_failures_end_the_study(studies: Studies) -> None:
    nan = studies("launch", "./parabola.yaml", "--set", "space.mood=nan", "--set", "limits.max_failures=3", expect=1)
    assert "3 trials failed in a row" in nan.stderr
    assert {trial.reason for trial in report(studies).trials} == {"nan"}
    assert counted(studies) == 3
    # Mended, it goes on: what failed before is forgiven.
    module = studies.directory / "mine.py"
    module.write_text(module.read_text().replace('float("nan") if', "1.0 if"))
    mended = ("--set", "space.mood=nan", "--set", "limits.max_failures=3", "--same-code")
    studies("launch", "./parabola.yaml", *mended)
    assert [trial.state for trial in report(studies).trials] == ["fail"] * 3 + ["complete"] * 5


def test_a_study_of_which_every_trial_failed_is_no_success(studies: Studies) -> None:
    failed = studies("launch", "./parabola.yaml", "--set", "space.mood=raises", "--trials", "1", expect=1)
    assert "The only trial failed, and said: RuntimeError: the objective broke" in failed.stderr
    assert "`studies launch parabola --trials 2`" in failed.stderr
    again = studies("launch", "parabola", "--trials", "2", expect=1)
    assert "All 2 trials failed; the last one said: RuntimeError: the objective broke" in again.stderr


def test_an_exception_is_kept_with_its_traceback(studies: Studies) -> None:
    broken = ("--set", "space.mood=raises", "--set", "limits.max_failures=2")
    failed = studies("launch", "./parabola.yaml", *broken, expect=1)
    assert "RuntimeError: the objective broke" in failed.stderr
    first = report(studies).trials[0]
    assert (first.state, first.reason, first.continued_by) == ("fail", "exception", None)
    assert 'raise RuntimeError("the objective broke")' in first.attributes["traceback"]


def test_a_changed_study_is_refused_with_the_difference(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "1")
    changed = studies("launch", "./parabola.yaml", "--set", "max_epochs=9", expect=2)
    assert "max_epochs: stored 5, given 9" in changed.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launch_stops_cleanly_and_goes_on_to_the_same_budget(studies: Studies, sent: int) -> None:
    process = studies.start("launch", "./parabola.yaml", "--workers", "2", "--set", "space.seconds=0.8")
    wait_for(lambda: (studies.directory / "home" / "postgres").exists())
    with open_storage(studies.settings) as storage:
        wait_for(lambda: n_trials(storage) > 2)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert "`studies launch parabola` goes on from here" in stderr
    assert not [trial for trial in report(studies).trials if trial.state == "running"]
    studies.hurry()
    studies("launch", "./parabola.yaml", "--workers", "2", "--set", "space.seconds=0.8")
    assert counted(studies) == 8
    assert_continued_values(studies)
    continued = [trial for trial in report(studies).trials if trial.continues is not None]
    numbers = {trial.number: trial for trial in report(studies).trials}
    assert all(numbers[trial.continues].params == trial.params for trial in continued)
    assert all(numbers[trial.continues].continued_by == trial.number for trial in continued)


# As a person who presses Ctrl-C while the workers are being started.
PRESSED = """
import os
import signal
from studies.run.launchers.local import LocalLauncher

class Pressed(LocalLauncher):
    def start(self, study, n_workers):
        for _ in range(int(os.environ["PRESSED"])):
            os.kill(os.getpid(), signal.SIGINT)
        super().start(study, n_workers)
"""


@pytest.mark.parametrize("times", ["1", "2"])
def test_workers_that_start_while_a_launch_is_interrupted_hear_of_it(studies: Studies, times: str) -> None:
    (studies.directory / "pressed.py").write_text(PRESSED)
    studies.environment["PRESSED"] = times
    slow = ("--set", "space.seconds=0.8")
    studies("launch", "./parabola.yaml", "--workers", "2", *slow, "--on", "pressed:Pressed", expect=130)
    assert counted(studies) < 3


def test_stop_reaches_the_workers(studies: Studies) -> None:
    process = studies.start("launch", "./parabola.yaml", "--workers", "2", "--set", "space.seconds=2")
    wait_for(lambda: (studies.directory / "home" / "postgres").exists())
    with open_storage(studies.settings) as storage:
        wait_for(lambda: n_trials(storage) > 1)
        stopped = studies.told("stop", "parabola")
    assert "2 workers will stop after the current epoch" in stopped.stderr
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "parabola: no worker is running it" in studies.told("stop", "parabola").stderr


def test_a_killed_worker_is_replaced_and_its_trial_continued(studies: Studies) -> None:
    process = studies.start("launch", "./parabola.yaml", "--workers", "2", "--set", "space.seconds=2")
    wait_for(lambda: (studies.directory / "home" / "postgres").exists())
    with open_storage(studies.settings) as storage:
        wait_for(lambda: n_trials(storage) > 0)
        study_id = study.get(storage, "parabola")._study_id

        def victims() -> list[int]:
            return [w.pid for w in storage.ledger.workers(study_id) if w.trial is not None and w.epoch]

        os.kill(wait_for(victims)[0], signal.SIGKILL)
    studies.hurry()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert "killed by SIGKILL" in stderr
    assert counted(studies) == 8
    assert_continued_values(studies)
    lost = [trial for trial in report(studies).trials if trial.reason == "lost"]
    assert len(lost) == 1
    assert lost[0].continued_by is not None


def test_the_server_stops_with_its_last_user_and_logs_are_kept(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--workers", "2")
    from studies.storage.embedded import EmbeddedServer

    assert not EmbeddedServer(studies.settings).answers()
    logs = list((studies.directory / "home" / "logs" / "parabola").glob("*/worker-*.log"))
    assert len(logs) == 2
    assert all("trial" in log.read_text() for log in logs)


def test_detached(studies: Studies) -> None:
    launched = studies("launch", "./parabola.yaml", "--detach", "--workers", "2")
    assert "runs in the background" in launched.stderr
    wait_for((studies.directory / "parabola.best.yaml").exists)
    logs = studies.directory / "home" / "logs"
    wait_for(lambda: any("best loss" in log.read_text() for log in logs.rglob("launch-*.log")))


def test_a_timeout_stops_cleanly_and_the_next_launch_goes_on(studies: Studies) -> None:
    slow = ("--workers", "2", "--set", "space.seconds=1")
    stopped = studies("launch", "./parabola.yaml", *slow, "--timeout", "0.05")
    assert "the --timeout is over; `studies launch " in stopped.stderr
    assert counted(studies) < 8
    studies.hurry()
    studies("launch", "./parabola.yaml", *slow)
    assert counted(studies) == 8
    assert_continued_values(studies)


def test_limits_stop_a_study(studies: Studies) -> None:
    with (studies.directory / "parabola.yaml").open("a") as file:
        file.write("start_with: [{x: 2.0}]\n")
    stopped = studies("launch", "./parabola.yaml", "--set", "limits.patience=3")
    assert "3 trials brought nothing better (patience 3)" in stopped.stderr
    assert counted(studies) == 4
    used = studies("launch", "./parabola.yaml", "--set", "limits.gpu_hours=0.0000001")
    assert "gpu_hours are used" in used.stderr
    assert counted(studies) == 4


def test_a_trial_past_its_minutes_keeps_its_best_value(studies: Studies) -> None:
    limit = ("--set", "limits.trial_minutes=0.005", "--set", "space.seconds=0.2", "--trials", "1")
    studies("launch", "./parabola.yaml", *limit)
    (trial,) = report(studies).trials
    assert len(trial.curve) in (1, 2)  # one that takes longer than the limit by itself is the last
    assert (trial.state, trial.epoch) == ("complete", len(trial.curve))
    assert "limit of 0.005 minutes" in trial.attributes["detail"]
