"""Small objectives with one mistake each, and sound ones of the same shapes.

The line that a finding must point at ends in `# <- name-of-the-finding`. A class that inherits everything from a sound
one but the mistake says so by its length.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from optuna import Trial
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from studies import checkpoints

N_CLASSES = 5
N_FEATURES = 6
N_TRAIN, N_VALIDATION = 200, 100


def blobs(n: int, seed: int, shares: list[float] | None = None) -> tuple[Tensor, Tensor]:
    """Points [n, 6] around the centre of their class, and the classes [n]."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(N_CLASSES, n, p=shares)
    centres = np.random.default_rng(0).normal(size=(N_CLASSES, N_FEATURES))
    return torch.tensor(centres[labels] + draw.normal(size=(n, N_FEATURES)), dtype=torch.float32), torch.tensor(labels)


# sound


class Training:
    """Trains a small net on blobs; every part of it can be got wrong by a subclass."""

    def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
        self.params, self.data = params, data
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.model = self.build()
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator().manual_seed(seed).get_state()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=params["learning_rate"], momentum=params["momentum"]
        )

    def build(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(N_FEATURES, self.params["width"]),
            nn.BatchNorm1d(self.params["width"]),
            nn.ReLU(),
            nn.Dropout(self.params["dropout"]),
            nn.Linear(self.params["width"], N_CLASSES),
        )

    def batches(self) -> Iterator[Any]:
        inputs, labels = self.data["train"]
        for rows in torch.randperm(len(labels), generator=self.order).split(20):
            yield inputs[rows], labels[rows]

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.model(inputs), labels)

    def evaluate(self) -> dict[str, float]:
        self.model.eval()
        inputs, labels = self.data["validation"]
        with torch.no_grad():
            answers = self.model(inputs)
        accuracy = (answers.argmax(1) == labels).float().mean().item()
        return {"accuracy": accuracy, "validation_loss": F.cross_entropy(answers, labels).item()}

    def epoch(self) -> dict[str, float]:
        self.model.train()
        with torch.random.fork_rng([]):
            torch.set_rng_state(self.noise)
            for inputs, labels in self.batches():
                self.optimizer.zero_grad()
                self.loss(inputs, labels).backward()
                self.optimizer.step()
            self.noise = torch.get_rng_state()
        return self.evaluate()

    def state_dict(self) -> dict[str, Any]:
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return parts | {"order": self.order.get_state(), "noise": self.noise}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        self.noise = state["noise"]


class Sound:
    metrics: ClassVar = {"accuracy": "maximize", "validation_loss": "minimize"}
    datasets: ClassVar = {"blobs": "Points around five centres."}
    space: ClassVar[dict[str, Any]] = {
        "learning_rate": {"low": 1e-3, "high": 0.5, "log": True, "default": 0.05},
        "momentum": {"low": 0.0, "high": 0.9, "default": 0.5},
        "width": {"choices": [8, 16], "default": 16},
        "dropout": {"low": 0.0, "high": 0.5, "default": 0.1},
    }
    training: ClassVar[type] = Training

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        return {"train": blobs(N_TRAIN, 1), "validation": blobs(N_VALIDATION, 2)}

    def start(self, params: Any, data: Any, *, seed: int, device: str) -> Any:
        return self.training(params, data, seed)


# checkpoints


class ForgetsTheOptimizer(Sound):
    class training(Training):  # noqa: N801
        def state_dict(self) -> dict[str, Any]:  # <- does-not-resume ForgetsInLongEpochs:does-not-resume
            return super().state_dict() | {"optimizer": {}}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            super().load_state_dict(state | {"optimizer": self.optimizer.state_dict()})


class ForgetsInLongEpochs(ForgetsTheOptimizer):
    """The same with epochs that are not trained again for every question."""

    class training(ForgetsTheOptimizer.training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            time.sleep(1.0)
            yield from super().batches()


class EpochsWithoutEnd(Sound):
    """Sound, but no epoch ends."""

    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            while True:
                time.sleep(0.01)
                yield from super().batches()


class ForgetsTheOrder(Sound):
    class training(Training):  # noqa: N801
        def state_dict(self) -> dict[str, Any]:  # <- does-not-resume
            return {name: part for name, part in super().state_dict().items() if name != "order"}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            super().load_state_dict(state | {"order": self.order.get_state()})


class KeepsASet(Sound):
    class training(Training):  # noqa: N801
        def state_dict(self) -> dict[str, Any]:  # <- does-not-resume
            return super().state_dict() | {"seen": {1, 2}}


class Stateless:  # <- HasNoState:does-not-resume
    def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
        self.whole = Training(params, data, seed)

    def epoch(self) -> dict[str, float]:
        return self.whole.epoch()


class HasNoState(Sound):
    training: ClassVar[type] = Stateless


class LoadsAnotherKey(Sound):
    class training(Training):  # noqa: N801
        def load_state_dict(self, state: dict[str, Any]) -> None:
            super().load_state_dict(state["net"])  # <- does-not-resume


# parameters


class GhostDropout(Sound):
    space: ClassVar[dict[str, Any]] = Sound.space | {
        "hidden_dropout": {"low": 0.0, "high": 0.5, "default": 0.1},  # <- ghost-parameter
    }


class ReadAndForgotten(Sound):
    space: ClassVar[dict[str, Any]] = Sound.space | {
        "hidden_layers": {"choices": [[8], [8, 8]], "default": [8]},  # <- ghost-parameter
    }

    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            self.hidden_layers = self.params["hidden_layers"]
            return super().build()


class ActsLate(Sound):
    """Sound: what acts in the third epoch alone."""

    space: ClassVar[dict[str, Any]] = Sound.space | {"halve_after": {"choices": [2, 10], "default": 2}}

    class training(Training):  # noqa: N801
        n = 0

        def epoch(self) -> dict[str, float]:
            if self.n == self.params["halve_after"]:
                self.optimizer.param_groups[0]["lr"] /= 2
            self.n += 1
            return super().epoch()


class Undeclared(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            model = super().build()
            model[0].requires_grad_(not self.params["freeze"])  # <- undeclared-parameter
            return model


class Misspelt(Sound):
    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            self.keep = 1 - self.params.get("drop_out", 0.3)  # <- undeclared-parameter
            return super().batches()


class UnloggedDefault(Sound):
    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            self.smoothing = self.params.get("label_smoothing", 0.1)  # <- undeclared-parameter
            return super().batches()


class Slow(Sound):
    """Sound: twenty parameters, each of which changes the training, which takes a second to start."""

    space: ClassVar[dict[str, Any]] = Sound.space | {
        f"shift_{n}": {"low": 0.0, "high": 1.0, "default": 0.0} for n in range(20)
    }

    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            time.sleep(1)
            return super().build()

        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            shift = sum((n + 1) * self.params[f"shift_{n}"] for n in range(20))
            return super().loss(inputs + shift, labels)


class Conditional(Sound):
    space: ClassVar[dict[str, Any]] = Sound.space | {
        "optimizer": {"choices": ["sgd", "adam"], "default": "adam"},
        "momentum": {"low": 0.0, "high": 0.9, "default": 0.5},  # <- conditional-parameter
    }

    class training(Training):  # noqa: N801
        def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
            super().__init__(params, data, seed)
            if params["optimizer"] == "adam":
                self.optimizer = torch.optim.Adam(self.model.parameters(), lr=params["learning_rate"])


class OneValueFails(Sound):
    space: ClassVar[dict[str, Any]] = Sound.space | {"width": {"choices": [16, 8, 7], "default": 16}}

    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            if self.params["width"] % 2:
                raise ValueError("the width must be even")  # <- does-not-train
            return super().build()


# losses


class SigmoidBeforeCrossEntropy(Sound):
    class training(Training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(torch.sigmoid(self.model(inputs)), labels)  # <- bounded-logits


class SoftmaxInTheModel(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return nn.Sequential(*super().build(), nn.Softmax(dim=1))

        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return nn.CrossEntropyLoss()(self.model(inputs), labels)  # <- bounded-logits


class SoftmaxByHand(Sound):
    class training(Training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            raised = self.model(inputs).exp()
            return F.cross_entropy(raised / raised.sum(1, keepdim=True), labels)  # <- bounded-logits


class Regression(Sound):
    """Sound: the first feature's square from all of them; targets standardised."""

    metrics: ClassVar = {"r2": "maximize"}

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        parts = {}
        for role, n, seed in (("train", N_TRAIN, 1), ("validation", N_VALIDATION, 2)):
            inputs = blobs(n, seed)[0]
            target = inputs[:, 0] ** 2
            parts[role] = inputs, (target - target.mean()) / target.std()
        return parts

    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return nn.Sequential(
                nn.Linear(N_FEATURES, self.params["width"]),
                nn.ReLU(),
                nn.Dropout(self.params["dropout"]),
                nn.Linear(self.params["width"], 1),
            )

        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(self.model(inputs).squeeze(1), labels)

        def evaluate(self) -> dict[str, float]:
            self.model.eval()
            inputs, target = self.data["validation"]
            with torch.no_grad():
                wrong = self.model(inputs).squeeze(1) - target
            return {"r2": 1 - (wrong.square().sum() / (target - target.mean()).square().sum()).item()}


class ColumnAgainstRow(Regression):
    class training(Regression.training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(self.model(inputs), labels)  # <- loss-broadcasts


class ColumnAgainstRowByHand(Regression):
    class training(Regression.training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return ((self.model(inputs) - labels) ** 2).mean()  # <- loss-broadcasts


class SigmoidOverStandardised(Regression):
    class training(Regression.training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.mse_loss(self.model(inputs).sigmoid().squeeze(1), labels)  # <- bounded-output


class SigmoidOverStandardisedByHand(Regression):
    class training(Regression.training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return (labels - torch.sigmoid(self.model(inputs))[:, 0]).square().mean()  # <- bounded-output


# evaluation


class DropoutStaysOn(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return Careless(self.params)


class Careless(nn.Module):
    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(N_FEATURES, params["width"]), nn.Linear(params["width"], N_CLASSES)
        self.share = params["dropout"]

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.dropout(self.inner(inputs).relu(), self.share)  # <- DropoutStaysOn:dropout-in-evaluation
        return self.outer(hidden)


class NoEval(Sound):
    class training(Training):  # noqa: N801
        def evaluate(self) -> dict[str, float]:
            inputs, labels = self.data["validation"]
            with torch.no_grad():
                answers = self.model(inputs)  # <- dropout-in-evaluation batch-norm-in-evaluation
            return {"accuracy": (answers.argmax(1) == labels).float().mean().item()}


class Noisy(nn.Module):  # <- NoiseInEvaluation:evaluation-random
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs + torch.randn_like(inputs))


class NoiseInEvaluation(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return Noisy(super().build())

        def evaluate(self) -> dict[str, float]:
            with torch.random.fork_rng([]):
                torch.set_rng_state(self.noise)
                return super().evaluate()


class MeanOverBatch(nn.Module):  # <- CentredOnBatch:evaluation-depends-on-batch
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs - inputs.mean(0))


class CentredOnBatch(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return MeanOverBatch(super().build())


class Titles(Sound):
    """Sound: sequences of 2 to 9 word numbers, padded with zeros to the longest of their batch; mean over words."""

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        parts = {}
        for role, n, seed in (("train", N_TRAIN, 1), ("validation", N_VALIDATION, 2)):
            draw = np.random.default_rng(seed)
            labels = draw.integers(0, N_CLASSES, n)
            titles = [draw.integers(1, 40, draw.integers(2, 10)) + 40 * label for label in labels]
            parts[role] = [torch.tensor(title) for title in titles], torch.tensor(labels)
        return parts

    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return MeanOfWords(masked=True)

        def padded(self, role: str, rows: Tensor) -> tuple[Tensor, Tensor]:
            titles, labels = self.data[role]
            chosen = [titles[row] for row in rows.tolist()]
            return nn.utils.rnn.pad_sequence(chosen, batch_first=True), labels[rows]

        def batches(self) -> Iterator[Any]:
            for rows in torch.randperm(N_TRAIN, generator=self.order).split(8):
                yield self.padded("train", rows)

        def evaluate(self) -> dict[str, float]:
            self.model.eval()
            right = 0.0
            with torch.no_grad():
                for rows in torch.arange(N_VALIDATION).split(16):
                    words, labels = self.padded("validation", rows)
                    right += (self.model(words).argmax(1) == labels).float().sum().item()
            return {"accuracy": right / N_VALIDATION}

    space: ClassVar[dict[str, Any]] = {key: Sound.space[key] for key in ("learning_rate", "momentum")}


class MeanOfWords(nn.Module):  # <- MeanOverPadding:evaluation-depends-on-batch
    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.words, self.outer = nn.Embedding(40 * (N_CLASSES + 1), 8), nn.Linear(8, N_CLASSES)
        self.masked = masked

    def forward(self, words: Tensor) -> Tensor:
        rows = self.words(words)  # [n, longest, 8]
        if not self.masked:
            return self.outer(rows.mean(1))
        present = (words != 0).unsqueeze(2)
        return self.outer((rows * present).sum(1) / present.sum(1))


class MeanOverPadding(Titles):
    class training(Titles.training):  # noqa: N801
        def build(self) -> nn.Module:
            return MeanOfWords(masked=False)


# data


class InClassOrder(Sound):
    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        inputs, labels = blobs(N_TRAIN, 1)
        order = labels.argsort()
        return {"train": (inputs[order], labels[order]), "validation": blobs(N_VALIDATION, 2)}

    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            yield from DataLoader(TensorDataset(*self.data["train"]), batch_size=20)

        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(self.model(inputs), labels)  # <- class-order


class Imbalanced(Sound):
    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        shares = [0.9, 0.1, 0.0, 0.0, 0.0]
        return {"train": blobs(N_TRAIN, 1, shares), "validation": blobs(N_VALIDATION, 2, shares)}


class TrainsOnValidation(Sound):
    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:  # <- rows-on-both-sides
        inputs, labels = blobs(N_TRAIN, 1)
        return {"train": (inputs, labels), "validation": (inputs[::2], labels[::2])}


class ScoresWhatItTrainedOn(Sound):
    """The data say nothing of it: only what the model is given shows it."""

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:  # <- rows-on-both-sides
        return Hidden()

    class training(Training):  # noqa: N801
        def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
            inputs, labels = data.all()
            data = {"train": (inputs, labels), "validation": (inputs[150:], labels[150:])}
            super().__init__(params, data, seed)


class Hidden:
    def all(self) -> tuple[Tensor, Tensor]:
        return blobs(N_TRAIN, 1)


class SessionsSplitByRow(Regression):
    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:  # <- groups-on-both-sides
        inputs = blobs(N_TRAIN + N_VALIDATION, 1)[0]
        order = np.random.default_rng(0).permutation(len(inputs))
        return {
            "inputs": inputs,
            "target": (inputs[:, 0] - inputs[:, 0].mean()) / inputs[:, 0].std(),
            "profile_id": np.arange(len(inputs)) // 30,
            "train": order[:N_TRAIN],
            "validation": order[N_TRAIN:],
        }

    class training(Regression.training):  # noqa: N801
        def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
            parts = {role: (data["inputs"][data[role]], data["target"][data[role]]) for role in ("train", "validation")}
            super().__init__(params, parts, seed)


class SessionsWhole(SessionsSplitByRow):
    """Sound: the same with whole sessions in each role."""

    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        found = super().prepare(dataset, data, cache, progress)
        return found | {"train": np.arange(N_TRAIN // 30 * 30), "validation": np.arange(N_TRAIN // 30 * 30, 300)}


# randomness


class Unseeded(Sound):
    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            inputs, labels = self.data["train"]
            rows = np.random.permutation(len(labels))  # <- unseeded
            for start in range(0, len(rows), 20):
                yield inputs[rows[start : start + 20]], labels[rows[start : start + 20]]


class UnseededWeights(Sound):
    class training(Training):  # noqa: N801
        def __init__(self, params: dict[str, Any], data: Any, seed: int) -> None:
            self.first = nn.Linear(N_FEATURES, params["width"])  # <- unseeded
            super().__init__(params, data, seed)

        def build(self) -> nn.Module:
            return nn.Sequential(self.first, *list(super().build())[1:])


class FromTheSystem(Sound):
    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            self.order.manual_seed(random.SystemRandom().randrange(2**31))  # <- unseeded
            return super().batches()


MODEL: nn.Module | None = None  # <- GlobalModel:state-kept-between-trials


class GlobalModel(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            global MODEL
            if MODEL is None:
                MODEL = super().build()
            return MODEL


# initialisation


class Initialised(nn.Module):
    """Sound: what it says of its weights is so."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(N_FEATURES, params["width"]), nn.Linear(params["width"], N_CLASSES)
        self.dropout = nn.Dropout(params["dropout"])
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.xavier_uniform_(self.inner.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outer(self.dropout(self.inner(inputs).relu()))


class InitialisationApplied(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return Initialised(self.params)


class NeverInitialised(nn.Module):
    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(N_FEATURES, params["width"]), nn.Linear(params["width"], N_CLASSES)
        self.dropout = nn.Dropout(params["dropout"])

    def init_weights(self) -> None:  # <- InitialisationForgotten:initialisation-unused
        nn.init.xavier_uniform_(self.inner.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.outer(self.dropout(self.inner(inputs).relu()))


class InitialisationForgotten(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            return NeverInitialised(self.params)


# what does not train at all


class Raises(Sound):
    class training(Training):  # noqa: N801
        def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(self.model(inputs[:, :2]), labels)  # <- does-not-train


class Crashes(Sound):
    def start(self, params: Any, data: Any, *, seed: int, device: str) -> Any:
        import os

        os.abort()  # <- does-not-train


class Hangs(Sound):
    class training(Training):  # noqa: N801
        def batches(self) -> Iterator[Any]:
            import time

            while True:
                time.sleep(0.01)  # <- does-not-train


class EatsMemory(Sound):
    class training(Training):  # noqa: N801
        def build(self) -> nn.Module:
            self.eaten = []
            while True:
                self.eaten.append(b"x" * 20 * 2**20)  # <- does-not-train


class NotANumber(Sound):
    class training(Training):  # noqa: N801
        def evaluate(self) -> dict[str, float]:
            return super().evaluate() | {"accuracy": float("nan")}


class WithoutItsMetric(Sound):
    class training(Training):  # noqa: N801
        def evaluate(self) -> dict[str, float]:
            return {"validation_loss": super().evaluate()["validation_loss"]}


class ExitsAtOnce(Sound):
    def prepare(self, dataset: str, data: Any, cache: Any, progress: Any) -> Any:
        raise SystemExit(0)  # <- does-not-train


# plain functions


def sound_function(trial: Trial) -> float:
    width = trial.suggest_categorical("width", [8, 16])
    rate = trial.suggest_float("learning_rate", 1e-3, 0.5, log=True)
    return _train(width, rate, trial)


def ghost_function(trial: Trial) -> float:
    width = trial.suggest_categorical("width", [8, 16])
    rate = trial.suggest_float("learning_rate", 1e-3, 0.5, log=True)
    trial.suggest_float("dropout", 0.0, 0.5)  # <- ghost-parameter
    return _train(width, rate, trial)


def function_of_many_steps(trial: Trial) -> float:
    rate = trial.suggest_float("rate", 0.1, 1.0)
    for step in (1000, 2000, 3000):
        trial.report(rate, step)
    return rate


def unseeded_function(trial: Trial) -> float:
    rate = trial.suggest_float("learning_rate", 1e-3, 0.5, log=True)
    return rate + random.random()  # <- unseeded


def function_with_changing_choices(trial: Trial) -> float:
    deep = trial.suggest_categorical("deep", [False, True])
    width = trial.suggest_categorical("width", [8, 16] if deep else [32, 64])  # <- undeclared-parameter
    return _train(width, 0.1, trial)


def function_with_a_sigmoid(trial: Trial) -> float:
    return _train(trial.suggest_categorical("width", [8, 16]), 0.1, trial, lambda answers: answers.sigmoid())


def keeping_function(trial: Trial) -> float:
    return _keeping(trial, torch.load)


def forgetful_function(trial: Trial) -> float:  # <- does-not-resume
    return _keeping(trial, lambda file: None)


def function_that_cannot_read(trial: Trial) -> float:
    def read(file: Path) -> None:
        raise ValueError("no checkpoint of mine")  # <- does-not-resume

    return _keeping(trial, read)


def _keeping(trial: Trial, read: Any) -> float:
    rate, seed = trial.suggest_float("learning_rate", 1e-3, 0.5, log=True), trial.user_attrs["seed"]
    torch.manual_seed(seed)
    model = nn.Linear(N_FEATURES, N_CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    inputs, labels = blobs(N_TRAIN, 1)
    held_out, truth = blobs(N_VALIDATION, 2)
    file = checkpoints(trial) / "last.pt"
    done, state = (read(file) if file.exists() else None) or (0, model.state_dict())
    model.load_state_dict(state)
    for epoch in range(done, 3):
        torch.manual_seed(seed + epoch)
        for rows in torch.randperm(len(labels)).split(20):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
        torch.save((epoch + 1, model.state_dict()), file)
        with torch.no_grad():
            value = F.cross_entropy(model(held_out), truth).item()
        trial.report(value, epoch)
    return value


def _train(width: int, rate: float, trial: Trial, last: Any = lambda answers: answers) -> float:
    torch.manual_seed(trial.user_attrs["seed"])
    model = nn.Sequential(nn.Linear(N_FEATURES, width), nn.ReLU(), nn.Linear(width, N_CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    inputs, labels = blobs(N_TRAIN, 1)
    held_out, truth = blobs(N_VALIDATION, 2)
    for epoch in range(3):
        for rows in torch.randperm(len(labels)).split(20):
            optimizer.zero_grad()
            loss = F.cross_entropy(last(model(inputs[rows])), labels[rows])  # <- function_with_a_sigmoid:bounded-logits
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            value = F.cross_entropy(last(model(held_out)), truth).item()
        trial.report(value, epoch)
    return value
