"""The service from Python, as a notebook and a script use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import studies
from studies import notebook
from studies.errors import CommandFailed, ModelRefused, ObjectiveRefused, StudyNotStarted, UnknownStudy, WrongInput

from .conftest import Studies

DIGITS = """
name: digits
objective: objectives.mnist_target
dataset: mnist-5k
metric: balanced_accuracy
direction: maximize
n_trials: 1
max_epochs: 2
"""


@pytest.fixture
def here(studies: Studies, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a user's directory with a home of its own, as a notebook there does."""
    monkeypatch.chdir(studies.directory)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a user's directory is added to it
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    for name, value in studies.environment.items():
        monkeypatch.setenv(name, value)
    return studies.directory


def test_a_study_from_launch_to_export(here: Path) -> None:
    study = studies.load("./parabola.yaml")
    said = r"Study 'parabola' has no trial in this storage yet; `studies launch \./parabola\.yaml` starts it"
    for kind, read in (
        (StudyNotStarted, study.read),
        (StudyNotStarted, lambda: study.status),
        (CommandFailed, study.stop),
    ):
        with pytest.raises(kind, match=said):
            read()
    study.launch(workers=2, trials=5, overrides={"max_epochs": 3, "space.x": [0.0, 0.5, 1.0, 2.0, 2.5]})
    assert study.best is not None
    trials = study.trials
    assert list(trials["number"]) == list(range(5))
    assert study.best.value == trials["value"].min()
    assert len(study.curves) == trials["n_epochs"].sum() == 15
    assert set(trials["params_x"]) == {0.0, 0.5, 1.0, 2.0, 2.5}
    assert yaml.safe_load(study.export())["params"] == study.best.params
    assert "5/5 trials" in study.status
    with pytest.raises(WrongInput, match="expected one of yaml"):
        study.export("xml")
    assert study.export("csv") == study.export(format="csv")
    file = here / "trials.csv"
    assert study.export(file) == study.export(str(file)) == file
    assert file.read_text(encoding="utf-8") == study.export("csv")
    assert study.export("best", format="yaml") == Path("best")
    assert Path("best").read_text(encoding="utf-8") == study.export()
    with pytest.raises(WrongInput, match=r"The file is 'best.pdf', and \.pdf is none of yaml, csv"):
        study.export("best.pdf")
    page = study.report()
    assert len(repr(page)) < 100
    assert page.save(here / "page.html").read_text(encoding="utf-8") == page.content
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!')
    # What the storage alone knows by now is found without its file, as by the command line.
    (here / "parabola.yaml").unlink()
    assert len(studies.load("parabola").trials) == 5


def test_a_study_is_checked_confirmed_and_begun_anew(here: Path) -> None:
    study = studies.load("./parabola.yaml")
    sound = study.check()
    assert sound.sound, str(sound)
    study.launch(workers=2, trials=4)
    standings = study.confirm(top=2, seeds=2, workers=2)
    assert list(standings["n"]) == [2, 2]
    assert standings["mean"].is_monotonic_increasing
    study.launch(trials=2, overrides={"max_epochs": 2}, new_version=True, start_from="parabola")
    assert study.best is not None
    assert study.trials["n_epochs"].max() == 2  # a name means its newest version
    assert len(studies.load("parabola@1").trials) == 4


def test_a_winner_is_trained_and_asked(here: Path) -> None:
    (here / "digits.yaml").write_text(DIGITS)
    study = studies.load("./digits.yaml")
    study.launch(trials=1)
    model = study.train("digits.model")
    assert study.best is not None
    assert model.metrics["test"]
    line = ",".join(["0"] * 784)
    answers = model.predict([line, line])
    assert len(answers) == 2
    said = answers.drop(columns="image")  # which only counts
    assert (said.iloc[0] == said.iloc[1]).all()
    assert studies.load_model("digits.model").predict([line]).equals(answers.iloc[:1])
    with pytest.raises(WrongInput, match="line 2"):
        model.predict([line, "1,2,3"])
    for rows, odd in (([1, 2], "1"), (np.zeros((2, 784)), r"array\(\[0"), (5, "5"), ([b"1,2"], "b'1,2'")):
        with pytest.raises(WrongInput, match=f"A row is {odd}.*; expected a text"):
            model.predict(rows)


def test_a_frame_is_asked_as_the_table_that_it_is() -> None:
    given = notebook._input_of(pd.DataFrame({"size, cm": [1.5, 2.5], "kind": ["a", None]}))
    assert not isinstance(given, str)
    assert given.read() == b'"size, cm",kind\n1.5,a\n2.5,\n'


def test_a_model_that_cannot_predict_has_its_metrics(here: Path) -> None:
    study = studies.load("./parabola.yaml").launch(trials=1)
    assert study.best is not None
    for model in (study.train("parabola.model"), studies.load_model("parabola.model")):
        assert model.metrics["trial"]["value"] == study.best.value
        with pytest.raises(ObjectiveRefused, match=r"'mine:Parabola' lacks predictor"):
            model.predict("1")
    with pytest.raises(ModelRefused, match="there is no such directory"):
        studies.load_model("nowhere")


def test_what_a_command_says_is_the_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = studies.load("./parabola.yaml")
    with pytest.raises(
        CommandFailed, match=r"exited with code 2: overrides={'space.y': 1}: unknown parameter 'y'"
    ) as failed:
        study.launch(overrides={"space.y": 1})
    assert failed.value.given["code"] == 2
    assert "space.y" in capsys.readouterr().err
    with pytest.raises(CommandFailed, match="exited with code 2: trials=0: n_trials is 0"):
        study.launch(trials=0)


def test_nothing_is_drawn_where_no_terminal_is(here: Path) -> None:
    """A Jupyter kernel sets FORCE_COLOR, its output is no terminal, and it may have no widgets."""
    script = """
import sys
sys.modules["ipykernel"] = type(sys)("ipykernel")
def get_ipython(): return type("ZMQInteractiveShell", (), {"config": {"IPKernelApp": {}}})()
import builtins
builtins.get_ipython = get_ipython
import studies
study = studies.load("./parabola.yaml").launch(workers=2, trials=3)
print(study.status)
print(study.best.number)
"""
    (here / "script.py").write_text(script)
    environment = os.environ | {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-color"}
    done = subprocess.run([sys.executable, "script.py"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3/3 trials" in done.stdout
    assert "3/3 trials" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "Warning" not in done.stderr


def test_a_wrong_name_is_told_with_the_nearest(here: Path) -> None:
    with pytest.raises(UnknownStudy, match="meli-cnn"):
        studies.load("meli-cn")


def test_a_script_needs_no_guard(here: Path) -> None:
    script = "import studies\nprint(studies.load('./parabola.yaml').launch(workers=2, trials=3).best.value)\n"
    (here / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == studies.load("parabola").trials["value"].min()
