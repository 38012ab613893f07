"""What every objective's trained model must fulfil: it is saved, loads back, and answers as it did in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from objectives import PredictingObjective
from studies.errors import DirectoryTaken
from studies.model import FILES
from studies.model.predict import Asked
from studies.model.result import Request, TrainingResult
from studies.model.train import train
from studies.model.winner import Winner
from studies.run.checkpoint import serialised
from studies.settings import Settings

from .test_objectives import Subject, subject, without_speed

__all__ = ["subject"]

SEED = 7
N_EPOCHS = 2


class Quiet:
    """A view for nobody, which keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def preparing(self, what: str, fraction: float) -> None:
        pass

    def say(self, line: str) -> None:
        self.said.append(line)


class Trained:
    """A training of two epochs, and the predictor made from what it leaves behind."""

    def __init__(self, subject: Subject) -> None:
        self.objective: Any = subject.objective
        assert isinstance(self.objective, PredictingObjective)
        self.params, self.data = subject.params(), subject.data
        self.training: Any = subject.start(SEED)
        self.history = [without_speed(self.training.epoch()) for _ in range(N_EPOCHS)]
        self.fitted = json.loads(json.dumps(self.objective.fitted(self.params, self.data), allow_nan=False))
        self.weights = safetensors.torch.load(serialised(self.training.weights(), {}))

    def answers(self, source: str, **given: Any) -> list[Any]:
        return list(self.objective.predictor(**self.parts(**given), device="cpu").predict(source))

    def parts(self, **given: Any) -> dict[str, Any]:
        return {"params": self.params, "fitted": self.fitted, "weights": self.weights} | given


@pytest.fixture(scope="module")
def trained(subject: Subject) -> Trained:
    return Trained(subject)


def test_what_was_fitted_is_plain_json_of_the_train_rows(subject: Subject, trained: Trained) -> None:
    assert trained.fitted == trained.objective.fitted(trained.params, trained.data)
    subject.tiny.learnt(trained.fitted, trained.params, trained.data)


def test_answers_are_those_of_the_trained_model(subject: Subject, trained: Trained) -> None:
    questions = subject.tiny.ask(trained.data, subject.directory)
    subject.tiny.agree(trained.training, trained.answers(questions.whole), trained.data)


def test_an_answer_does_not_depend_on_those_beside_it(subject: Subject, trained: Trained) -> None:
    questions = subject.tiny.ask(trained.data, subject.directory)
    alone = [answer for source in questions.alone for answer in trained.answers(source)]
    for one, beside in zip(alone, trained.answers(questions.whole), strict=False):
        assert comparable(one) == comparable(beside)


def test_asking_leaves_the_model_as_it_is(subject: Subject, trained: Trained) -> None:
    questions = subject.tiny.ask(trained.data, subject.directory)
    predictor = trained.objective.predictor(**trained.parts(), device="cpu")
    torch.manual_seed(1)
    first = list(predictor.predict(questions.alone[0]))
    torch.manual_seed(2)  # no dropout draws, and no average moves
    assert list(predictor.predict(questions.alone[0])) == first


def test_parts_that_do_not_belong_together_are_refused(trained: Trained) -> None:
    name = max(trained.weights, key=lambda key: trained.weights[key].numel())  # torch does without a batch norm's count
    for given in (
        {"weights": {key: value for key, value in trained.weights.items() if key != name}},
        {"weights": trained.weights | {name: torch.zeros(3, 5, 7)}},
        {"fitted": {}},
    ):
        with pytest.raises((KeyError, RuntimeError)):
            trained.objective.predictor(**trained.parts(**given), device="cpu")


def test_validation_rows_can_be_trained_on(subject: Subject, trained: Trained) -> None:
    merged = subject.data.with_validation()
    assert merged.sha256 == subject.data.sha256
    training = subject.objective.start(subject.params(), merged, seed=SEED, device="cpu")
    more = training.epoch()
    assert more["train_loss"] != trained.history[0]["train_loss"]
    fresh = subject.start(SEED)
    fresh.epoch()
    assert set(training.test()) == set(fresh.test())
    subject.tiny.learnt(subject.objective.fitted(subject.params(), merged), subject.params(), merged)


class Winning:
    """`studies train` on an objective's tiny data, whose test() calls are counted."""

    def __init__(self, subject: Subject, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.directory = directory / "model"
        self.name = type(subject.objective).__module__.removeprefix("objectives.")
        metric, direction = next(iter(subject.objective.metrics.items()))
        values = [metrics[metric] for metrics in subject.values(SEED, N_EPOCHS)]
        best = (max if direction == "maximize" else min)(values)
        self.content = {
            "study": "tiny", "objective": f"objectives.{self.name}", "metric": metric, "direction": direction,
            "dataset": {"name": subject.dataset, "sha256": subject.data.sha256}, "value": best,
            "params": subject.params(), "epochs": values.index(best) + 1, "trial": 3, "provenance": {"seed": SEED},
        }  # fmt: skip
        self.settings = Settings(None, directory / "home", subject.directory)
        self.view = Quiet()
        self.n_tested = 0
        kind = type(subject.start())
        scored = kind.test

        def test(training: Any) -> dict[str, float]:
            self.n_tested += 1
            return dict(scored(training))

        monkeypatch.setattr(kind, "test", test)

    def train(self, overwrite: bool = False, **given: Any) -> TrainingResult:
        request = Request(Winner.model_validate(self.content), **given)
        return train(request, self.settings, self.directory, "cpu", self.view, overwrite=overwrite)


@pytest.fixture
def winning(subject: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Winning:
    return Winning(subject, monkeypatch, tmp_path)


def test_the_winner_is_trained_to_the_trials_value_and_asked(
    subject: Subject, trained: Trained, winning: Winning
) -> None:
    result = winning.train(epochs=N_EPOCHS)
    assert result.repeats is True
    assert result.value == winning.content["value"]
    assert winning.n_tested == 1
    assert {path.name for path in winning.directory.iterdir()} == FILES
    assert [path.name for path in winning.directory.parent.iterdir() if path.name.startswith(".")] == []
    metrics = json.loads((winning.directory / "metrics.json").read_text())
    assert [set(epoch) >= {"epoch", "train", "validation"} for epoch in metrics["epochs"]] == [True] * N_EPOCHS
    assert metrics["kept_epoch"] == winning.content["epochs"]
    questions = subject.tiny.ask(trained.data, subject.directory)
    answers = list(Asked(winning.directory, "cpu").answers(questions.whole, {}))
    assert answers
    if metrics["kept_epoch"] == N_EPOCHS:
        assert answers == trained.answers(questions.whole)
    with pytest.raises(DirectoryTaken, match="holds a model already"):
        winning.train()


def test_with_validation_it_is_trained_for_exactly_the_epochs(winning: Winning) -> None:
    result = winning.train(with_validation=True)
    assert (len(result.history), result.value, result.repeats) == (winning.content["epochs"], None, None)
    assert winning.n_tested == 1
    metrics = json.loads((winning.directory / "metrics.json").read_text())
    assert metrics["validation"] is None
    assert all(epoch["validation"] is None for epoch in metrics["epochs"])


def comparable(answer: Any) -> Any:
    """Return an answer without its number, to the digits that do not depend on the size of a batch."""
    if isinstance(answer, str):
        return answer
    kept = {name: value for name, value in answer.items() if name not in ("row", "image", "picture")}
    return {k: pytest.approx(v, abs=1e-4) if isinstance(v, float) else v for k, v in kept.items()}
