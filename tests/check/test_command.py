"""`studies check`, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from ..waiting import PATIENCE_S

MODULE = """
import time

class Training:
    def __init__(self, params):
        print("a word of the objective's own")
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        time.sleep(self.params["seconds"])
        return {"loss": (self.params["x"] - 2) ** 2 + self.params["used"] / self.n}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Parabola:
    metrics = {"loss": "minimize"}
    datasets = {"none": "no data"}
    space = {
        "x": {"low": 0.0, "high": 10.0, "default": 1.0},
        "used": {"low": 0.0, "high": 1.0, "default": 0.5},
        "ghost": {"choices": [1, 2], "default": 1},
        "seconds": {"low": 0.0, "high": 60.0, "default": 0.0},
    }

    def prepare(self, dataset, data, cache, progress):
        if dataset.endswith(".csv"):
            raise ValueError(f"{dataset} cannot be read; check the path")

    def start(self, params, data, *, seed, device):
        return Training(params)
"""

STUDY = """
name: parabola
objective: mine:Parabola
dataset: none
metric: loss
direction: minimize
n_trials: 4
space: {seconds: 0.0}
"""

Check: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "parabola.yaml").write_text(STUDY)
    environment = os.environ | {"STUDIES_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path.cwd())}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "studies", "check", *arguments],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


def test_an_error_is_told_with_its_line_and_exit_code(check: Check) -> None:
    process = check("parabola.yaml")
    stdout, stderr = process.communicate()
    line = next(number for number, text in enumerate(MODULE.split("\n"), start=1) if '"ghost"' in text)
    assert process.returncode == 1, stderr
    assert stdout.startswith("parabola: NOT SOUND (1 error, 0 warnings")
    assert f"error: ghost-parameter at mine.py:{line}" in stdout
    assert "a word of the objective's own" not in stdout + stderr
    assert stderr.splitlines()[-1] == "checking memory and cost (91%)"


def test_a_sound_study_as_json(check: Check) -> None:
    process = check("parabola.yaml", "--set", "space={seconds: 0.0, ghost: 1}", "--json")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    result = json.loads(stdout)
    assert result["sound"] is True
    assert result["findings"] == []
    assert {"name", "reason"} == set(result["not_checked"][0])
    assert "the study" in {fact["name"] for fact in result["facts"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["meli-cn"], "did you mean meli-cnn"),
        (["parabola.yaml", "--timeout", "0"], "--timeout is 0; expected minutes above 0"),
        (["parabola.yaml", "--set", "n_trials=0"], "--set n_trials=0: n_trials is 0"),
        (["parabola.yaml", "--set", "space.xx=1"], "--set space.xx=1: unknown parameter 'xx'"),
        (["parabola.yaml", "--dataset", "./data.csv"], "./data.csv cannot be read; check the path"),
        (["parabola.yaml", "--set", "objective=nowhere.models"], "there is no module 'nowhere'"),
    ],
)
def test_wrong_input_is_one_sentence(check: Check, arguments: list[str], expected: str) -> None:
    process = check(*arguments)
    stdout, stderr = process.communicate()
    said = [line for line in stderr.splitlines() if line.startswith("studies: ")]
    assert (process.returncode, stdout, len(said)) == (2, "", 1)
    assert expected in said[0]


def test_ctrl_c_leaves_nothing_behind(check: Check) -> None:
    process = check("parabola.yaml", "--set", "space.seconds=60")
    assert process.stderr is not None
    while "checking whether it trains" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.5)
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    process.communicate()
    _, left = psutil.wait_procs(started, timeout=PATIENCE_S)
    assert not left
