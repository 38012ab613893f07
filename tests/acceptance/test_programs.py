"""Programs as objectives, as people have them: real ones in Python and bash, started, judged, ended and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from studies.names import Reason
from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.run.log import trial_log
from studies.storage import open_storage

from .conftest import Studies

# What people have: argparse, a plain loop, a line an epoch. A run.sh calls it with other numbers each time.
PLAIN = """
import argparse, random, time

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

# The same with this package's helper: it resumes.
REPORTING = """
import json, os, sys, time
from studies import program

state = program.checkpoints / "state.json"
done, total = json.loads(state.read_text()) if state.exists() else (0, 0.0)
for epoch in range(done + 1, 7):
    time.sleep(program.params.get("seconds", 0.0))
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
        (self.directory / "script.yaml").write_text(yaml.safe_dump(known | keys))

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


def processes_with(marker: str) -> list[psutil.Process]:
    """The processes that have this word in their environment, so that no other test's are found."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARKER") == marker and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def test_a_plain_script_is_tuned_by_what_it_prints(programs: Programs) -> None:
    programs.write("train.py", PLAIN)
    programs.study(
        {
            "command": "python train.py --lr {learning_rate} --batch-size {batch_size} --epochs {max_epochs} --seed {seed}",
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
