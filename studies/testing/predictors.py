"""What a trained model must fulfil: it is saved, loads back, and answers as it did in training.

An objective without the optional parts passes: what is not there is not asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from studies.errors import DirectoryTaken
from studies.model import FILES, open_model
from studies.model.predict import Asked
from studies.model.result import Request, TrainingResult
from studies.model.train import train
from studies.model.winner import Winner
from studies.run.encoding import serialised
from studies.settings import Settings
from studies.testing.subject import Subject, disturb, untimed

SEED = 7
N_EPOCHS = 2


class Quiet:
    """A view for nobody."""

    def preparing(self, what: str, fraction: float) -> None:
        """See View."""

    def say(self, line: str) -> None:
        """See View."""


class Trained:
    """A training of two epochs, and the predictor made from what it leaves behind."""

    def __init__(self, subject: Subject) -> None:
        self.objective = subject.objective
        self.params, self.data, self.device = subject.params(), subject.data, subject.device
        self.training = subject.start(SEED)
        self.history = [untimed(self.training.epoch()) for _ in range(N_EPOCHS)]
        self.predicts = hasattr(self.objective, "predictor") and hasattr(self.training, "weights")
        self.fitted, self.weights = {}, {}
        if self.predicts:
            from safetensors.torch import load

            fitted = self.objective.fitted(self.params, self.data) if hasattr(self.objective, "fitted") else {}
            self.fitted = json.loads(json.dumps(fitted, allow_nan=False))
            self.weights = load(serialised(self.training.weights(), {}))

    def predictor(self, **given: Any) -> Any:
        """Return the predictor of the parts, some of them in place of the trained ones."""
        parts = {"params": self.params, "fitted": self.fitted, "weights": self.weights} | given
        return self.objective.predictor(**parts, device=self.device)

    def answers(self, source: str) -> list[Any]:
        """Return a fresh predictor's answers to INPUT."""
        return list(self.predictor().predict(source))


class Winning:
    """`studies train` on the subject's data, with the test() calls counted."""

    def __init__(self, subject: Subject, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
        self.directory, self.device = directory / "model", subject.device
        metric, direction = next(iter(subject.objective.metrics.items()))
        values = [metrics[metric] for metrics in subject.values(SEED, N_EPOCHS)]
        self.best = (max if direction == "maximize" else min)(values)
        self.epochs = values.index(self.best) + 1
        self.winner = Winner.model_validate({
            "study": "tiny", "objective": subject.path, "metric": metric, "direction": direction,
            "dataset": {"name": subject.dataset, "sha256": getattr(subject.data, "sha256", None)}, "value": self.best,
            "params": subject.params(), "epochs": self.epochs, "trial": 3, "provenance": {"seed": SEED},
        })  # fmt: skip
        self.settings = Settings(None, directory / "home", subject.directory)
        self.n_tested = 0
        kind = type(subject.start())
        self.tests = hasattr(kind, "test")
        if self.tests:
            scored = kind.test

            def test(training: Any) -> dict[str, float]:
                self.n_tested += 1
                return dict(scored(training))

            monkeypatch.setattr(kind, "test", test)

    def train(self, **given: Any) -> TrainingResult:
        """Train the winner and save it."""
        request = Request(self.winner, **given)
        return train(request, self.settings, self.directory, self.device, Quiet(), overwrite=False)


class PredictorTests:
    """The part of `ObjectiveSuite` about what is left when a training is over."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, subject: Subject) -> Trained:
        """The subject, trained."""
        return Trained(subject)

    @pytest.fixture
    def winning(self, subject: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Winning:
        """The subject, ready for `studies train`."""
        return Winning(subject, monkeypatch, tmp_path)

    def test_what_was_fitted_is_plain_json_and_the_same_again(self, trained: Trained) -> None:
        """And so it can be saved beside the weights."""
        if hasattr(trained.objective, "fitted"):
            found = trained.objective.fitted(trained.params, trained.data)
            assert json.loads(json.dumps(found, allow_nan=False)) == found
            assert trained.objective.fitted(trained.params, trained.data) == found

    def test_answers_are_alike_and_plain(self, subject: Subject, trained: Trained) -> None:
        """The same columns in each, of plain values; or texts."""
        for source in subject.inputs if trained.predicts else ():
            answers = trained.answers(source)
            assert answers
            assert json.loads(json.dumps(answers, allow_nan=False)) == answers
            columns = {None if isinstance(answer, str) else tuple(answer) for answer in answers}
            assert len(columns) == 1

    def test_an_answer_does_not_depend_on_those_beside_it(self, subject: Subject, trained: Trained) -> None:
        """The first INPUT holds what the others ask one by one."""
        if not trained.predicts or len(subject.inputs) < 2:
            return
        alone = [answer for source in subject.inputs[1:] for answer in trained.answers(source)]
        together = trained.answers(subject.inputs[0])
        assert len(alone) <= len(together)
        counts = numbering(together)
        for one, beside in zip(alone, together, strict=False):
            assert comparable(one, counts) == close_to(comparable(beside, counts), subject.device)

    def test_asking_leaves_the_model_as_it_is(self, subject: Subject, trained: Trained) -> None:
        """No dropout draws, and no average moves."""
        if trained.predicts and subject.inputs:
            predictor = trained.predictor()
            first = list(predictor.predict(subject.inputs[0]))
            disturb(2)
            assert list(predictor.predict(subject.inputs[0])) == first

    def test_answers_come_from_the_weights(self, subject: Subject, trained: Trained) -> None:
        """Those of a model that learnt nothing are others."""
        if trained.predicts and subject.inputs:
            nothing = {name: tensor * 0 for name, tensor in trained.weights.items()}
            untrained = list(trained.predictor(weights=nothing).predict(subject.inputs[0]))
            assert untrained != trained.answers(subject.inputs[0])

    def test_parts_that_do_not_belong_together_are_refused(self, trained: Trained) -> None:
        """A model that lacks a weight, or has one of another shape, does not answer at all."""
        if not trained.predicts or not trained.weights:
            return
        name = max(trained.weights, key=lambda key: trained.weights[key].numel())
        weights = trained.weights
        wrong = [
            {"weights": {key: value for key, value in weights.items() if key != name}},
            {"weights": weights | {name: weights[name].new_zeros(3, 5, 7)}},
        ]
        if trained.fitted:
            wrong.append({"fitted": {}})
        for given in wrong:
            with pytest.raises((ValueError, LookupError, RuntimeError, TypeError)):
                trained.predictor(**given)

    def test_validation_rows_can_be_trained_on(self, subject: Subject, trained: Trained) -> None:
        """With them the training is another, on data of the same hash."""
        if not hasattr(subject.data, "with_validation"):
            return
        merged = subject.data.with_validation()
        assert merged.sha256 == subject.data.sha256
        training = subject.objective.start(subject.params(), merged, seed=SEED, device=subject.device)
        assert untimed(training.epoch()) != trained.history[0]
        if hasattr(training, "test"):
            fresh = subject.start(SEED)
            fresh.epoch()
            assert set(training.test()) == set(fresh.test())

    def test_the_winner_is_trained_to_the_trials_value_and_asked(
        self, subject: Subject, trained: Trained, winning: Winning
    ) -> None:
        """`studies train` repeats the trial, scores the test rows once, and saves what `studies predict` asks."""
        result = winning.train(epochs=N_EPOCHS)
        assert result.repeats is True
        assert result.value == winning.best
        assert winning.n_tested == winning.tests
        assert {path.name for path in winning.directory.iterdir()} == FILES
        assert not [path for path in winning.directory.parent.iterdir() if path.name.startswith(".")]
        metrics = json.loads((winning.directory / "metrics.json").read_text())
        assert len(metrics["epochs"]) == N_EPOCHS
        assert metrics["kept_epoch"] == winning.epochs
        assert (open_model(winning.directory).weights is not None) == hasattr(trained.training, "weights")
        for source in subject.inputs[:1] if trained.predicts else ():
            answers = list(Asked(winning.directory, subject.device).answers(source, {}))
            assert answers
            assert winning.epochs != N_EPOCHS or answers == trained.answers(source)
        with pytest.raises(DirectoryTaken, match="holds a model already"):
            winning.train()

    def test_with_validation_it_is_trained_for_exactly_the_epochs(self, subject: Subject, winning: Winning) -> None:
        """What a training on validation rows says of them is no validation, and is not kept."""
        if not hasattr(subject.data, "with_validation"):
            return
        result = winning.train(with_validation=True)
        assert (len(result.history), result.value, result.repeats) == (winning.epochs, None, None)
        assert winning.n_tested == winning.tests
        metrics = json.loads((winning.directory / "metrics.json").read_text())
        assert metrics["validation"] is None
        assert all(epoch["validation"] is None for epoch in metrics["epochs"])


def numbering(answers: Sequence[Any]) -> set[str]:
    """Return the columns that only count the answers: another INPUT begins again at 1."""
    rows = [answer for answer in answers if not isinstance(answer, str)]
    return {name for name in (rows[0] if rows else ()) if [row[name] for row in rows] == [*range(1, len(rows) + 1)]}


def comparable(answer: Any, counts: set[str]) -> Any:
    """Return an answer without these columns."""
    return answer if isinstance(answer, str) else {name: answer[name] for name in answer if name not in counts}


def close_to(answer: Any, device: str) -> Any:
    """Return what an answer equals to the digits that do not depend on the size of a batch; on a GPU they are fewer."""
    digits = 1e-4 if device == "cpu" else 5e-3
    if isinstance(answer, str):
        return answer
    return {k: pytest.approx(v, abs=digits) if isinstance(v, float) else v for k, v in answer.items()}
