"""The loss floors of bounded outputs: their numbers, and real nets that have one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from objectives._evidence import Scores, confused, score_classes
from objectives._fit import Fit, seeded
from objectives._metrics import classification, confusion_matrix
from studies.record.diagnose import diagnose
from studies.record.floor import binary_floor, binary_guess, loss_floor, most_right
from studies.record.study import TrialRecord
from studies.record.verdicts import Verdict

from ..reports import make_report, make_trial

N_CLASSES, N_EPOCHS = 10, 10


def test_the_numbers_that_the_authors_saw() -> None:
    assert loss_floor(632, 1.0) == pytest.approx(5.4516, abs=1e-4)
    assert loss_floor(10, 1.0) == pytest.approx(math.log(1 + 9 / math.e))


@given(st.integers(3, 40), st.sampled_from([1.0, 2.0]), st.data())
def test_no_bounded_output_gets_below_and_one_gets_there(n: int, width: float, data: st.DataObject) -> None:
    outputs = torch.tensor(data.draw(st.lists(st.floats(0, width), min_size=n, max_size=n)), dtype=torch.float64)
    truth = torch.tensor(data.draw(st.integers(0, n - 1)))
    floor = loss_floor(n, width)
    assert F.cross_entropy(outputs, truth).item() >= floor - 1e-9
    assert F.cross_entropy(width * F.one_hot(truth, n).double(), truth).item() == pytest.approx(floor)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_no_sigmoid_gets_below_the_binary_floor_and_one_gets_there(rows: list[tuple[float, bool]]) -> None:
    outputs = torch.tensor([output for output, _ in rows], dtype=torch.float64)
    truth = torch.tensor([positive for _, positive in rows], dtype=torch.float64)
    floor = binary_floor(truth.mean().item())
    assert F.binary_cross_entropy_with_logits(outputs, truth).item() >= floor - 1e-9
    assert F.binary_cross_entropy_with_logits(truth, truth).item() == pytest.approx(floor)
    constants = torch.linspace(0, 1, 51, dtype=torch.float64).unsqueeze(1).expand(51, len(rows))
    losses = F.binary_cross_entropy_with_logits(constants, truth.expand(51, len(rows)), reduction="none").mean(1)
    assert binary_guess(truth.mean().item()) == pytest.approx(losses.min().item(), abs=1e-4)


@given(st.integers(2, 60), st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_a_calibrated_classifier_is_not_right_more_often(n: int, drawn: list[float]) -> None:
    """Rows whose class is drawn from what the classifier says: its loss is the entropy, its accuracy the largest."""
    weights = torch.tensor([*drawn, 1.0][:n], dtype=torch.float64)
    likely = F.pad(weights, (0, n - len(weights))) / weights.sum()
    entropy = torch.special.entr(likely).sum().item()
    assert likely.max().item() <= most_right(entropy, n) + 1e-6


class Net(nn.Module):
    def __init__(self, output: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, N_CLASSES), output)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)


def train(output: nn.Module, spread: float) -> TrialRecord:
    """Train a real net on ten clouds of points, with `output` between its last layer and the cross entropy."""
    draw = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(N_CLASSES, 8, generator=draw)
    labels = torch.arange(N_CLASSES).repeat(200)
    inputs = centres[labels] + spread * torch.randn(len(labels), 8, generator=draw)
    with seeded(0, "cpu"):
        model = Net(output)

    def batches(order: torch.Generator) -> list[torch.Tensor]:
        return list(torch.randperm(len(labels), generator=order).split(50))

    fit = Fit(
        model,
        [torch.optim.Adam(model.parameters(), lr=0.01)],
        batches=lambda order: iter(batches(order)),
        loss=lambda rows: (F.cross_entropy(model(inputs[rows]), labels[rows]), len(rows)),
        score=lambda role: score_classes([(model(inputs), labels)], len(labels), [*"abcdefghij"]),
        seed=0,
        device="cpu",
    )
    history = [fit.epoch() for _ in range(N_EPOCHS)]
    curve = [metrics["balanced_accuracy"] for metrics in history]
    return make_trial(0, curve, attributes={"history": history, "evidence": fit.evidence()})


def train_binary(output: nn.Module, positives: float, *, spread: float = 0.5, weight: float = 1.0) -> TrialRecord:
    """Train a real net on two clouds, the second with this share of the rows: one output, or two for cross entropy."""
    draw = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(2, 8, generator=draw)
    labels = (torch.arange(1000) < 1000 * positives).long()
    inputs = centres[labels] + spread * torch.randn(len(labels), 8, generator=draw)
    n_outputs = 2 if isinstance(output, nn.Softmax) else 1
    with seeded(0, "cpu"):
        model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, n_outputs), output)

    def loss(rows: torch.Tensor, weight: float) -> torch.Tensor:
        answers, truth = model(inputs[rows]), labels[rows]
        if n_outputs == 2:
            return F.cross_entropy(answers, truth)
        weights = 1 + (weight - 1) * truth.float()
        return F.binary_cross_entropy_with_logits(answers.squeeze(1), truth.float(), weights)

    def score(role: str) -> Scores:
        answers = model(inputs)
        middle = 0.5 if isinstance(output, nn.Sigmoid) else 0.0
        said = answers.argmax(1) if n_outputs == 2 else answers.squeeze(1) > middle
        confusion = confusion_matrix(labels.numpy(), said.numpy(), 2)
        validation = {"validation_loss": loss(torch.arange(len(labels)), weight).item()}
        return Scores({**classification(confusion), **validation}, lambda: confused(confusion, ["no", "yes"]))

    fit = Fit(
        model,
        [torch.optim.Adam(model.parameters(), lr=0.01)],
        batches=lambda order: iter(torch.randperm(len(labels), generator=order).split(50)),
        loss=lambda rows: (loss(rows, weight), len(rows)),
        score=score,
        seed=0,
        device="cpu",
    )
    history = [fit.epoch() for _ in range(N_EPOCHS)]
    curve = [metrics["balanced_accuracy"] for metrics in history]
    return make_trial(0, curve, attributes={"history": history, "evidence": fit.evidence()})


def verdict(trial: TrialRecord) -> Verdict:
    return diagnose(make_report([trial], max_epochs=N_EPOCHS))[trial.number]


@pytest.mark.parametrize(
    ("output", "named", "floor"),
    [
        (nn.Sigmoid(), "a sigmoid or softmax", "e^1) = 1.4612"),
        (nn.Softmax(dim=1), "a sigmoid or softmax", "e^1) = 1.4612"),
        (nn.Tanh(), "a tanh", "e^2) = 0.7966"),
    ],
)
def test_a_bounded_output_is_found_by_its_floor(output: nn.Module, named: str, floor: str) -> None:
    found = verdict(train(output, spread=0.5))
    assert found.word == "stuck at a loss floor"
    assert f"{named} before the cross entropy keeps it above ln(1 + (10 - 1) / {floor}" in found.evidence
    assert "cross entropy takes logits" in found.advice


@pytest.mark.parametrize(
    ("output", "positives", "cause"),
    [
        (nn.Softmax(dim=1), 0.5, "a sigmoid or softmax before the cross entropy keeps it above ln(1 + (2 - 1) / e^1)"),
        (nn.Softmax(dim=1), 0.1, "a sigmoid or softmax before the cross entropy keeps it above ln(1 + (2 - 1) / e^1)"),
        (nn.Sigmoid(), 0.5, "keeps it above 0.5 ln(1 + 1 / e) + 0.5 ln 2 = 0.5032"),
        (nn.Sigmoid(), 0.1, "keeps it above 0.1 ln(1 + 1 / e) + 0.9 ln 2 = 0.6552"),
    ],
)
@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_a_bounded_output_for_two_classes_too(output: nn.Module, positives: float, cause: str, spread: float) -> None:
    found = verdict(train_binary(output, positives, spread=spread))
    assert found.word == "stuck at a loss floor"
    assert cause in found.evidence


@pytest.mark.parametrize("spread", [0.5, 2.5, 4.0])
@pytest.mark.parametrize(("positives", "weight"), [(0.5, 1.0), (0.5, 5.0), (0.1, 1.0), (0.1, 9.0)])
def test_two_classes_with_logits_are_not_accused(spread: float, positives: float, weight: float) -> None:
    """Clouds that overlap keep the loss at any height, and a weight for the positives lifts it where all are right."""
    found = verdict(train_binary(nn.Identity(), positives, spread=spread, weight=weight))
    assert found.word != "stuck at a loss floor"


def test_of_two_classes_it_takes_every_trial_and_a_validation_loss() -> None:
    stuck = train_binary(nn.Sigmoid(), 0.5)
    assert verdict(replace(stuck, params={"positive_weight": 3.0})).word != "stuck at a loss floor"
    lower = make_trial(1, [0.5, 0.6, 0.7])  # its training loss falls to a third, which no floor of the model allows
    assert diagnose(make_report([stuck, lower], max_epochs=N_EPOCHS))[0].word != "stuck at a loss floor"
    for metrics in stuck.history:
        del metrics["validation_loss"]
    assert verdict(stuck).word != "stuck at a loss floor"


def test_logits_are_not_accused() -> None:
    assert verdict(train(nn.Identity(), spread=0.5)).word != "stuck at a loss floor"


@pytest.mark.parametrize("spread", [3.5, 4.0, 4.5])
def test_a_net_that_is_really_unsure_is_not_accused(spread: float) -> None:
    """Clouds that overlap: at 4.0 the loss stays near the floor of a sigmoid, with the errors that it means."""
    assert verdict(train(nn.Identity(), spread)).word != "stuck at a loss floor"


def test_a_loss_that_does_not_move_needs_no_formula() -> None:
    def trial(number: int, curve: list[float], losses: list[float]) -> TrialRecord:
        history = [{"balanced_accuracy": v, "train_loss": loss} for v, loss in zip(curve, losses, strict=True)]
        return make_trial(number, curve, attributes={"history": history})

    good = trial(1, [0.3, 0.5, 0.6, 0.65, 0.66, 0.66], [2.0, 1.5, 1.0, 0.8, 0.7, 0.6])
    still = trial(0, [0.2, 0.25, 0.25, 0.25, 0.25, 0.25], [2.1, 1.9, 1.9001, 1.9, 1.9001, 1.9])
    found = diagnose(make_report([still, good]))[0]
    assert found.word == "stuck at a loss floor"
    assert found.evidence == "train_loss has stayed at 1.9000 for 4 epochs; the best trial's fell to 0.6000"
