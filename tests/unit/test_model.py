"""A model's directory: whole or not there, checked when it is opened, and refused when it is another's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from studies.cli import app
from studies.cli.model import parameters
from studies.errors import DirectoryTaken, ModelRefused, ObjectiveRefused, WrongInput
from studies.model import FILES, new_directory, open_model
from studies.model.predict import Asked, Option, lines, options_of
from studies.model.result import Request, TrainingResult
from studies.model.train import train
from studies.model.winner import Winner
from studies.settings import Settings

VALUES = [0.4, 0.9, 0.6, 0.9, 0.5]  # after each epoch: the best is the second


class Training:
    """An objective's training whose only weight is its epoch."""

    n_tested = 0

    def __init__(self) -> None:
        self.epochs = torch.zeros(1)

    def epoch(self) -> dict[str, float]:
        self.epochs += 1
        return {"accuracy": VALUES[int(self.epochs) - 1], "train_loss": 1.0, "baseline_accuracy": 0.25}

    def test(self) -> dict[str, float]:
        type(self).n_tested += 1
        return {"accuracy": 0.1 * float(self.epochs), "validation_loss": 2.0, "baseline_accuracy": 0.2}

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"].clone()

    def weights(self) -> dict[str, Any]:
        return {"epochs": self.epochs}


class Predictor:
    """What it was trained for."""

    def __init__(self, n: float) -> None:
        self.n = n

    def predict(self, source: Any, *, temperature: float = 1.0) -> Iterator[dict[str, Any] | str]:
        """INPUT is a number. temperature: what the answer is
        multiplied by.
        """
        if source == "bad":
            raise ValueError("bad is no number")
        yield {"asked": source, "epochs": self.n * temperature}


class Counts:
    """An objective."""

    metrics = {"accuracy": "maximize"}  # noqa: RUF012
    datasets = {"none": "It needs none."}  # noqa: RUF012
    space: dict[str, Any] = {}  # noqa: RUF012
    asks_for = "epochs"

    def prepare(self, dataset: str, data: Path, cache: Path, progress: Any) -> None:
        return None

    def start(self, params: Any, data: Any, *, seed: int, device: str) -> Training:
        return Training()

    def fitted(self, params: Any, data: Any) -> dict[str, Any]:
        return {"name": "é"}

    def predictor(self, params: Any, fitted: Any, weights: Any, *, device: str) -> Predictor:
        if fitted["name"] != "é":
            raise RuntimeError("two\nlines")
        return Predictor(float(weights[self.asks_for]))


class OthersCounts(Counts):
    """Another objective, with other weights."""

    asks_for = "filters"


class Unfit(Counts):
    """An objective whose fitted() is no JSON."""

    def fitted(self, params: Any, data: Any) -> dict[str, Any]:
        return {"scale": torch.ones(2)}


class Wanders(Counts):
    """An objective that changes the working directory."""

    def start(self, params: Any, data: Any, *, seed: int, device: str) -> Training:
        os.chdir("/")
        return Training()


class Silent:
    """A view for nobody."""

    def preparing(self, what: str, fraction: float) -> None:
        pass

    def say(self, line: str) -> None:
        pass


def winner(**changes: Any) -> Winner:
    known = {
        "study": "counts", "objective": f"{__name__}:Counts", "dataset": {"name": "none"}, "metric": "accuracy",
        "direction": "maximize", "params": {}, "epochs": 2, "value": 0.9, "trial": 4, "provenance": {"seed": 3},
    }  # fmt: skip
    return Winner.model_validate(known | changes)


def trained(directory: Path, overwrite: bool = False, *, of: Winner | None = None, **given: Any) -> TrainingResult:
    settings = Settings(None, directory.parent / "home", directory.parent / "data")
    return train(Request(of or winner(), **given), settings, directory, "cpu", Silent(), overwrite=overwrite)


def asked(directory: Path, source: str = "7", **options: Any) -> list[Any]:
    return list(Asked(directory, "cpu").answers(source, options))


def test_the_weights_of_the_best_epoch_are_kept_and_tested_once(tmp_path: Path) -> None:
    Training.n_tested = 0
    result = trained(tmp_path / "model", epochs=5)
    assert (result.best, result.value, len(result.history), result.repeats) == (2, 0.9, 5, True)
    assert Training.n_tested == 1
    assert asked(tmp_path / "model") == [{"asked": "7", "epochs": 2.0}]
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert metrics["test"] == {"accuracy": pytest.approx(0.2), "loss": 2.0}
    assert metrics["baseline"] == {"validation": {"accuracy": 0.25}, "test": {"accuracy": 0.2}}
    assert metrics["trial"] == {"value": 0.9, "epoch": 2, "repeated": True}
    assert [epoch["validation"]["accuracy"] for epoch in metrics["epochs"]] == VALUES
    params = yaml.safe_load((tmp_path / "model" / "params.yaml").read_text())
    assert (params["epochs"], params["value"], params["provenance"]["seed"]) == (2, 0.9, 3)
    again = Winner.model_validate(params)  # a model is a recipe, too
    assert trained(tmp_path / "again", of=again).repeats is True


def test_another_value_than_the_trials_is_told_with_what_differs(tmp_path: Path) -> None:
    result = trained(tmp_path / "model", of=winner(value=0.8, provenance={"seed": 3, "torch": "1.0"}))
    assert result.repeats is False
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"is 0.9, and that of trial 4 was 0.8 (then torch 1.0, now {result.provenance['torch']}" in card
    assert trained(tmp_path / "other", seed=5).repeats is None


@pytest.mark.parametrize("name", ["model.safetensors", "fitted.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\x80\x04\x95"])
def test_a_tampered_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    trained(tmp_path / "model")
    path = tmp_path / "model" / name
    whole = bytearray(path.read_bytes())
    whole[-3] ^= 1
    for tampered in (bytes(whole), content):
        path.write_bytes(tampered)
        with pytest.raises(ModelRefused, match="is not the file that was written"):
            asked(tmp_path / "model")
    forged(tmp_path / "model")  # with a hash to match it is read, and refused for what is in it
    with pytest.raises(ModelRefused, match="cannot be used as a model"):
        asked(tmp_path / "model")
    path.unlink()
    with pytest.raises(ModelRefused, match=f"it holds no {name}"):
        asked(tmp_path / "model")


def forged(directory: Path) -> None:
    from studies.model import _sha256

    params = yaml.safe_load((directory / "params.yaml").read_text())
    params["files"] = {name: _sha256(directory / name) for name in params["files"]}
    (directory / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        ("objective: x:y", ObjectiveRefused, "there is no module 'x'"),
        (f"objective: {__name__}:OthersCounts", ModelRefused, "its parts are not those of one model"),
        (f"objective: {__name__}:Training", ObjectiveRefused, "lacks predictor"),
        ("objective: 'os; rm -rf'", ModelRefused, "expected module:Name; a command line"),
        ("files: {}", ModelRefused, "is not the file that was written"),
        ("files: [1]", ModelRefused, "files is"),
        ("params: !!python/object/apply:os.system [true]", ModelRefused, "the tag python.* is not known"),
        ("epochs: [", ModelRefused, r"params\.yaml:\d+"),
    ],
)
def test_a_directory_of_something_else_is_refused(tmp_path: Path, change: str, error: Any, expected: str) -> None:
    trained(tmp_path / "model")
    path = tmp_path / "model" / "params.yaml"
    key = change.partition(":")[0]
    content = yaml.safe_load(path.read_text())
    del content[key]
    path.write_text(yaml.safe_dump(content) + change + "\n")
    with pytest.raises(error, match=expected):
        asked(tmp_path / "model")


def test_what_is_asked_wrongly_is_told(tmp_path: Path) -> None:
    trained(tmp_path / "model")
    assert asked(tmp_path / "model", temperature=2.0) == [{"asked": "7", "epochs": 4.0}]
    with pytest.raises(WrongInput, match="--length is not for this model, which has --temperature"):
        asked(tmp_path / "model", length=3)
    with pytest.raises(WrongInput, match="--source is not for this model"):
        list(Asked(tmp_path / "model", "cpu").answers("7", {"source": 3}))
    with pytest.raises(WrongInput, match="bad is no number"):
        asked(tmp_path / "model", "bad")


def predict(*arguments: str) -> None:
    app(["predict", *arguments], standalone_mode=False)


def test_the_predictors_options_are_options_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path / "model")
    model = str(tmp_path / "model")
    for arguments in ([model, "7", "--temperature", "2"], ["--temperature=2.0", model, "7", "--json"]):
        predict(*arguments)
        assert "4.0" in capsys.readouterr().out
    predict(model, "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "--temperature" in said
    assert "what the answer is multiplied by. [default: 1.0]" in said
    assert Asked(tmp_path / "model", "cpu").says == "INPUT is a number."
    with pytest.raises(WrongInput, match="--length is not for this model, which has --temperature"):
        predict(model, "7", "--length", "3")
    with pytest.raises(ModelRefused, match="there is no such directory"):
        predict(str(tmp_path / "nowhere"), "7", "--temperature", "3")
    predict("--help")
    assert "multiplied" not in " ".join(capsys.readouterr().out.split())


def test_options_of_every_kind() -> None:
    def declared(
        source: Any,
        *,
        beam_width: int = 3,
        sample: bool = False,
        stop: str | None = None,
        scale: Any = (1, 2),
        seed: int,
    ) -> Iterator[str]:
        """INPUT is a text, and this is no option: source.

        beam_width: how many
        at a time. sample: whether to draw.
        stop: where it ends

        More about it.
        """
        yield ""

    assert options_of(declared) == [
        Option("beam_width", int, 3, "how many at a time."),
        Option("sample", bool, False, "whether to draw."),
        Option("stop", str, None, "where it ends"),
        Option("scale", str, (1, 2), ""),
        Option("seed", int, None, ""),
    ]
    typed = [name for parameter in parameters(options_of(declared)) for name in parameter.opts]
    assert typed == ["--beam-width", "--sample", "--stop", "--scale", "--seed"]


def test_what_cannot_be_saved_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveRefused, match="fitted\\(\\) is not plain JSON"):
        trained(tmp_path / "model", of=winner(objective=f"{__name__}:Unfit"))
    assert not (tmp_path / "model").exists()


def test_an_objective_that_changes_the_directory_moves_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(Path("model"), of=winner(objective=f"{__name__}:Wanders"))
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES


def test_an_old_model_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    trained(tmp_path / "model")

    def fail() -> None:
        with new_directory(tmp_path / "model", overwrite=True) as partial:
            (partial / "params.yaml").write_text("new")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert open_model(tmp_path / "model").trained.value == 0.9
    with new_directory(tmp_path / "model", overwrite=True) as partial:
        (partial / "params.yaml").write_text("new")
        assert (tmp_path / "model" / "model.safetensors").exists()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["params.yaml"]
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "home"}


def test_a_directory_is_never_taken_from_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    trained(tmp_path / "empty")
    assert {path.name for path in (tmp_path / "empty").iterdir()} == FILES
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(DirectoryTaken, match=r"'notes\.txt', which is not a model's"):
        trained(tmp_path / "empty", overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "home")
    with pytest.raises(DirectoryTaken, match="no directory"):
        trained(tmp_path / "link")

    def be_late() -> None:
        with new_directory(tmp_path / "raced", overwrite=False):
            trained(tmp_path / "raced")  # somebody else was faster

    with pytest.raises(DirectoryTaken, match="holds a model already"):
        be_late()
    assert open_model(tmp_path / "raced").trained.study == "counts"


def test_lines_are_json_or_columns_that_stay_columns() -> None:
    rows = [{"title": "tab\there \\ and\nthere", "n": 1}, {"title": "é", "n": 0.5}]
    written = list(lines(rows, as_json=False))
    assert written == ["title\tn", "tab\\there \\\\ and\\nthere\t1", "é\t0.5"]
    assert [json.loads(line) for line in lines(rows, as_json=True)] == rows
    assert list(lines([{"class": "\x1b[31mred\u202e"}], as_json=False)) == ["class", "\\x1b[31mred\\u202e"]
    assert list(lines([{"class": "é\x9b31m\u202e"}], as_json=True)) == ['{"class": "é\\u009b31m\\u202e"}']
    assert list(lines(["two\nlines"], as_json=False)) == ["two\nlines"]
    assert [json.loads(line) for line in lines(["two\nlines"], as_json=True)] == [{"text": "two\nlines"}]
