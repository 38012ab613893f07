"""The loss floors of bounded outputs: their numbers, and real nets that have one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from objectives._evidence import score_classes
from objectives._fit import Fit, seeded
from studies.report.diagnose import Verdict, diagnose
from studies.report.floor import loss_floor, most_right
from studies.report.summary import Trial

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


def train(output: nn.Module, spread: float) -> Trial:
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


def verdict(trial: Trial) -> Verdict:
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


def test_logits_are_not_accused() -> None:
    assert verdict(train(nn.Identity(), spread=0.5)).word != "stuck at a loss floor"


@pytest.mark.parametrize("spread", [3.5, 4.0, 4.5])
def test_a_net_that_is_really_unsure_is_not_accused(spread: float) -> None:
    """Clouds that overlap: at 4.0 the loss stays near the floor of a sigmoid, with the errors that it means."""
    assert verdict(train(nn.Identity(), spread)).word != "stuck at a loss floor"


def test_a_loss_that_does_not_move_needs_no_formula() -> None:
    def trial(number: int, curve: list[float], losses: list[float]) -> Trial:
        history = [{"balanced_accuracy": v, "train_loss": loss} for v, loss in zip(curve, losses, strict=True)]
        return make_trial(number, curve, attributes={"history": history})

    good = trial(1, [0.3, 0.5, 0.6, 0.65, 0.66, 0.66], [2.0, 1.5, 1.0, 0.8, 0.7, 0.6])
    still = trial(0, [0.2, 0.25, 0.25, 0.25, 0.25, 0.25], [2.1, 1.9, 1.9001, 1.9, 1.9001, 1.9])
    found = diagnose(make_report([still, good]))[0]
    assert found.word == "stuck at a loss floor"
    assert found.evidence == "train_loss has stayed at 1.9000 for 4 epochs; the best trial's fell to 0.6000"
