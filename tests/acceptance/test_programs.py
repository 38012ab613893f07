"""Programs as objectives, as people have them: real ones in Python and bash, started, judged, ended and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from studies.logs.places import trial_log
from studies.names import Reason
from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.storage import open_storage

from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies

# What people have: argparse, a plain loop, a line an epoch. A run.sh calls it with other numbers each time.
PLAIN = """
import argparse, os, random, time

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
random.seed(args.seed)
for epoch in range(args.epochs):
    accuracy = 0.9 - abs(args.lr - 0.01) - 1 / (epoch + 2) / 10 + random.random() / 1000
    print(f"epoch {epoch} loss {1 - accuracy:.3f} val_acc {accuracy:.6f}")
"""

# The same with this package's helper: it resumes. With the parameter `held` it waits after epoch 3 for the file `go`,
# with `seconds` each epoch takes so long until the file is there.
REPORTING = """
import json, os, sys, time
from studies import program

state = program.checkpoints / "state.json"
done, total = json.loads(state.read_text()) if state.exists() else (0, 0.0)
for epoch in range(done + 1, 7):
    time.sleep(0.0 if os.path.exists("go") else program.params.get("seconds", 0.0))
    while epoch == 4 and "held" in program.params and not os.path.exists("go"):
        time.sleep(0.02)
    total += program.params["x"] * epoch * (1 + program.seed % 7)
    partial = state.with_name("partial")
    partial.write_text(json.dumps([epoch, total]))
    partial.replace(state)
    print("did epoch", epoch, flush=True)
    program.report(epoch, score=total, train_loss=1 / epoch)
"""


class Programs:
    """Studies whose objective is a program, in a directory of its own."""

    def __init__(self, studies: Studies) -> None:
        self.studies, self.directory = studies, studies.directory
        studies.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{studies.environment['PATH']}"

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def study(self, objective: dict[str, Any], **keys: Any) -> None:
        known = {
            "name": "script", "objective": objective, "metric": "score", "direction": "maximize", "n_trials": 2,
            "max_epochs": 6, "space": {"x": {"low": 0.5, "high": 1.0}}, "pruner": {"name": "none"},
            "resources": {"gpus_per_worker": 0, "grace_s": 1},
        }  # fmt: skip
        (self.directory / "script.yaml").write_text(yaml.safe_dump(known | keys, sort_keys=False))

    def launched(self, *arguments: str, expect: int = 0) -> StudyRecord:
        self.studies("launch", "script.yaml", *arguments, expect=expect)
        return self.record()

    def record(self) -> StudyRecord:
        with open_storage(self.studies.settings) as storage:
            return read_stored(storage, "script")

    def log(self, number: int) -> str:
        return trial_log(self.studies.settings.home / "logs" / "script", number).read_text(errors="replace")


@pytest.fixture
def programs(studies: Studies) -> Programs:
    return Programs(studies)


SCRIPT, STUBBORN = "train.py", "time.sleep(600)"  # words of command lines


def processes_with(marker: str, words: str) -> list[psutil.Process]:
    """The processes with this marker in their environment, so no other test's, and these words in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            ours = words in command and "supervisor.py" not in command and process.environ().get("MARKER") == marker
            found += [process] if ours and process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:
            continue
    return found


def is_worker(process: psutil.Process) -> bool:
    """Whether it has a program's supervisor as its child."""
    try:
        return any("supervisor.py" in " ".join(child.cmdline()) for child in process.children())
    except psutil.Error:
        return False


def until(condition: Callable[[], Any], what: str) -> Any:
    return wait_for(condition, lambda: f"it did not come: {what}")


def test_a_plain_script_is_tuned_by_what_it_prints(programs: Programs) -> None:
    programs.write("train.py", PLAIN)
    programs.study(
        {
            "command": "python train.py --lr {learning_rate} --batch-size {batch_size} "
            "--epochs {max_epochs} --seed {seed}",
            "reports": {"pattern": r"epoch (?P<epoch>\d+).*val_acc (?P<val_accuracy>[\d.]+)"},
        },
        metric="val_accuracy",
        n_trials=5,
        max_epochs=4,
        space={"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}, "batch_size": [64, 128]},
    )
    record = programs.launched("--workers", "2")
    assert [trial.state for trial in record.trials] == ["complete"] * 5
    for trial in record.trials:
        assert list(trial.curve) == [1, 2, 3, 4]
        command = [sys.executable, "train.py", "--lr", str(trial.params["learning_rate"])]
        by_hand = subprocess.run(
            [*command, "--epochs", "4", "--seed", str(trial.seed)],
            cwd=programs.directory, capture_output=True, text=True, check=True,
        )  # fmt: skip
        printed = [float(line.split()[-1]) for line in by_hand.stdout.splitlines()]
        assert list(trial.curve.values()) == printed
        assert programs.log(trial.number).startswith(by_hand.stdout)


def test_the_helper_reports_and_gets_its_parameters(programs: Programs) -> None:
    programs.write("train.py", REPORTING)
    programs.study({"command": ["python", "train.py"]})
    record = programs.launched()
    for trial in record.trials:
        x = trial.params["x"]
        total, expected = 0.0, []
        for epoch in range(1, 7):
            total += x * epoch * (1 + (trial.seed or 0) % 7)
            expected.append(total)
        assert list(trial.curve.values()) == expected
        assert [each["train_loss"] for each in trial.history] == [1 / epoch for epoch in range(1, 7)]
        assert (trial.peak_memory_mib or 0) > 1


def expected_curve(x: float, seed: int, n_epochs: int = 6) -> list[float]:
    """What the reporting script gives without any interruption."""
    total, values = 0.0, []
    for epoch in range(1, n_epochs + 1):
        total += x * epoch * (1 + seed % 7)
        values.append(total)
    return values


WITH_DESCENDANTS = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", stubborn])
subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
"""


def test_nothing_survives_a_worker_that_is_killed_and_the_trial_goes_on(programs: Programs, tmp_path: Path) -> None:
    programs.studies.environment |= {"MARKER": str(programs.directory)}
    programs.studies.environment["TMPDIR"] = str(tmp_path)
    programs.write("train.py", WITH_DESCENDANTS + REPORTING)
    programs.study({"command": "python train.py"}, n_trials=1, space={"x": {"low": 0.5, "high": 1.0}, "held": True})
    launch = programs.studies.start("launch", "script.yaml")
    until(lambda: trial_log(programs.studies.settings.home / "logs" / "script", 0).exists(), "a trial's log")
    until(lambda: "did epoch 3" in programs.log(0), "three epochs")
    stubborn = processes_with(str(programs.directory), STUBBORN)
    assert len(stubborn) == 2
    (script,) = processes_with(str(programs.directory), SCRIPT)
    supervisor = script.parent()
    assert supervisor is not None
    worker = supervisor.parent()
    assert worker is not None
    worker.kill()
    _, alive = psutil.wait_procs([script, supervisor, *stubborn], timeout=PATIENCE_S)
    assert not alive, alive
    programs.write("go", "")
    _, said = launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 0, said
    lost, again = programs.record().trials
    assert (lost.reason, lost.continued_by) == (Reason.LOST, 1)
    assert list(again.curve.values()) == expected_curve(again.params["x"], again.seed or 0)
    assert "did epoch 1\n" not in programs.log(1), "it did not resume"
    assert not [*tmp_path.glob("studies-trial-*")], "a scratch directory is left"
    until(lambda: not processes_with(str(programs.directory), ""), "the end of all processes")


def test_nothing_survives_a_launch_that_is_killed(programs: Programs) -> None:
    scratch = Path(tempfile.mkdtemp(dir=programs.directory.parents[1]))  # short enough for sockets
    programs.studies.environment |= {"MARKER": str(programs.directory), "TMPDIR": str(scratch)}
    programs.write("train.py", WITH_DESCENDANTS + REPORTING)
    programs.study({"command": "python train.py"}, n_trials=2, space={"x": {"low": 0.5, "high": 1.0}, "held": True})
    launch = programs.studies.start("launch", "script.yaml", "--workers", "2")
    logs = [trial_log(programs.studies.settings.home / "logs" / "script", number) for number in (0, 1)]
    until(lambda: all(log.exists() and "did epoch 2" in log.read_text() for log in logs), "two epochs of two trials")
    started = processes_with(str(programs.directory), STUBBORN)
    assert len(started) == 4
    assert [*scratch.glob("pymp-*")], "the test looks elsewhere"
    launch.kill()
    programs.write("go", "")
    _, alive = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert not alive
    until(lambda: not [*scratch.iterdir()], "the end of all in TMPDIR")
    record = programs.launched("--workers", "2")
    ended = [trial for trial in record.trials if trial.continued_by is None]
    assert [trial.state for trial in ended] == ["complete"] * 2
    for trial in ended:
        assert list(trial.curve.values()) == expected_curve(trial.params["x"], trial.seed or 0)


def test_a_paused_program_goes_on_from_its_files(programs: Programs) -> None:
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"}, n_trials=4, pruner={"name": "asha"}, sampler={"name": "random"})
    record = programs.launched()
    assert record.counts == {"complete": 3, "pruned": 1, "failed": 0}
    resumed = [trial for trial in record.trials if trial.continues is not None]
    assert resumed
    for trial in record.trials:
        assert list(trial.curve.values()) == expected_curve(trial.params["x"], trial.seed or 0, len(trial.curve))
        assert ("did epoch 1\n" in programs.log(trial.number)) == (trial.continues is None)
    assert "3 complete, 1 pruned" in programs.studies.told("status", "script").stdout


def test_a_stopped_trial_goes_on_from_its_checkpoint(programs: Programs) -> None:
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"}, n_trials=1, space={"x": {"low": 0.5, "high": 1.0}, "seconds": 2.0})
    launch = programs.studies.start("launch", "script.yaml")
    log = trial_log(programs.studies.settings.home / "logs" / "script", 0)
    until(lambda: log.exists() and "did epoch 2" in log.read_text(), "two epochs")
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 130
    assert "was killed by SIGTERM" in log.read_text().splitlines()[-1]
    programs.write("go", "")
    record = programs.launched()
    stopped, again = record.trials
    assert stopped.reason == Reason.STOPPED
    assert again.state == "complete"
    assert again.detail is None
    assert list(again.curve.values()) == expected_curve(again.params["x"], again.seed or 0)
    n_before = sum("did epoch" in line for line in log.read_text().splitlines())
    assert sum("did epoch" in line for line in programs.log(1).splitlines()) == 6 - n_before


SLOWLY = """
    time.sleep(0 if os.path.exists("go") else 2)
"""


def test_a_program_without_checkpoints_starts_over_and_the_study_says_so(programs: Programs) -> None:
    programs.write("train.py", PLAIN.replace("range(args.epochs):", "range(args.epochs):" + SLOWLY))
    programs.study(
        {
            "command": "python train.py --lr {x} --epochs {max_epochs} --seed {seed}",
            "reports": {"pattern": r"epoch (?P<epoch>\d+).*val_acc (?P<score>-?[\d.]+)"},
        },
        n_trials=1,
    )
    launch = programs.studies.start("launch", "script.yaml")
    log = trial_log(programs.studies.settings.home / "logs" / "script", 0)
    until(lambda: log.exists() and "epoch 1" in log.read_text(), "two epochs")
    launch.send_signal(signal.SIGINT)
    launch.communicate(timeout=PATIENCE_S)
    programs.write("go", "")
    record = programs.launched()
    stopped, again = record.trials
    assert 2 <= len(stopped.curve) <= 5
    assert (again.state, list(again.curve)) == ("complete", [1, 2, 3, 4, 5, 6])
    assert again.detail == (
        f"started over after {len(stopped.curve)} epochs: the program keeps nothing in STUDIES_CHECKPOINTS"
    )
    assert programs.log(1).count("epoch 0") == 1


def test_a_pruned_program_trains_no_further_and_is_killed_where_it_ignores_sigterm(programs: Programs) -> None:
    programs.studies.environment |= {"MARKER": str(programs.directory)}
    programs.write("train.py", WITH_DESCENDANTS + REPORTING)
    programs.study(
        {"command": "python train.py"},
        n_trials=3,
        direction="minimize",
        pruner={"name": "optuna.pruners:MedianPruner", "options": {"n_startup_trials": 1}},
        space={"x": {"low": 0.0, "high": 90.0}},
        start_with=[{"x": 1.0}, {"x": 60.0}, {"x": 90.0}],
        sampler={"name": "random"},
    )
    record = programs.launched()
    assert record.trials[0].state == "complete"
    pruned = [trial for trial in record.trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        log = programs.log(trial.number)
        assert f"did epoch {len(trial.curve)}\n" in log
        assert f"did epoch {len(trial.curve) + 1}\n" not in log
        assert "was killed by SIGKILL" in log.splitlines()[-1]
    assert not processes_with(str(programs.directory), STUBBORN)


FAILURES = r"""
import os, resource, signal, sys
kind = sys.argv[1]
print("before it ended", flush=True)
if kind == "raises":
    raise ValueError("bad learning rate")
if kind == "segfault":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGSEGV)
if kind == "cuda":
    sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB")
if kind == "memory":
    resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29))
    bytearray(2**32)
if kind == "misspelt":
    print("epoch 1 scoer 3")
"""


def test_how_a_program_fails_is_told_apart(programs: Programs) -> None:
    programs.write("train.py", FAILURES)
    kinds = ["raises", "segfault", "cuda", "memory", "misspelt", "silent"]
    programs.study(
        {
            "command": "python train.py {kind}",
            "reports": {"pattern": r"epoch (?P<epoch>\d+) (score|scoer) (?P<scoer>\d)"},
        },
        n_trials=6,
        space={"kind": kinds},
        start_with=[{"kind": kind} for kind in kinds],
    )
    record = programs.launched(expect=1)
    found = {trial.params["kind"]: (trial.reason, trial.detail or "") for trial in record.trials}
    assert found["raises"][0] == Reason.EXCEPTION
    assert found["raises"][1] == "the program exited with 1: ValueError: bad learning rate\n(train.py, line 6)"
    assert found["segfault"] == (
        Reason.EXCEPTION,
        "the program was killed by SIGSEGV (segmentation fault): before it ended",
    )
    assert found["cuda"][0] == Reason.OUT_OF_MEMORY
    assert found["memory"][0] == Reason.OUT_OF_MEMORY
    assert found["memory"][1].endswith("MemoryError\n(train.py, line 14)")
    assert found["misspelt"][1] == "the program exited with 0 and reported scoer; expected 'score'"
    assert found["silent"][1] == (
        "the program exited with 0 and printed no line that the pattern matches; expected 'score'; "
        "it printed last: before it ended"
    )
    assert "ValueError" in record.trials[0].attributes["traceback"]


FLOOD = r"""
import os, sys
block = b"caf\xe9 \xff\xfe " + b"x" * 80 + b"\n"
for epoch in range(1, 4):
    for _ in range(100):
        sys.stdout.buffer.write(block * 1000)
    sys.stdout.buffer.write(b"\r" + f"epoch {epoch} score {epoch}".encode() + b" \xe9\n")
"""


def test_a_flood_of_output_in_no_encoding_harms_nothing(programs: Programs) -> None:
    programs.write("train.py", FLOOD)
    programs.study(
        {"command": "python train.py {x}", "reports": {"pattern": r"epoch (?P<epoch>\d+) score (?P<score>\d+)"}},
        max_epochs=3,
    )
    record = programs.launched("--workers", "2")
    assert [list(trial.curve.values()) for trial in record.trials] == [[1.0, 2.0, 3.0]] * 2
    logs = list((programs.studies.settings.home / "logs" / "script").glob("trial-0.log*"))
    assert len(logs) == 2
    assert sum(log.stat().st_size for log in logs) < 9 * 2**20
    assert "exited with 0" in programs.log(0).splitlines()[-1]


def test_the_budget_is_exact_while_programs_and_workers_are_killed(programs: Programs) -> None:
    programs.studies.environment |= {"MARKER": str(programs.directory)}
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"}, n_trials=6, space={"x": {"low": 0.5, "high": 1.0}, "held": True})
    launch = programs.studies.start("launch", "script.yaml", "--workers", "2")

    until(lambda: len(processes_with(str(programs.directory), SCRIPT)) == 2, "two programs")
    workers = [process for process in psutil.Process(launch.pid).children(recursive=True) if is_worker(process)]
    workers[0].kill()
    programs.write("go", "")
    _, said = launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 0, said
    record = programs.record()
    ended = [trial for trial in record.trials if trial.continued_by is None]
    assert [trial.state for trial in ended] == ["complete"] * 6
    for trial in ended:
        assert list(trial.curve.values()) == expected_curve(trial.params["x"], trial.seed or 0)


WRITES = """
import csv, json, os, sys
kind, path, x = sys.argv[1], sys.argv[2], float(sys.argv[3])
os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
with open(path, "w") as file:
    if kind == "csv":
        file.write("epoch,step,train_loss,score\\n")
    for epoch in range(3):
        if kind == "csv":  # as Lightning has it: training and validation on lines of their own
            file.write(f"{epoch},{epoch * 10},{1 / (epoch + 1)},\\n{epoch},{epoch * 10},,{x * epoch}\\n")
        else:
            file.write(json.dumps({"epoch": epoch, "train_loss": 1 / (epoch + 1), "score": x * epoch}) + "\\n")
        file.flush()
"""


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_reports_are_read_from_a_file_that_a_program_writes(programs: Programs, kind: str) -> None:
    programs.write("train.py", WRITES)
    (programs.directory / "logs").mkdir()
    (programs.directory / "logs" / "0.csv").write_text("epoch,score\n1,99\n2,99\n")  # of another day
    path = "logs/{trial}.csv" if kind == "csv" else "{scratch}/all.jsonl"
    programs.study({"command": f"python train.py {kind} {path} {{x}}", "reports": {kind: path}}, max_epochs=3)
    for trial in programs.launched().trials:
        x = trial.params["x"]
        assert list(trial.curve.values()) == [0.0, x, 2 * x]
        assert [each["train_loss"] for each in trial.history] == [1, 1 / 2, 1 / 3]


SHELL = """
[ "$1" = "--depth" ] && depth=$2 || depth=none
echo "depth $depth"
for epoch in 1 2 3; do
    echo "{\\"epoch\\": $epoch, \\"score\\": $epoch, \\"wait\\": true}" >> "$STUDIES_REPORTS"
    read -r answer < "$STUDIES_ANSWERS"
done
cat "$STUDIES_PARAMS"
"""


def test_a_shell_script_reports_and_gets_conditional_parameters(programs: Programs) -> None:
    programs.write("train.sh", SHELL)
    programs.study(
        {"command": "bash train.sh --depth {depth}"},
        n_trials=2,
        space={"model": ["tree", "line"], "depth": {"low": 2, "high": 9, "when": {"model": ["tree"]}}},
        start_with=[{"model": "tree", "depth": 3}, {"model": "line"}],
        max_epochs=3,
    )
    record = programs.launched()
    assert [trial.params for trial in record.trials] == [{"model": "tree", "depth": 3}, {"model": "line"}]
    assert programs.log(0).startswith('depth 3\n{"model": "tree", "depth": 3}')
    assert programs.log(1).startswith('depth none\n{"model": "line"}')
    assert all(list(trial.curve.values()) == [1.0, 2.0, 3.0] for trial in record.trials)


def test_a_wrong_study_file_is_told_with_its_line(programs: Programs) -> None:
    programs.study(
        {"command": "python train.py --lr {learning_rat}"}, space={"learning_rate": {"low": 0.0, "high": 1.0}}
    )
    said = programs.studies("launch", "script.yaml", expect=2).stderr
    assert "script.yaml:" in said
    assert "unknown placeholder {learning_rat}; did you mean learning_rate?" in said
    programs.study({"comand": "python train.py"})
    said = programs.studies("launch", "script.yaml", expect=2).stderr
    assert "unknown key 'comand'; did you mean command?" in said
    programs.study({"command": "no-such-program {x}"})
    said = programs.studies("launch", "script.yaml", expect=2).stderr
    assert "the program could not be started: no-such-program: no such file or directory" in said
    programs.study({"command": "python -u train.py"})
    said = programs.studies("launch", "script.yaml", expect=2).stderr
    assert f"{programs.directory} has no train.py, which objective.command names; type this where it is" in said


def test_what_knows_a_study_knows_one_of_a_program(programs: Programs) -> None:
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"})
    programs.launched()
    assert "python train.py" in programs.studies.told("show", "script.yaml").stdout
    exported = yaml.safe_load(programs.studies.told("export", "script").stdout)
    assert exported["objective"] == {"command": "python train.py"}
    programs.studies.told("report", "script", "-o", "page.md")
    assert "python train.py" in (programs.directory / "page.md").read_text()
    (programs.directory / "train.py").write_text(REPORTING + "\n# a comment\n")
    programs.studies("launch", "script.yaml", "--trials", "3")
    (programs.directory / "train.py").write_text(REPORTING.replace("time.sleep", "1 and time.sleep"))
    said = programs.studies("launch", "script.yaml", "--trials", "4", expect=2).stderr
    assert "code: train.py" in said


def test_the_winner_is_run_once_more_and_what_it_leaves_is_kept(programs: Programs) -> None:
    script = REPORTING.replace("1, 7)", "1, int(os.environ['STUDIES_MAX_EPOCHS']) + 1)")
    programs.write("train.py", script + "(program.checkpoints / 'final.txt').write_text('done')\n")
    programs.study({"command": "python train.py"})
    best = programs.launched().best
    assert best is not None
    said = programs.studies("train", "script").stderr
    assert "epoch 6/6 · train_loss 0.1667 · validation score" in said
    assert "is that of trial" in said
    assert "bit for bit" in said
    model = programs.directory / "script.model"
    assert {path.name for path in model.iterdir()} == {
        "README.md", "checkpoints", "metrics.json", "output.log", "params.yaml",
    }  # fmt: skip
    assert json.loads((model / "checkpoints" / "state.json").read_text()) == [6, best.value]
    assert (model / "checkpoints" / "final.txt").read_text() == "done"
    assert "did epoch 6\n[studies] exited with 0" in (model / "output.log").read_text()
    metrics = json.loads((model / "metrics.json").read_text())
    assert [each["validation"]["score"] for each in metrics["epochs"]] == list(best.curve.values())
    assert metrics["trial"]["repeated"] is True
    assert "python train.py" in (model / "README.md").read_text()

    programs.studies("train", "--params", str(model / "params.yaml"), "-o", "again", "--epochs", "4", "--seed", "5")
    assert yaml.safe_load((programs.directory / "again" / "params.yaml").read_text())["provenance"]["seed"] == 5
    last = json.loads((programs.directory / "again" / "checkpoints" / "state.json").read_text())
    assert last == [4, pytest.approx(expected_curve(best.params["x"], 5)[3])]
    assert (
        "script.model is what the program `python train.py` left"
        in programs.studies("predict", "script.model", "x", expect=2).stderr
    )
    assert "--dataset is not for a program" in programs.studies("train", "script", "--dataset", "x", expect=2).stderr


def test_a_training_that_fails_leaves_nothing(programs: Programs) -> None:
    programs.write("train.py", "import sys; sys.exit('no data')")
    best = {
        "study": "script", "objective": {"command": "python train.py {x}"}, "dataset": {"name": ""}, "metric": "score",
        "direction": "maximize", "params": {"x": 1.0}, "epochs": 3,
    }  # fmt: skip
    (programs.directory / "best.yaml").write_text(yaml.safe_dump(best))
    said = programs.studies("train", "--params", "best.yaml", expect=1).stderr
    assert "so nothing was written: the program exited with 1: no data" in said
    assert not (programs.directory / "script.model").exists()


def test_the_best_are_confirmed_under_fresh_seeds(programs: Programs) -> None:
    programs.write("train.py", "import sys\nfrom studies import program\nprogram.report(1, score=float(sys.argv[1]))")
    programs.study({"command": "python train.py {seed}"}, max_epochs=1)
    seeds = {trial.seed for trial in programs.launched().trials}
    programs.studies("confirm", "script", "--top", "1", "--seeds", "3")
    with open_storage(programs.studies.settings) as storage:
        confirmed = read_stored(storage, "script-confirm").trials
    assert [trial.value for trial in confirmed] == [trial.seed for trial in confirmed]
    assert len({trial.value for trial in confirmed} - seeds) == 3


def test_logs_show_what_workers_and_programs_print(programs: Programs) -> None:
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"}, space={"x": {"low": 0.5, "high": 1.0}, "seconds": 0.2})
    launch = programs.studies.start("launch", "script.yaml")
    until(lambda: trial_log(programs.studies.settings.home / "logs" / "script", 0).exists(), "a trial's log")
    followed = programs.studies("logs", "script", "--trial", "0", "-f").stdout  # until the trial has ended
    assert [line for line in followed.splitlines() if "did" in line] == [f"did epoch {n}" for n in range(1, 7)]
    assert followed.splitlines()[-1].startswith("[studies] exited with 0 after ")
    launch.communicate(timeout=PATIENCE_S)
    assert programs.studies.told("logs", "script", "--trial", "0").stdout == followed
    printed = programs.studies.told("logs", "script").stdout
    assert "trial 0 complete" in printed
    assert "trial 1 complete" in printed
    said = programs.studies.told("logs", "script", "--trial", "7", expect=2).stderr
    assert said == (
        "studies: There is no trial 7: 'script' has 2 trials, numbered from 0; `studies logs script --trial 1` shows "
        "one that is here.\n"
    )
    assert "numbered from 0; expected a failed one" in programs.studies.told("retry", "script", "7", expect=2).stderr
    assert "No study is named 'scrip'" in programs.studies.told("logs", "scrip", expect=2).stderr
    trial_log(programs.studies.settings.home / "logs" / "script", 0).unlink()
    said = programs.studies.told("logs", "script", "--trial", "0", expect=2).stderr
    assert "Trial 0 of 'script' has no log on this machine (" in said
    assert said.endswith("where they ran; `studies logs script --trial 1` shows one that is here.\n")
    programs.studies.environment["STUDIES_STORAGE"] = "postgresql://nobody@127.0.0.1:1/none"
    assert "Trial 7 of 'script' has no log" in programs.studies.told("logs", "script", "--trial", "7", expect=2).stderr


def launched_and_held(programs: Programs) -> subprocess.Popen[str]:
    """Return a launch whose only trial has done two epochs and is held in the third."""
    programs.studies.environment |= {"MARKER": str(programs.directory)}
    programs.write("train.py", REPORTING)
    programs.study({"command": "python train.py"}, n_trials=1, space={"x": {"low": 0.5, "high": 1.0}, "held": True})
    launch = programs.studies.start("launch", "script.yaml")
    log = trial_log(programs.studies.settings.home / "logs" / "script", 0)
    until(lambda: log.exists() and "did epoch 2" in log.read_text(), "two epochs")
    return launch


def test_a_signal_to_every_process_stops_a_trial_and_fails_none(programs: Programs) -> None:
    """A batch system sends SIGTERM to the launcher, the workers and what they started."""
    launch = launched_and_held(programs)
    (script,) = processes_with(str(programs.directory), SCRIPT)
    supervisor = script.parent()
    assert supervisor is not None
    worker = supervisor.parent()
    assert worker is not None
    launch.send_signal(signal.SIGTERM)
    for process in (worker, supervisor, script):
        with suppress(psutil.NoSuchProcess):  # the launcher may have ended it by now
            process.terminate()
    launch.communicate(timeout=PATIENCE_S)
    programs.write("go", "")
    stopped, again = programs.launched().trials
    assert stopped.reason == Reason.STOPPED
    assert list(again.curve.values()) == expected_curve(again.params["x"], again.seed or 0)


def test_a_program_is_ended_at_the_time_limit_of_a_trial(programs: Programs) -> None:
    programs.write("train.py", "import time\nfrom studies import program\nprogram.report(1, score=1)\ntime.sleep(600)")
    programs.study({"command": "python train.py {x}"}, n_trials=1, limits={"trial_minutes": 0.1})
    (trial,) = programs.launched().trials
    assert (trial.state, trial.value, trial.detail) == ("complete", 1.0, "stopped at its limit of 0.1 minutes")


RANKS = """
import os, sys, time
import torch
import torch.distributed as ranks
from studies import program

ranks.init_process_group("gloo")
x = torch.tensor([float(program.params["x"]) * (ranks.get_rank() + 1)])
for epoch in range(1, 4):
    ranks.all_reduce(x)
    program.report(epoch, score=x.item())
    if sys.argv[1] == "dies" and ranks.get_rank() == 1:
        os._exit(3)
ranks.destroy_process_group()
"""


def test_several_processes_report_as_one_and_end_together(programs: Programs) -> None:
    programs.studies.environment |= {"MARKER": str(programs.directory), "OMP_NUM_THREADS": "1"}
    programs.write("train.py", RANKS)
    command = "python -m torch.distributed.run --standalone --nproc-per-node 2 train.py {kind}"  # `torchrun` is that
    programs.study(
        {"command": command},
        n_trials=2,
        max_epochs=3,
        space={"x": 1.0, "kind": ["lives", "dies"]},
        start_with=[{"kind": "lives"}, {"kind": "dies"}],
    )
    lives, dies = programs.launched().trials
    assert list(lives.curve.values()) == [3.0, 6.0, 12.0]
    assert (dies.state, dies.reason) == ("fail", Reason.EXCEPTION)
    assert not processes_with(str(programs.directory), SCRIPT)


def test_a_program_ends_with_its_supervisor_and_its_trial_goes_on(programs: Programs) -> None:
    launch = launched_and_held(programs)
    (script,) = processes_with(str(programs.directory), SCRIPT)
    supervisor = script.parent()
    assert supervisor is not None
    supervisor.kill()
    programs.write("go", "")
    assert psutil.wait_procs([script], timeout=PATIENCE_S)[1] == []
    launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 0
    lost, again = programs.record().trials
    assert lost.reason == Reason.LOST
    assert list(again.curve.values()) == expected_curve(again.params["x"], again.seed or 0)


def test_the_script_that_ships_gives_the_same_by_its_lines_and_by_its_reports(programs: Programs) -> None:
    curves = []
    for name in ("title-words", "title-words-reports"):
        programs.studies("launch", name, "--trials", "1", "--set", "max_epochs=1")
        with open_storage(programs.studies.settings) as storage:
            (trial,) = read_stored(storage, name).trials
        assert (trial.value or 0) > 0.9
        curves.append([round(value, 6) for value in trial.curve.values()])
    assert curves[0] == curves[1]
