"""An objective defined in a session: a script's, or a notebook's cells as IPython keeps them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studies import load
from studies.errors import WrongInput

from .conftest import Studies

# What the classes and functions of a session refer to: modules, constants, data, and each other.
SESSION = """
import math
import xml.etree.ElementTree
from dataclasses import dataclass
from math import sqrt

import numpy as np

TARGET = 2.0
data = np.linspace(0.0, 1.0, 5)


@dataclass
class Options:
    shift: float = TARGET


def distance(x):
    return sqrt((x - Options().shift) ** 2) if x < 100 else distance(x - 1)


def train(trial):
    xml.etree.ElementTree.Element("e")
    return distance(trial.suggest_float("x", -10, 10)) + float(data[0]) + math.sin(0.0)


class Named:
    metrics = {"loss": "minimize"}


class Steps(Named):
    datasets = {"none": "It needs none."}
    space = {"x": {"low": -10.0, "high": 10.0, "default": 0.0}}

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params)


class Training:
    def __init__(self, params):
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        return {"loss": distance(self.params["x"]) + 1 / self.n}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]
"""

USE = """
import studies

study = studies.load(train, metric="distance", direction="minimize", n_trials=3).launch()
data = data.copy()
again = studies.load(train, metric="distance", direction="minimize", n_trials=4).launch()  # nothing has changed
assert len(again.trials) == 4, again.trials
TARGET += 1
assert studies.load(train, direction="minimize", n_trials=1).read().spec.objective == study.read().spec.objective
steps = studies.load(Steps(), n_trials=2, max_epochs=2, name="a-class")
assert steps.launch().best.epoch == 2
print(steps.train("model").metrics["trial"]["epoch"], study.read().spec.objective)
"""

# Runs its arguments as IPython runs cells: in __main__, their text in linecache and nowhere else.
CELLS = """
import linecache, sys
for number, file in enumerate(sys.argv[1:]):
    text, name = open(file).read(), f"/tmp/ipykernel_1/{number}.py"
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), globals())
"""


def run(studies: Studies, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=studies.directory,
        env=studies.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_a_notebooks_cells(studies: Studies) -> None:
    for name, text in {"0.py": SESSION, "1.py": USE, "cells.py": CELLS}.items():
        (studies.directory / name).write_text(text)
    said = run(studies, "cells.py", "0.py", "1.py").stdout.split()
    assert said[0] == "2"
    # What was taken outlives the session, and every command finds it.
    for name in ("0.py", "1.py"):
        (studies.directory / name).unlink()
    studies("confirm", "train", "--top", "2", "--seeds", "2")
    studies("train", "a-class", "-o", "again")
    module = studies.directory / "home" / "notebook" / said[1].partition(":")[0]
    assert {"__init__.py", "data.pickle", "train.yaml"} == {file.name for file in module.iterdir() if file.is_file()}
    assert "TARGET = 2.0\n" in (module / "__init__.py").read_text()


def test_a_script_needs_neither_a_module_nor_a_guard(studies: Studies) -> None:
    use = 'import studies\nprint(studies.load(train, direction="minimize", n_trials=2).launch().best.value)\n'
    (studies.directory / "script.py").write_text(SESSION + use)
    assert float(run(studies, "script.py").stdout) >= 0


@pytest.mark.parametrize(
    ("cell", "call", "expected"),
    [
        ("f = lambda trial: 1.0", "f, direction='minimize', n_trials=1", "<lambda> is not defined by its name"),
        (
            "def g():\n    def f(trial): pass\n    return f",
            "g(), direction='minimize', n_trials=1",
            "g.<locals>.f is not",
        ),
        (
            "class C: pass\nc = C()\ndef f(trial): return c",
            "f, direction='minimize', n_trials=1",
            "refers to c, of type C, which cannot be saved (C is of this session)",
        ),
        (
            "h = open('cells.py')\ndef f(trial): h",
            "f, direction='minimize', n_trials=1",
            "refers to h, of type TextIOWrapper, which",
        ),
        (
            "class C:\n    def __init__(self, n): pass",
            "C, direction='minimize', n_trials=1",
            "it needs n, and a worker",
        ),
        ("c = 3", "c, direction='minimize', n_trials=1", "it is neither a class nor a function"),
        ("exec('def f(trial): pass')", "f, direction='minimize', n_trials=1", "the source of f is nowhere"),
        ("def f(trial): pass", "f, n_trials=1", "direction is not given; expected keys of a study file"),
        ("def f(trial): pass", "f, n_trials=0, direction='minimize'", "n_trials=0: n_trials is 0"),
        ("def f(trial): pass", "f, n_trial=1, n_trials=1, direction='minimize'", "did you mean n_trials"),
        ("", "'./parabola.yaml', n_trials=1", "n_trials is for an objective"),
    ],
)
def test_what_cannot_be_taken_is_said_with_what_to_do(studies: Studies, cell: str, call: str, expected: str) -> None:
    (studies.directory / "cells.py").write_text(CELLS)
    (studies.directory / "0.py").write_text(cell)
    (studies.directory / "1.py").write_text(f"import studies\nstudies.load({call})")
    arguments = ("-W", "ignore", "cells.py", "0.py", "1.py")  # a file left open is one of the mistakes
    said = run(studies, *arguments, expect=1).stderr.splitlines()[-1]
    assert expected in said
    if "cannot be taken along" in said:
        assert "`studies init mine` writes both" in said
    assert not (studies.directory / "home" / "notebook").exists() or "n_trial" in call


def test_what_can_be_imported_is_not_copied(studies: Studies, monkeypatch: pytest.MonkeyPatch) -> None:
    (studies.directory / "importable_here.py").write_text("def f(trial): return 1.0\n")
    monkeypatch.setenv("STUDIES_HOME", str(studies.directory / "home"))
    monkeypatch.syspath_prepend(studies.directory)
    import importable_here  # type: ignore[import-not-found]

    function = importable_here.f
    study = load(function, direction="minimize", n_trials=1)
    assert "objective: importable_here:f\n" in Path(study._given).read_text()
    monkeypatch.setattr(importable_here, "f", None)
    with pytest.raises(WrongInput, match="not what module 'importable_here' has under that name"):
        load(function, direction="minimize", n_trials=1)
