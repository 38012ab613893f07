"""The parts of a check that are formulas, or that read data in the shapes it comes in."""

from __future__ import annotations

import math
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from studies.check.asked import Asked, AskedParams
from studies.check.checks.losses import lowest
from studies.check.findings import Finding, NotChecked, Result
from studies.check.isolate import Failure, FailureKind, isolated
from studies.check.own_code import OwnCode
from studies.check.pruned import typical_share
from studies.check.rows import sides
from studies.spec import Pruner

from ..waiting import wait_for


@pytest.mark.parametrize(
    ("activation", "n_classes", "positives", "logits", "label"),
    [
        ("sigmoid", 632, None, [1.0] + [0.0] * 631, 0),
        ("softmax", 10, None, [1.0] + [0.0] * 9, 0),
        ("tanh", 3, None, [1.0, -1.0, -1.0], 0),
    ],
)
def test_the_lowest_loss_is_that_of_the_best_bounded_logits(
    activation: str, n_classes: int, positives: float | None, logits: list[float], label: int
) -> None:
    reached = torch.nn.functional.cross_entropy(torch.tensor([logits]), torch.tensor([label])).item()
    assert lowest(activation, n_classes, positives) == pytest.approx(reached, rel=1e-5)


def test_the_authors_plateau() -> None:
    assert lowest("sigmoid", 632, None) == pytest.approx(5.45, abs=0.005)


def test_the_lowest_binary_loss() -> None:
    target = torch.tensor([1.0, 0.0, 0.0, 0.0])
    reached = torch.nn.functional.binary_cross_entropy_with_logits(target, target).item()
    assert lowest("sigmoid", 2, 0.25) == pytest.approx(reached, rel=1e-5)


@pytest.mark.parametrize(
    ("pruner", "max_epochs", "expected"),
    [
        (Pruner(name="none"), 10, 1.0),
        # 9 trials: all train 1 epoch, 3 of them to epoch 3, 1 to epoch 9: 9 + 3 * 2 + 6 of 81
        (Pruner(name="successive_halving"), 9, 21 / 81),
        (Pruner(name="median", min_epochs=1), 10, 0.6),
        # three brackets with 9, 5 and 3 trials in 17, as Optuna weighs them; the second's trials train 3, then 9
        (Pruner(name="hyperband"), 9, (9 * 21 / 81 + 5 * (3 + 2) / 9 + 3) / 17),
        (Pruner(name="hyperband", min_epochs=5), 3, 1.0),
        # 27 trials train 1 epoch, 9 to epoch 3, 3 to epoch 9
        (Pruner(name="asha"), 9, (27 + 9 * 2 + 3 * 6) / (27 * 9)),
        (Pruner(name="asha"), 1, 1.0),
    ],
)
def test_the_share_of_epochs_that_pruning_leaves(pruner: Pruner, max_epochs: int, expected: float) -> None:
    assert typical_share(pruner, max_epochs, 27) == pytest.approx(expected)


INPUTS = np.random.default_rng(0).normal(size=(30, 4))
LABELS = np.arange(30) % 3


@dataclass
class Rows:
    values: np.ndarray
    labels: np.ndarray


@dataclass
class Prepared:
    train: Any
    validation: Any
    test: Any = None


def split(kind: str, train: np.ndarray, validation: np.ndarray) -> Any:
    """Return rows of INPUTS in one of the shapes that data come in."""
    whole = TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS))
    frame = pd.DataFrame(INPUTS, columns=list("abcd")).assign(label=LABELS)
    shapes = {
        "fields": lambda rows: Rows(INPUTS[rows], LABELS[rows]),
        "tuples": lambda rows: (INPUTS[rows], LABELS[rows]),
        "tensors": lambda rows: TensorDataset(torch.tensor(INPUTS[rows]), torch.tensor(LABELS[rows])),
        "subsets": lambda rows: Subset(whole, rows.tolist()),
        "frames": lambda rows: frame.iloc[rows],
    }
    if kind == "indices":
        return {"inputs": INPUTS, "labels": LABELS, "train": train, "validation": validation}
    if kind == "masks":
        place = np.arange(30)
        return {"X": INPUTS, "train_mask": np.isin(place, train), "val_mask": np.isin(place, validation)}
    if kind == "names":
        return {
            "X_train": INPUTS[train],
            "y_train": LABELS[train],
            "X_val": INPUTS[validation],
            "y_val": LABELS[validation],
        }
    if kind == "pair":
        return shapes["tensors"](train), shapes["tensors"](validation)
    if kind == "deeper":
        return {"data": {"train": INPUTS[train], "valid": INPUTS[validation]}, "sha256": "0"}
    return Prepared(shapes[kind](train), shapes[kind](validation))


KINDS = ["fields", "tuples", "tensors", "subsets", "frames", "indices", "masks", "names", "pair", "deeper"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "expected"), [(20, 0), (15, 5)])
def test_rows_on_both_sides_are_counted(kind: str, first: int, expected: int) -> None:
    train, scored = sides(split(kind, np.arange(20), np.arange(first, 30)))
    assert train is not None and scored is not None  # noqa: PT018
    assert train.hashes is not None and scored.hashes is not None  # noqa: PT018
    assert len(scored.hashes) == 30 - first
    assert np.isin(scored.hashes, train.hashes).sum() == expected


@pytest.mark.parametrize("data", [None, 3, "train", (INPUTS, LABELS), {"x": INPUTS}, object(), [], {}])
def test_data_of_unknown_shape_are_not_guessed_at(data: Any) -> None:
    assert sides(data) == (None, None)


def test_rows_that_offsets_cut_are_compared_whole() -> None:
    def cut(rows: list[list[int]]) -> dict[str, np.ndarray]:
        return {"tokens": np.concatenate(rows), "offsets": np.cumsum([0, *map(len, rows)])}

    train, scored = sides({"train": cut([[1, 2], [3]]), "validation": cut([[1, 2], [2], [1, 2, 3]])})
    assert train is not None and scored is not None  # noqa: PT018
    assert np.isin(scored.hashes, train.hashes).tolist() == [True, False, False]


def test_parameters_are_noted_however_they_are_read() -> None:
    asked = Asked(OwnCode("tests.check.mistakes"))
    params = AskedParams({"a": 1, "b": 2, "c": 3, "d": 4}, asked)
    assert params["a"] == 1
    assert params.get("nothing", 5) == 5
    with pytest.raises(KeyError):
        params["missing"]
    assert dict(**params) == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert set(asked.read) == {"a", "b", "c", "d"}
    assert {name: has_default for name, (_, has_default) in asked.missing.items()} == {
        "nothing": True,
        "missing": False,
    }
    assert next(iter(asked.read.values())) is not None


def test_a_call_is_ended_though_it_does_not_listen() -> None:
    def deaf() -> None:
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue

    failure = isolated(deaf, OwnCode("tests.check.mistakes"), timeout_s=3.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.HUNG
    assert failure.where is not None
    assert failure.where.startswith("tests/check/test_parts.py:")


def test_a_signal_that_has_no_name_ends_a_call_like_any_other() -> None:
    def shot() -> None:
        os.kill(os.getpid(), signal.SIGRTMIN + 1)

    failure = isolated(shot, OwnCode("tests.check.mistakes"), timeout_s=60)
    assert failure.detail == f"its process died: killed by signal {signal.SIGRTMIN + 1}"


def test_what_a_call_starts_ends_with_it(tmp_path: Path) -> None:
    import subprocess

    import psutil

    def starts_another() -> int:
        return subprocess.Popen(["sleep", "600"]).pid

    pid = isolated(starts_another, OwnCode("tests.check.mistakes"), timeout_s=60)

    def is_over() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_for(is_over)


def test_a_result_reads_the_same_for_people_and_machines() -> None:
    result = Result("mine", seconds=3.2)
    result.add(Finding("ghost-parameter", "error", "x changes nothing", "because", "fix it", "mine.py:3"))
    result.add(NotChecked("one", "no time"))
    result.add(NotChecked("another", "no time"))
    assert list(result.lines()) == [
        "mine: NOT SOUND (1 error, 0 warnings, 2 not checked; 3 s)",
        "",
        "error: ghost-parameter at mine.py:3",
        "  what  x changes nothing",
        "  why   because",
        "  fix   fix it",
        "",
        "not checked: one; another: no time",
    ]
    assert result.as_data()["sound"] is False
    assert math.isclose(result.as_data()["seconds"], 3.2)


def test_libraries_of_another_environment_are_not_the_users_code() -> None:
    source = OwnCode("tests.check.mistakes")
    assert source.is_own("/elsewhere/train.py")
    assert not source.is_own("/elsewhere/lib/python3.11/site-packages/torch/nn/functional.py")
