"""From a study to a model that answers, with the real command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from objectives.meli_mlp import objective as meli_mlp
from studies.names import CONTINUES
from studies.record.reading import read_stored
from studies.storage import open_storage

from ..waiting import PATIENCE_S
from . import warm
from .conftest import Studies
from .test_bad_input import sentence

BEST: dict[str, Any] = {
    "study": "parabola", "objective": "mine:Parabola", "dataset": {"name": "none"}, "metric": "loss",
    "direction": "minimize", "params": {"x": 1.0, "mood": "fine", "seconds": 0.0}, "epochs": 3,
}  # fmt: skip


def write_best(studies: Studies, **changes: Any) -> str:
    content = {key: value for key, value in (BEST | changes).items() if value is not None}
    (studies.directory / "best.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return "best.yaml"


def predict(studies: Studies, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = warm.run(["predict", *arguments], studies.directory, studies.environment, stdin)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def hidden(studies: Studies) -> list[str]:
    """What a training that did not end would leave behind."""
    return [path.name for path in studies.directory.iterdir() if path.name.startswith(".")]


def test_from_a_study_to_answers_and_from_its_export_to_the_same_model(studies: Studies) -> None:
    study = {
        "name": "tiny", "objective": "objectives.meli_mlp", "dataset": meli_mlp.example(studies.directory).dataset,
        "metric": "balanced_accuracy", "direction": "maximize", "n_trials": 2, "max_epochs": 3,
        "space": {"hidden_layers": [256, 128], "batch_size": 64, "optimizer": "adam"}, "pruner": {"name": "none"},
    }  # fmt: skip
    (studies.directory / "tiny.yaml").write_text(yaml.safe_dump(study))
    launched = studies("launch", "./tiny.yaml", "--workers", "2")  # each with one thread, on two cores
    assert "`studies train tiny` trains and saves the model" in launched.stderr

    trained = studies("train", "tiny")
    assert trained.stdout == ""
    best = yaml.safe_load((studies.directory / "tiny.best.yaml").read_text())
    assert f"is that of trial {best['trial']}, bit for bit" in trained.stderr
    assert "epoch 1/" in trained.stderr
    metrics = json.loads((studies.directory / "tiny.model" / "metrics.json").read_text())
    assert metrics["validation"]["balanced_accuracy"] == best["value"]
    assert metrics["baseline"]["test"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert 0 < metrics["test"]["balanced_accuracy"] <= 1
    card = (studies.directory / "tiny.model" / "README.md").read_text()
    assert f"| test | {metrics['n']['test']} |" in card
    assert best["dataset"]["sha256"] in card

    # The exported file alone, without the storage.
    studies.told("export", "tiny", "-o", "best.yaml")
    studies.environment["STUDIES_STORAGE"] = "postgresql://me@127.0.0.1:9/nowhere"
    studies.told("train", "--params", "best.yaml", "-o", "again/model")
    files = [
        yaml.safe_load((studies.directory / place / "params.yaml").read_text())
        for place in ("tiny.model", "again/model")
    ]
    assert files[0]["files"] == files[1]["files"]
    assert files[0]["params"] == best["params"]

    # The directory alone, elsewhere, without the data.
    (studies.directory / "titles.csv").unlink()
    shutil.rmtree(studies.directory / "home" / "prepared")
    (studies.directory / "again" / "model").rename(studies.directory / "moved")
    code, out, err = predict(studies, "moved", stdin=b"word01 word05\nword21 common1 word23\n")
    assert (code, err) == (0, "")
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert header[:3] + header[-2:] == ["title", "category", "probability", "known_words", "error"]
    assert [row[0] for row in rows] == ["word01 word05", "word21 common1 word23"]
    assert {cell for row in rows for cell in row[1:-2:2]} == {"Category 0", "Category 1", "Category 2"}
    code, out, err = predict(studies, "moved", "word01 word05", "--json")
    assert json.loads(out) == pytest.approx(dict(zip(header[:-1], map(_number, rows[0][:-1]), strict=True)), abs=1e-5)
    code, out, err = predict(studies, "moved", "word01", "--length", "3")
    assert (code, out) == (2, "")
    assert err == "studies: --length is not for this model, which has no options\n"
    code, out, err = predict(studies, "moved", stdin=b"word01\nword\xe9\nword21\n")
    assert (code, len(out.splitlines()), err) == (0, 4, "")  # Latin-1
    bad = b"word01\n\nword\x8f\nword21\n\n"
    code, out, err = predict(studies, "moved", stdin=bad)
    header, *rows = [line.split("\t") for line in out.splitlines()]
    assert (code, err) == (
        1,
        "studies: 3 rows could not be answered; the column `error` says why, and --strict stops at the first.\n",
    )
    assert [row[0] for row in rows] == ["word01", "", "", "word21", ""]
    assert [row[-1].partition(":")[0] for row in rows] == ["", "stdin, line 2", "stdin, line 3", "", "stdin, line 5"]
    code, out, err = predict(studies, "moved", "-", "--json", stdin=bad)
    assert (code, ["error" in json.loads(line) for line in out.splitlines()]) == (1, [False, True, True, False, True])
    for n_rows in (1, 20_000):  # what fits a buffer, and what does not
        readable, writable = os.pipe()
        os.close(readable)
        ended = subprocess.run(
            [sys.executable, "-m", "studies", "predict", "moved"], input=b"word01\n" * n_rows, stdout=writable,
            stderr=subprocess.PIPE, cwd=studies.directory, env=studies.environment, check=False,
        )  # fmt: skip
        os.close(writable)
        assert (ended.returncode, ended.stderr) == (0, b"")
    code, out, err = predict(studies, "moved", "--strict", stdin=bad)
    assert (code, len(out.splitlines())) == (2, 2)
    assert "stdin, line 2: an empty title" in err


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def test_an_objective_without_the_optional_parts_is_trained_and_saved(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "3")
    trained = studies.told("train", "parabola")
    assert "bit for bit" in trained.stderr
    assert "no test rows were scored" in trained.stderr
    metrics = json.loads((studies.directory / "parabola.model" / "metrics.json").read_text())
    assert metrics["test"] is None
    assert (metrics["kept_epoch"], len(metrics["epochs"])) == (5, 5)
    code, out, err = predict(studies, "parabola.model", "1")
    assert (code, out) == (2, "")
    assert "'mine:Parabola' lacks predictor(params, fitted, weights, device)" in err
    assert "has no with_validation()" in sentence(studies, "train", "parabola", "-o", "more", "--with-validation")
    assert "holds a model already" in sentence(studies, "train", "parabola")
    studies.told("train", "parabola", "--overwrite", "--epochs", "2", "--seed", "5")
    assert len(json.loads((studies.directory / "parabola.model" / "metrics.json").read_text())["epochs"]) == 2
    assert not hidden(studies)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_leaves_nothing(studies: Studies, sent: int) -> None:
    slow = BEST["params"] | {"seconds": 0.3}
    process = studies.start("train", "--params", write_best(studies, params=slow, epochs=100), "-o", "model")
    assert process.stderr is not None
    assert "importing" in process.stderr.readline()
    assert "epoch 1/100" in process.stderr.readline()
    assert hidden(studies)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "of 100 epochs; nothing was written" in stderr
    assert not (studies.directory / "model").exists()
    assert not hidden(studies)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"params": BEST["params"] | {"xx": 1}}, "best.yaml:11: unknown parameter 'xx'; did you mean x?"),
        ({"params": {"x": 1.0, "mood": "fine"}}, "the parameter 'seconds' is missing (0 to 60)"),
        ({"params": BEST["params"] | {"x": 11.0}}, "x = 11.0 is outside its space"),
        ({"params": [1, 2]}, "best.yaml:7: params is [1, 2]"),
        ({"params": None}, "the key 'params' is missing"),
        ({"study": "Not A Name"}, "best.yaml:1: study is 'Not A Name'"),
        ({"study": "other"}, "is of the study 'other', not of 'parabola'; leave NAME out"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": None}, "do not say for how many epochs"),
        ({"objective": "mine:Nothing"}, "has no 'Nothing'"),
        ({"objective": "mine:plain", "params": {"y": 1}, "metric": "value"}, "asks for 'x', and the trial had y"),
        ({"objective": "os.system('x')"}, "objective is \"os.system('x')\""),
        ({"metric": "accuracy"}, "reports no metric 'accuracy'"),
    ],
)
def test_a_wrong_params_file_gets_one_sentence(studies: Studies, changes: dict[str, Any], expected: str) -> None:
    assert expected in sentence(studies, "train", "parabola", "--params", write_best(studies, **changes))
    assert not (studies.directory / "parabola.model").exists()
    assert not hidden(studies)


def test_what_else_is_wrong_gets_one_sentence(studies: Studies) -> None:
    assert "Neither NAME nor --params is given" in sentence(studies, "train")
    assert "has no trial in this storage yet" in sentence(studies, "train", "meli-cnn")
    assert "No study is named 'parabola'" in sentence(studies, "train", "parabola")
    assert "cannot be read" in sentence(studies, "train", "--params", "missing.yaml")
    (studies.directory / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in sentence(studies, "train", "--params", "binary.yaml")
    best = write_best(studies)
    (studies.directory / "full").mkdir()
    (studies.directory / "full" / "thesis.tex").touch()
    taken = sentence(studies, "train", "--params", best, "-o", "full", "--overwrite")
    assert "full holds 'thesis.tex', which is not a model's" in taken
    assert "is there and is no directory" in sentence(studies, "train", "--params", best, "-o", "mine.py")
    assert "cannot be written" in sentence(studies, "train", "--params", best, "-o", "mine.py/below")
    nan = write_best(studies, params=BEST["params"] | {"mood": "nan"})
    assert "loss became nan in epoch 1 of 3" in sentence(studies, "train", "--params", nan, "-o", "model", expect=1)
    assert "there is no such directory" in sentence(studies, "predict", "model", "1")
    assert "it holds no params.yaml" in sentence(studies, "predict", "full", "1")
    assert [path.name for path in (studies.directory / "full").iterdir()] == ["thesis.tex"]
    assert not hidden(studies)


def test_data_that_changed_are_told(studies: Studies) -> None:
    path = Path(meli_mlp.example(studies.directory).dataset)
    params = {
        "learning_rate": 1e-3, "decay_weights": False, "batch_size": 64, "dropout": 0.3, "freeze_embeddings": False,
        "optimizer": "adam", "hidden_layers": [128, 128], "pooling": "mean", "activation": "relu",
    }  # fmt: skip
    best = write_best(
        studies, objective="objectives.meli_mlp", dataset={"name": str(path), "sha256": "0" * 64}, params=params,
        metric="balanced_accuracy", direction="maximize", epochs=1, value=0.5, trial=3,
    )  # fmt: skip
    said = studies.told("train", "--params", best, "--with-validation").stderr
    assert "is not what the study trained on: its sha256 was 000000000000... and is " in said
    assert "bit for bit" not in said
    card = (studies.directory / "parabola.model" / "README.md").read_text()
    assert f"the study's was `{'0' * 64}`" in card
    assert "Trained on the train and validation rows" in card


KEEPING = """
import json
import optuna
from studies import checkpoints

def train(trial):
    '''A weight that grows.'''
    x = trial.suggest_float("x", 0.0, 1.0)
    file = checkpoints(trial) / "weight.json"
    done, weight = json.loads(file.read_text()) if file.exists() else (0, 0.0)
    for epoch in range(done + 1, 10):
        weight += x
        file.write_text(json.dumps([epoch, weight]))
        with open("epochs", "a") as log:
            print(epoch, file=log)
        trial.report(weight, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return weight

def odd(trial):
    trial.suggest_float("x", 0.0, 1.0)
    if "known" in trial.user_attrs:
        return 1.0
    raise optuna.TrialPruned
"""


def test_a_plain_function_is_paused_goes_on_and_is_trained_from_what_it_keeps(studies: Studies) -> None:
    (studies.directory / "keeping.py").write_text(KEEPING)
    study = {"name": "keeping", "objective": "keeping:train", "metric": "weight", "direction": "maximize"}
    (studies.directory / "keeping.yaml").write_text(yaml.safe_dump(study | {"n_trials": 9, "max_epochs": 9}))
    launched = studies("launch", "./keeping.yaml")
    with open_storage(studies.settings) as storage:
        record = read_stored(storage, "keeping")
    n_epochs = len((studies.directory / "epochs").read_text().split())
    resumed = {trial.attributes.get(CONTINUES) for trial in record.trials}
    assert n_epochs == sum(len(trial.curve) for trial in record.trials if trial.number not in resumed)
    assert len(resumed) > 1
    assert record.counts["complete"] >= 3
    assert "`studies train keeping` trains and saves the model" in launched.stderr

    trained = studies("train", "keeping").stderr
    assert record.best is not None
    assert f"is that of trial {record.best.number}, bit for bit" in trained
    model = studies.directory / "keeping.model"
    epoch, weight = json.loads((model / "checkpoints" / "weight.json").read_text())
    assert (epoch, weight) == (9, record.best.value)
    metrics = json.loads((model / "metrics.json").read_text())
    assert (metrics["trial"]["repeated"], metrics["reports"]["9"]) == (True, weight)
    assert "A weight that grows." in (model / "README.md").read_text()
    studies("train", "--params", "keeping.model/params.yaml", "-o", "again")
    assert (studies.directory / "again" / "checkpoints" / "weight.json").is_file()
    assert "what the function `keeping:train` left" in sentence(studies, "predict", "keeping.model", "1")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--epochs", "3"], "--epochs is not for a plain function"),
        (["--with-validation"], "--with-validation is not for a plain function"),
        ([], "raised TrialPruned where trial.should_prune() was False"),
    ],
)
def test_what_a_plain_function_cannot_be_asked_for(studies: Studies, option: list[str], expected: str) -> None:
    (studies.directory / "keeping.py").write_text(KEEPING)
    best = write_best(studies, objective="keeping:odd", params={"x": 0.5}, epochs=None)
    assert expected in sentence(studies, "train", "--params", best, "-o", "model", *option)
    assert not (studies.directory / "model").exists()
    assert not hidden(studies)
