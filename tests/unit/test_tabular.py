"""Rows of numbers: the gradients written by hand are autograd's, and a batch is what it should be."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, precision_score, r2_score, recall_score

from objectives._fit import Fit, seeded
from objectives._metrics import average_precision, binary, r_squared
from objectives._tabular import POOL_BYTES, Gradients, Loss, Perceptron, PerceptronFit, SquaredError, Table
from objectives.mnist_target import LOSSES

EVERY_LOSS = [SquaredError(), *(kind(weight) for kind in LOSSES.values() for weight in (1.0, 7.0))]


def batch(n: int = 13) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 6), (torch.rand(n) < 0.4).float()


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("widths", [[5], [5, 4, 3]])
def test_the_gradients_are_those_of_autograd(loss: Loss, activation: str, widths: list[int]) -> None:
    torch.manual_seed(0)
    model = Perceptron(6, widths, activation)
    plain = copy.deepcopy(model)
    inputs, target = batch()
    loss.value(plain(inputs), target).backward()
    whole = model.flattened()
    with torch.no_grad():
        answers = Gradients(model, loss)(inputs, target)
    torch.testing.assert_close(answers, plain(inputs).detach())
    assert whole.grad is not None
    expected = torch.cat([parameter.grad.flatten() for parameter in plain.parameters() if parameter.grad is not None])
    torch.testing.assert_close(whole.grad, expected)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_with_dropout_they_are_those_of_the_units_that_stayed(activation: str) -> None:
    torch.manual_seed(0)
    model = Perceptron(6, [50, 40], activation, dropout=0.5)
    plain = copy.deepcopy(model).train()
    inputs, target = batch()
    torch.manual_seed(5)
    SquaredError().value(plain(inputs), target).backward()
    model.flattened()
    torch.manual_seed(5)
    with torch.no_grad():
        Gradients(model, SquaredError())(inputs, target)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(
    "params",
    [
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "learning_rate": 0.1, "batch_size": 8},
        {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.1, "batch_size": 8},
        {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 8},
    ],
    ids=["sgd", "sgd without momentum", "adam"],
)
def test_a_training_is_what_autograd_and_an_optimizer_per_tensor_give(params: dict[str, Any]) -> None:
    inputs, target = batch(50)
    tables = {role: Table(inputs, target) for role in ("train", "validation", "test")}
    with seeded(3, "cpu"):
        model = Perceptron(6, [5, 4], "relu")
    plain = copy.deepcopy(model)
    ours = PerceptronFit(model, params, tables, SquaredError(), lambda a, t, role: {}, seed=3, device="cpu")
    if params["optimizer"] == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    else:
        optimizer = torch.optim.SGD(
            plain.parameters(), lr=0.1, momentum=params["momentum"], weight_decay=params.get("weight_decay", 0)
        )
    theirs = Fit(
        plain,
        [optimizer],
        batches=lambda order: tables["train"].shuffled(8, order),
        loss=lambda each: (SquaredError().value(plain(each[0]), each[1]), len(each[1])),
        score=lambda role: {"validation_loss": SquaredError().value(plain(inputs), target).item()},
        seed=3,
        device="cpu",
    )
    for _ in range(3):
        found, expected = ours.epoch(), theirs.epoch()
        for name in ("train_loss", "validation_loss"):
            assert found[name] == pytest.approx(expected[name], rel=1e-4)


def test_weights_loaded_into_the_model_are_those_that_are_trained() -> None:
    model = Perceptron(6, [4], "relu")
    whole = model.flattened()
    model.load_state_dict({name: torch.ones_like(value) for name, value in model.state_dict().items()})
    assert torch.equal(whole, torch.ones_like(whole))


class Sum(torch.nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.sum(1)


@given(n=st.integers(1, 300), batch_size=st.integers(1, 120), pool_bytes=st.integers(1, 2000), scaled=st.booleans())
@settings(max_examples=50)
def test_an_epoch_has_every_row_once(n: int, batch_size: int, pool_bytes: int, scaled: bool) -> None:
    target = torch.arange(n).float()
    stored = torch.arange(n)[:, None].to(torch.int16 if scaled else torch.float32)
    table = Table(stored, target, 0.5 if scaled else None)
    with patch.dict(POOL_BYTES, cpu=pool_bytes):
        order = torch.Generator().manual_seed(n)
        batches = [(inputs.clone(), target) for inputs, target in table.shuffled(batch_size, order)]
        answers = table.answers(Sum())
    scale = 0.5 if scaled else 1.0
    assert all(len(target) == batch_size for _, target in batches[:-1])
    assert all(torch.equal(inputs[:, 0], target * scale) for inputs, target in batches)
    assert sorted(torch.cat([target for _, target in batches]).tolist()) == list(range(n))
    assert torch.equal(answers, target * scale)


scores = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=60).filter(
    lambda rows: len({truth for truth, _ in rows}) == 2
)


@given(scores)
def test_binary_metrics_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    truth, score = np.array([t for t, _ in rows]), np.array([float(s) for _, s in rows])
    found = binary(truth, score)
    assert found["pr_auc"] == pytest.approx(average_precision_score(truth, score))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, score > 0))
    assert found["recall"] == pytest.approx(recall_score(truth, score > 0))
    assert found["precision"] == pytest.approx(precision_score(truth, score > 0, zero_division=0))
    counts = [found[f"{right}_{answer}"] for right in ("true", "false") for answer in ("positives", "negatives")]
    assert sum(counts) == len(rows)


def test_one_answer_for_everything_gets_the_baseline() -> None:
    truth = np.array([True] + [False] * 9)
    found = binary(truth, np.full(10, -1.0))
    assert found["balanced_accuracy"] == found["baseline_balanced_accuracy"] == 0.5
    assert found["accuracy"] == found["baseline_accuracy"] == 0.9
    assert found["pr_auc"] == pytest.approx(found["baseline_pr_auc"])
    assert found["recall"] == found["precision"] == 0


def test_a_net_that_diverged_is_scored_without_a_warning() -> None:
    assert binary([True, False], np.array([np.nan, np.nan]))["recall"] == 0
    assert average_precision(np.array([True, False]), np.array([np.nan, np.inf])) > 0
    assert np.isnan(r_squared([1.0, 2.0], [np.nan, np.inf]))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=40))
def test_r_squared_is_that_of_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answer = np.array(rows, dtype=float).T
    if np.ptp(truth):
        assert r_squared(truth, answer) == pytest.approx(r2_score(truth, answer))
    else:
        assert np.isnan(r_squared(truth, answer))
