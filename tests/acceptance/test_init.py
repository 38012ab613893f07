"""`studies init` with the real command: what it writes works as it is, from the check to a prediction."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from studies import templates
from studies.errors import WrongInput
from studies.record.reading import read_stored
from studies.storage import open_storage

from .conftest import Studies
from .test_bad_input import sentence


def test_a_class_is_checked_launched_confirmed_trained_asked_and_exported(studies: Studies) -> None:
    said = studies.told("init", "--objective", "my-fruit").stderr
    assert "Written: my_fruit.py, my-fruit.yaml, my-fruit.csv." in said
    assert "studies launch ./my-fruit.yaml --workers 2" in said
    assert len((studies.directory / "my_fruit.py").read_text().splitlines()) <= 140
    checked = json.loads(studies.told("check", "./my-fruit.yaml", "--json").stdout)
    assert checked["findings"] == []
    assert [left["name"] for left in checked["not_checked"]] == ["groups on both sides"]  # there are none
    studies("launch", "./my-fruit.yaml", "--workers", "2", "--trials", "3")
    studies("confirm", "my-fruit", "--top", "2", "--seeds", "2", "--workers", "2")
    studies.told("train", "my-fruit")
    model = studies.directory / "my-fruit.model"
    assert json.loads((model / "metrics.json").read_text())["test"]["accuracy"] > 0.8
    answers = studies.told("predict", "my-fruit.model", "7.6,7.2,170\n5.8,7.9,110", "--json").stdout.splitlines()
    assert [json.loads(answer)["class"] for answer in answers] == ["apple", "lemon"]
    (studies.directory / "rows.csv").write_text("7.6,7.2,170\n")
    assert studies.told("predict", "my-fruit.model", "rows.csv", "--json").stdout == answers[0] + "\n"
    rows = (studies.directory / "my-fruit.csv").read_text().splitlines()[1:]  # its header and classes are left out
    answers = studies.told("predict", "my-fruit.model", "my-fruit.csv", "--json").stdout.splitlines()
    right = [json.loads(one)["class"] == row.rpartition(",")[2] for one, row in zip(answers, rows, strict=True)]
    assert sum(right) > 0.8 * len(rows)
    given = "\ufeffdiameter_cm,length_cm,weight_g\n7,9\n\n7.6,7.2,170\n7,nan,9\nnosuch.csv"
    answered = studies.told("predict", "my-fruit.model", given, expect=1)
    expected = "is not diameter_cm, length_cm, weight_g, a number each"
    said = [line.split("\t")[-1] for line in answered.stdout.splitlines()]
    assert said == ["error", f"'7,9' {expected}", "", f"'7,nan,9' {expected}", f"'nosuch.csv' {expected}"]
    assert expected in sentence(studies, "predict", "my-fruit.model", "7,9", "--strict")
    assert yaml.safe_load(studies.told("export", "my-fruit").stdout)["objective"] == "my_fruit:Classifier"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "own.csv has 0 rows of [] and 0 classes: too few"),
        ("a;b;class\n1;2;x\n", "own.csv has 1 rows of [] and 1 classes"),
        ("a,b,class\n1,2,x\n\n3,,y\n", "'3,' is not a, b, a number each"),
        ("\ufeffa,b,class\n1,abc,x\n", "'1,abc' is not a, b, a number each"),
        ("a,b,class\n1,2,x,y\n", "'1,2,x' is not a, b, a number each"),
    ],
)
def test_a_file_of_your_own_that_cannot_be_used(studies: Studies, content: str, expected: str) -> None:
    studies.told("init", "--objective", "fruit")
    (studies.directory / "own.csv").write_text(content, encoding="utf-8")
    assert expected in sentence(studies, "data", "prepare", "./own.csv", "--objective", "fruit:Classifier")
    mistyped = sentence(studies, "data", "prepare", "./onw.csv", "--objective", "fruit:Classifier")
    assert mistyped == "studies: There is no data set or file './onw.csv'; did you mean own.csv?"


def test_a_directory_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(templates, "write_whole", refuses)
    monkeypatch.setattr(Path, "unlink", refuses)
    with pytest.raises(WrongInput, match=r"Cannot write .*first\.py \(Read-only file system\), so nothing was written"):
        templates.write("first", tmp_path, with_class=False)


def test_a_function_is_checked_and_launched(studies: Studies) -> None:
    assert "Written: first.py, first.yaml. Next:" in studies.told("init", "first").stderr
    checked = json.loads(studies.told("check", "./first.yaml", "--json").stdout)
    assert checked["findings"] == []
    studies("launch", "./first.yaml", "--trials", "2")
    assert (studies.directory / "first.best.yaml").exists()
    studies("launch", "./first.yaml", "--trials", "3")  # the file that is new here is no data of the study


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Study", "such as `studies init my-study`"),
        ("mine-confirm", "is what `studies confirm mine` makes; choose another name, such as `studies init mine`"),
        ("2d", "a letter first, such as `studies init d`"),
        ("-", "such as `studies init my-study`"),
        ("x" * 300, "expected at most 100 small letters"),
        ("torch", "such as `studies init my-torch`"),
        ("studies", "such as `studies init my-studies`"),
        ("class", "such as `studies init my-class`"),
        ("meli-cnn", "ships with `studies`"),
        ("mine", "mine.py is there already"),
        ("parabola", "parabola.yaml is there already"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(studies: Studies, name: str, expected: str) -> None:
    before = {path: path.read_bytes() for path in studies.directory.iterdir()}
    assert expected in sentence(studies, "init", "--", name)
    assert {path: path.read_bytes() for path in studies.directory.iterdir()} == before


SCRIPT = """
import argparse
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--nesterov", action="store_true")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--data", default="rows.csv")
args = parser.parse_args()
random.seed(args.seed)
for epoch in range(args.epochs):
    print(f"epoch {epoch} val_acc {0.9 - abs(args.lr - 0.01) + args.nesterov / 100 + random.random() / 1000:.6f}")
"""
CLICK = """
import click

@click.command()
@click.argument("data")
@click.option("--learning-rate", default=0.1, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam")
@click.option("--shuffle/--no-shuffle", default=True)
def main(**given):
    print("validation loss", 1)

main()
"""
TYPER = """
import typer

def main(dropout: float = 0.2, hidden_units: int = 100, bias: bool = True, epochs: int = 7):
    for _ in range(epochs):
        print(f"val_f1={1}")

typer.run(main)
"""


def test_a_script_becomes_a_study_file_that_is_checked_and_launched(studies: Studies) -> None:
    (studies.directory / "train.py").write_text(SCRIPT)
    said = studies.told("init", "train.py").stderr
    assert "Written: train.yaml." in said
    written = yaml.safe_load((studies.directory / "train.yaml").read_text())
    assert written["objective"]["command"] == (
        "python train.py --lr {lr} --batch-size {batch_size} --nesterov{nesterov:flag} "
        "--epochs {max_epochs} --seed {seed}"
    )
    assert written["space"] == {
        "lr": {"low": 1e-4, "high": 1e-2, "log": True, "default": 1e-3},
        "batch_size": {"choices": [32, 64, 128], "default": 64},
        "nesterov": {"choices": [False, True], "default": False},
    }
    assert (written["metric"], written["direction"], written["max_epochs"]) == ("val_acc", "maximize", 2)
    studies.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{studies.environment['PATH']}"
    assert json.loads(studies.told("check", "./train.yaml", "--json").stdout)["findings"] == []
    studies("launch", "./train.yaml", "--trials", "3")
    assert "It kept no model: have it write one into {checkpoints}" in studies.told("train", "train").stderr
    assert "train.yaml is there already" in sentence(studies, "init", "train.py")


def test_what_a_script_imports_slowly_is_imported_once_a_worker(studies: Studies) -> None:
    (studies.directory / "train.py").write_text(f"import sklearn{SCRIPT}")
    studies.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{studies.environment['PATH']}"
    studies.told("init", "train.py")
    assert yaml.safe_load((studies.directory / "train.yaml").read_text())["objective"]["preload"] == ["sklearn"]
    studies("launch", "./train.yaml", "--trials", "2")


CONFIG = "# of train.py\nopt: {lr: 1e-3, momentum: 0.9}\nepochs: 2\nseed: 0\n"
FIXED = """
import random, sklearn, yaml
from pathlib import Path

config = yaml.safe_load((Path(__file__).resolve().parent / "config.yaml").read_text())
random.seed(config["seed"])
Path("last.txt").write_text(Path("rows.csv").read_text())
for epoch in range(config["epochs"]):
    print(f"epoch {epoch} val_loss {float(config['opt']['lr']) + random.random() / 1000:.6f}")
"""


@pytest.mark.parametrize("is_given", [False, True])
def test_a_script_with_a_config_file_is_launched_as_it_is(studies: Studies, is_given: bool) -> None:
    code = FIXED.replace('(Path(__file__).resolve().parent / "config.yaml")', "Path(sys.argv[1])")
    (studies.directory / "train.py").write_text(f"import sys{code}" if is_given else FIXED)
    (studies.directory / "config.yaml").write_text(CONFIG)
    (studies.directory / "rows.csv").write_text("1")
    studies.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{studies.environment['PATH']}"
    studies.told("init", "train.py config.yaml" if is_given else "train.py")
    checked = json.loads(studies.told("check", "./train.yaml", "--json").stdout)
    assert [found["name"] for found in checked["findings"]] == (["shared-file"] if is_given else [])
    studies("launch", "./train.yaml", "--trials", "3", "--set", "pruner.name=none")
    with open_storage(studies.settings) as storage:
        trials = read_stored(storage, "train").trials
    assert len({trial.params["opt.lr"] for trial in trials}) == 3
    for trial in trials:
        assert trial.value is not None
        assert 0 <= trial.value - trial.params["opt.lr"] < 0.001
    assert (studies.directory / "config.yaml").read_text() == CONFIG
    assert (studies.directory / "last.txt").exists() is is_given


OPTUNA = """
import optuna

def objective(trial):
    trial.report(trial.suggest_float("x", -1, 1) ** 2, 1)
    return trial.suggest_float("x", -1, 1) ** 2

if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", storage="sqlite:///old.db")
    study.optimize(objective, n_trials=7)
"""


def test_an_optuna_objective_is_launched_in_place_of_its_script(studies: Studies) -> None:
    (studies.directory / "tune.py").write_text(OPTUNA)
    studies.told("init", "tune.py")
    written = yaml.safe_load((studies.directory / "tune.yaml").read_text())
    assert written == {
        "name": "tune", "objective": "tune:objective", "metric": "value", "direction": "maximize", "n_trials": 7,
        "max_epochs": 10,
    }  # fmt: skip
    studies("launch", "./tune.yaml", "--trials", "3")

    (studies.directory / "open-end.py").write_text("import optuna\n" + OPTUNA.partition("if __name__")[0])
    assert "cannot be imported under this name" in sentence(studies, "init", "open-end.py")
    unguarded = OPTUNA.replace('if __name__ == "__main__":', "").replace("    study", "study")
    (studies.directory / "unguarded.py").write_text(unguarded)
    studies.told("init", "unguarded.py")
    assert "# CORRECT THIS: put `study.optimize(...)`" in (studies.directory / "unguarded.yaml").read_text()


def test_where_only_the_python_beside_studies_starts_a_script_the_command_says_so(studies: Studies) -> None:
    (studies.directory / "train.py").write_text(SCRIPT)
    other = studies.directory / "bin" / "python"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho ModuleNotFoundError: torch >&2\nexit 1\n")
    other.chmod(0o755)
    studies.environment["PATH"] = f"{other.parent}{os.pathsep}{studies.environment['PATH']}"
    studies.told("init", "train.py")
    text = (studies.directory / "train.yaml").read_text()
    assert yaml.safe_load(text)["objective"]["command"].startswith("{python} train.py --lr {lr} ")
    assert text.startswith("# From `python train.py --help`.")
    assert "{python} train.py" in studies.told("show", "./train.yaml").stdout


@pytest.mark.parametrize(
    ("name", "code", "command", "metric"),
    [
        (
            "fit.py",
            CLICK,
            "--learning-rate {learning_rate} --optimizer {optimizer} --shuffle/--no-shuffle{shuffle:flag} DATA",
            "validation_loss",
        ),
        (
            "fit.py",
            TYPER,
            "--dropout {dropout} --hidden-units {hidden_units} --bias/--no-bias{bias:flag} --epochs {max_epochs}",
            "val_f1",
        ),
    ],
)
def test_scripts_of_click_and_typer_become_study_files(
    studies: Studies, name: str, code: str, command: str, metric: str
) -> None:
    (studies.directory / name).write_text(code)
    studies.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{studies.environment['PATH']}"
    studies.told("init", f"python {name}")
    written = yaml.safe_load((studies.directory / "fit.yaml").read_text())
    assert written["objective"]["command"] == f"python {name} {command}"
    assert written["metric"] == metric
    assert "fit" in studies.told("show", "fit.yaml").stdout


def test_a_subcommand_is_no_argument_and_a_config_file_no_setting(studies: Studies) -> None:
    (studies.directory / "sub.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n"
        "s.add_parser('fit').add_argument('--config', default='a.yaml')\np.parse_args()"
    )
    studies.told("init", "sub.py fit")
    text = (studies.directory / "sub.yaml").read_text()
    assert yaml.safe_load(text)["objective"]["command"].endswith("sub.py fit")
    assert "# CORRECT THIS: nothing looks like a setting to search" in text


@pytest.mark.parametrize(
    ("given", "code", "expected"),
    [
        ("gone.py", None, "There is no file gone.py"),
        ("train.py", "print(1)", "train.py reads no options from its command line"),
        ("train.py", "print(1)", "`program.params.get('lr', 1e-3)`, after `from studies import program`"),
        ("nb.ipynb", None, "nb.ipynb is a notebook; save it as a script (`jupyter nbconvert --to script nb.ipynb`)"),
        ("train.py", "import sys\nsys.exit('no data')  # argv", "shows no options, its last line is: no data"),
        (
            "train.py",
            "import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n"
            "s.add_parser('fit')\ns.add_parser('score')\np.parse_args()",
            "lists commands (fit, score); type one, such as `studies init 'train.py fit'`",
        ),
        ("no-such/program --x", None, "could not be started (No such file or directory)"),
    ],
)
def test_a_script_that_tells_nothing_gets_one_sentence(
    studies: Studies, given: str, code: str | None, expected: str
) -> None:
    if code is not None:
        (studies.directory / "train.py").write_text(code)
    assert expected in sentence(studies, "init", given)
    assert not (studies.directory / "train.yaml").exists()


def test_a_sweep_of_wandb_is_launched(studies: Studies) -> None:
    (studies.directory / "swept.py").write_text(
        "import sys\n"
        "from studies import program\n"
        "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "for epoch in range(int(given['--epochs'])):\n"
        "    program.report(None, **{'val/loss': float(given['--lr']) / (epoch + 1)})\n"
    )
    (studies.directory / "sweep.yaml").write_text(
        "{program: swept.py, method: bayes, run_cap: 3, metric: {name: val/loss, goal: minimize}, "
        f"command: ['{sys.executable}', '${{program}}', '${{args}}'], "
        "parameters: {epochs: {value: 1}, lr: {min: 1.0, max: 4.0}}}"
    )
    assert "Written: swept.yaml." in studies.told("init", "sweep.yaml").stderr
    studies("launch", "./swept.yaml")
    with open_storage(studies.settings) as storage:
        trials = read_stored(storage, "swept").trials
    assert [trial.value for trial in trials] == [trial.params["lr"] for trial in trials]
    assert len(trials) == 3
    assert "swept.yaml is there already" in sentence(studies, "init", "sweep.yaml")
