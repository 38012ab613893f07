"""A training of the winner: what was asked for, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from studies.errors import TrainingFailed, WrongInput
from studies.metrics import BASELINE, EXAMPLES_PER_S, SPEEDS, TRAIN, TRAIN_LOSS, VALIDATION
from studies.model.winner import Winner
from studies.spec import StudySpec
from studies.words import number


class View(Protocol):
    """What a person sees of a training."""

    def preparing(self, what: str, fraction: float) -> None:
        """The data set is being prepared."""

    def say(self, line: str) -> None:
        """Something happened."""


@dataclass(frozen=True)
class Request:
    """What to train, and how it departs from the trial, None where it does not.

    with_validation: on the validation rows, too, for exactly the epochs. spec: of the study, where it is at hand.
    """

    winner: Winner
    seed: int | None = None
    epochs: int | None = None
    dataset: str | None = None
    with_validation: bool = False
    spec: StudySpec | None = None


@dataclass
class TrainingResult:
    """A training that has ended. history: of each epoch. best: the epoch, from 1, whose weights were kept.

    answers: what its predictor says of itself, None where the model cannot be asked.
    """

    request: Request
    params: dict[str, Any]
    data: dict[str, Any]
    provenance: dict[str, Any]
    metrics: list[str]
    description: str
    history: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    test: dict[str, float] | None = None
    answers: str | None = None

    @property
    def winner(self) -> Winner:
        """What was trained."""
        return self.request.winner

    @property
    def seed(self) -> int:
        """The seed that was asked for, or else the trial's own."""
        return self.winner.provenance.seed if self.request.seed is None else self.request.seed

    @property
    def value(self) -> float | None:
        """The metric of the kept weights on the validation rows; None when these were trained on."""
        return None if self.request.with_validation else self.history[self.best - 1][self.winner.metric]

    @property
    def values(self) -> dict[str, float | None]:
        """The same of each of the winner's metrics; empty where it has one."""
        kept = {} if self.request.with_validation else self.history[self.best - 1]
        return {name: kept.get(name) for name in self.winner.metrics}

    @property
    def tuned(self) -> dict[str, Any]:
        """What was tuned and what came of it, as an exported file has it."""
        winner = self.winner
        if winner.metrics:
            return {"metrics": dict(winner.metrics), "values": self.values}
        return {"metric": winner.metric, "direction": winner.direction, "value": self.value}

    @property
    def same_data(self) -> bool | None:
        """Whether it is the study's data to the bit; None where the study's is not known."""
        known = self.winner.dataset.sha256
        return None if known is None else known == self.data["sha256"]

    @property
    def repeats(self) -> bool | None:
        """Whether the value at the trial's epoch is the trial's, bit for bit; None where there is none to compare."""
        winner = self.winner
        if winner.value is None or winner.epochs is None or len(self.history) < winner.epochs or self.value is None:
            return None
        same_data = self.data["name"] == winner.dataset.name if self.same_data is None else self.same_data
        if self.seed != winner.provenance.seed or not same_data:
            return None
        return self.history[winner.epochs - 1][winner.metric] == winner.value


def compared(result: TrainingResult) -> str | None:
    """Return how the retrained value compares with the trial's, in one sentence; None where they do not compare."""
    winner = result.winner
    if result.repeats is None or winner.epochs is None or winner.value is None:
        return None
    which = "the trial's" if winner.trial is None else f"that of trial {winner.trial}"
    after = f" after epoch {winner.epochs}" if len(result.history) > 1 else ""
    if result.repeats:
        return f"The {winner.metric} {winner.value:.6g}{after} is {which}, bit for bit."
    found = result.history[winner.epochs - 1][winner.metric]
    was, now = winner.provenance, result.provenance
    differences = [
        f"{name} {before}, now {after}"
        for name, before, after in (
            ("torch", was.torch, now.get("torch")),
            ("device", was.device, now.get("device")),
            ("threads", was.threads, now.get("threads")),
        )
        if before is not None and before != after
    ]
    why = f" (then {'; '.join(differences)})" if differences else " (the machine or the code is another)"
    return f"The {winner.metric}{after} is {found:.6g}, and {which} was {winner.value:.6g}{why}."


def sections(metrics: Mapping[str, float]) -> dict[str, dict[str, float | None]]:
    """Return the metrics of an epoch or a test in parts: train, scored, baseline and speed, without their prefixes."""
    parts: dict[str, dict[str, float | None]] = {"train": {}, "scored": {}, "baseline": {}, "speed": {}}
    for name, value in metrics.items():
        kind, rest = "scored", name.removeprefix(VALIDATION)
        if name.endswith(SPEEDS):
            kind, rest = "speed", name
        else:
            for prefix in (TRAIN, BASELINE):
                if name.startswith(prefix):
                    kind, rest = prefix.rstrip("_"), name.removeprefix(prefix)
        parts[kind][rest] = value if math.isfinite(value) else None
    return parts


def line_of(epoch: int, n_epochs: int, metrics: Mapping[str, float], metric: str | None, is_best: bool) -> str:
    """Return what is said of an epoch. metric: of validation rows, None where there are none."""
    parts = [f"epoch {epoch}/{n_epochs}"]
    parts += [f"{TRAIN_LOSS} {number(metrics[TRAIN_LOSS])}"] if TRAIN_LOSS in metrics else []
    parts += [f"validation {metric} {number(metrics[metric])}{' (best)' if is_best else ''}"] if metric else []
    parts += [f"{metrics[EXAMPLES_PER_S]:,.0f} examples/s"] if EXAMPLES_PER_S in metrics else []
    return " · ".join(parts)


def required_epochs(n_epochs: int | None) -> int:
    """Return the number of epochs. Raises WrongInput where nobody says it."""
    if n_epochs is None:
        raise WrongInput(reason="The parameters do not say for how many epochs; expected `epochs:` there, or --epochs.")
    return n_epochs


def refuse_other_data(request: Request, who: str) -> None:
    """Raise WrongInput for other rows than those of the study. who: what reads them by itself."""
    if request.with_validation or request.dataset is not None:
        option = "--with-validation" if request.with_validation else "--dataset"
        raise WrongInput(reason=f"{option} is not for {who}, which reads its data by itself; leave it out.")


def refuse_nan(metrics: Mapping[str, float], metric: str, epoch: int, n_epochs: int) -> None:
    """Raise TrainingFailed for a metric that is not a number, and KeyError for one that is not there."""
    if metric not in metrics:
        raise KeyError(f"the objective's epoch reports {sorted(metrics)}, not {metric!r}")
    for name in (metric, TRAIN_LOSS):
        if not math.isfinite(metrics.get(name, 0.0)):
            raise TrainingFailed(metric=name, value=metrics[name], epoch=epoch, n_epochs=n_epochs)


def content_of(result: TrainingResult) -> dict[str, Any]:
    """Return the content of params.yaml, as plain data."""
    winner = result.winner
    return {
        "study": winner.study,
        "objective": winner.model_dump(include={"objective"})["objective"],
        "dataset": {"name": result.data["name"], "sha256": result.data["sha256"]},
        **result.tuned,
        "params": result.params,
        "epochs": len(result.history) if result.value is None else result.best,
        "trial": winner.trial,
        "trained_on": "train and validation" if result.request.with_validation else "train",
        "provenance": result.provenance | {"seed": result.seed},
    }


def metrics_of(result: TrainingResult) -> dict[str, Any]:
    """Return the content of metrics.json."""
    epochs = []
    for epoch, metrics in enumerate(result.history, start=1):
        parts = sections(metrics)
        validation = None if result.request.with_validation else parts["scored"]
        epochs.append({"epoch": epoch, "train": parts["train"], "validation": validation, **parts["speed"]})
    test = None if result.test is None else sections(result.test)
    last = sections(result.history[-1])["baseline"]
    return {
        **{key: value for key, value in result.tuned.items() if key not in ("value", "values")},
        "n": result.data["summary"],
        "kept_epoch": result.best,
        "validation": None if result.value is None else sections(result.history[result.best - 1])["scored"],
        "test": None if test is None else test["scored"],
        "baseline": {"validation": None if result.value is None else last, "test": test and test["baseline"]},
        "trial": {"value": result.winner.value, "epoch": result.winner.epochs, "repeated": result.repeats},
        "epochs": epochs,
    }
