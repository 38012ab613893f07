"""The second baseline: what it is, that it is honest, and that it is computed once for the same data and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from objectives._baselines import linear_classifier, ridge, thinned
from objectives._ngrams import MAX_NUMBER, nats_per_token
from objectives.cifar10_cnn import Cifar10Cnn
from objectives.lyrics_lstm import LyricsLstm
from objectives.meli_mlp import MeliMlp
from objectives.mnist_target import MnistTarget
from objectives.pmsm_temperature import PmsmTemperature
from studies.run.baselines import baselines_of, model_of, typical
from studies.settings import Settings
from studies.spec.space import Space


def test_ridge_finds_a_linear_function_and_knows_nothing_of_noise() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(9000, 5)).astype(np.float32)
    target = (inputs @ np.array([[1.0], [-2.0], [0.0], [0.5], [3.0]]) + 7).astype(np.float32)
    errors = [np.abs(found - target[8000:]).max() for found in ridge(inputs[:8000], target[:8000], inputs[8000:])]
    assert min(errors) < 0.05
    assert errors == sorted(errors)
    noise = draw.normal(size=(9000, 1)).astype(np.float32)
    for found in ridge(inputs[:8000], noise[:8000], inputs[8000:]):
        assert np.mean((found - noise[8000:]) ** 2) > 0.9 * noise[8000:].var()


def test_a_row_that_counts_twice_is_one_that_is_there_twice() -> None:
    draw = np.random.default_rng(0)
    inputs, target = (draw.normal(size=(50, n)).astype(np.float32) for n in (4, 2))
    twice = np.where(np.arange(50) % 3, 1.0, 2.0)
    doubled = np.repeat(np.arange(50), twice.astype(int))
    counted = ridge(inputs, target, inputs, counts=twice)
    for one, other in zip(counted, ridge(inputs[doubled], target[doubled], inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_ridge_takes_columns_that_repeat_each_other() -> None:
    column = np.linspace(0, 1, 50, dtype=np.float32)[:, None]
    inputs = np.concatenate([column, column, np.zeros_like(column)], axis=1)
    assert np.abs(next(ridge(inputs, column, inputs)) - column).max() < 0.05


def test_a_classifier_tells_a_rare_class_from_the_rest_when_classes_count_the_same() -> None:
    draw = np.random.default_rng(0)
    labels = (np.arange(2000) % 20 == 0).astype(np.int64)
    inputs = (draw.normal(size=(2000, 3)) + labels[:, None]).astype(np.float32)
    answers = [scores.argmax(axis=1) for scores in linear_classifier(inputs, labels, inputs, 3)]
    recalls = [float((found == labels)[labels == 1].mean()) for found in answers]
    assert max(recalls[:3]) < 0.5 < 0.7 < min(recalls[3:])


def test_rows_are_drawn_from_first_to_last() -> None:
    assert thinned(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert thinned(9, 3).tolist() == [0, 4, 8]


def test_n_grams_learn_what_follows_what() -> None:
    draw = np.random.default_rng(0)
    noise = draw.integers(8, size=20_000)
    assert nats_per_token(noise[:10_000], noise[10_000:], 8, 3) == pytest.approx(np.log(8), abs=0.05)
    sums = np.cumsum(noise % 2) % 8  # what comes next is one of two: knowing one token says all
    assert nats_per_token(sums[:10_000], sums[10_000:], 8, 1) == pytest.approx(np.log(8), abs=0.05)
    for length in (2, 5):
        assert nats_per_token(sums[:10_000], sums[10_000:], 8, length) == pytest.approx(np.log(2), abs=0.05)
    assert MAX_NUMBER < 2_000_000**3
    assert 0 < nats_per_token(noise, noise, 2_000_000, 3) < np.log(2_000_000)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_probabilities_of_all_next_tokens_add_up_to_one(length: int) -> None:
    train = np.random.default_rng(0).integers(5, size=60)
    for before in ([], [3], [4, 1], [0, 0]):
        likely = []
        for token in range(6):  # the last one never occurs
            whole, rest = (len(ends) * nats_per_token(train, np.array(ends), 6, length) if ends else 0.0
                           for ends in ([*before, token], before))  # fmt: skip
            likely.append(np.exp(rest - whole))
        assert sum(likely) == pytest.approx(1.0)
        assert min(likely) > 0


def params_of(objective: Any, **fixed: Any) -> dict[str, Any]:
    declared = Space.declared(objective.space)
    return declared.completed(fixed)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        (MeliMlp, 0.9, 1.0),
        (PmsmTemperature, -10.0, 1.0),  # its tiny sessions teach nothing: not even the mean is right there
        (MnistTarget, 0.9, 1.0),
        (Cifar10Cnn, 0.7, 1.0),
        (LyricsLstm, 0.5, 1.6),  # in nats; it could be ln 2, and 11 tokens of which one knows nothing are 2.4
    ],
)
def test_shipped_objectives_have_one(kind: Any, least: float, most: float, tmp_path: Path) -> None:
    objective = kind()
    example = objective.example(tmp_path)
    data = objective.prepare(example[0], tmp_path, tmp_path / "cache")
    space, settings = Space.declared(objective.space), Settings(None, tmp_path, tmp_path)
    found = baselines_of(objective, data, space, settings, data.sha256)
    assert set(found) <= set(objective.metrics)
    assert least < found[next(iter(objective.metrics))] <= most


def test_the_tokens_are_those_that_the_study_fixes(tmp_path: Path) -> None:
    objective = LyricsLstm()
    data = objective.prepare("sonnets", tmp_path, tmp_path / "cache")
    word, character = (objective.baselines(data, {"tokens": tokens}) for tokens in ("word", "character"))
    # Frequencies alone have 4.85 nats a word; the network of the docstring 4.22.
    assert 4.2 < word["nats_per_token"] < 4.85
    assert character["nats_per_token"] < 2.1
    assert {*word} == {*objective.metrics}


class Mine:
    """An objective of one's own whose baseline counts how often it is asked for."""

    space: ClassVar[Mapping[str, Any]] = {"width": {"low": 1, "high": 9, "default": 3}, "kind": ["a", "b"]}
    baseline_model = "a straight line"

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def baselines(self, data: Any, params: Mapping[str, Any]) -> dict[str, float]:
        self.asked.append(dict(params))
        return {"accuracy": 0.5, "broken": float("nan")}


def test_it_is_computed_once_for_the_same_data_and_fixed_parameters(tmp_path: Path) -> None:
    settings, mine = Settings(None, tmp_path, tmp_path), Mine()
    space = Space.declared(mine.space)
    for _ in range(2):
        assert baselines_of(mine, object(), space, settings, "a" * 64) == {"accuracy": 0.5}
    assert len(mine.asked) == 1
    baselines_of(mine, object(), space, settings, "b" * 64)
    assert len(mine.asked) == 2
    for _ in range(2):
        baselines_of(mine, object(), Space.declared({**mine.space, "width": 7}), settings, "b" * 64)
    assert [params["width"] for params in mine.asked] == [3, 3, 7]
    for _ in range(2):
        baselines_of(mine, object(), space, settings, None)
    assert len(mine.asked) == 5
    assert model_of(mine) == "a straight line"


def test_a_default_that_the_study_leaves_out_counts_all_the_same() -> None:
    declared = Space.declared(Mine.space)
    searched = Space.declared({**Mine.space, "width": {"low": 5, "high": 9}})
    assert typical(declared, searched)["width"] == 3


def test_one_that_fails_keeps_nobody_from_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Mine):
        def baselines(self, data: Any, params: Mapping[str, Any]) -> dict[str, float]:
            raise RuntimeError("no such column")

    settings, space = Settings(None, tmp_path, tmp_path), Space({})
    assert baselines_of(Broken(), None, space, settings, "a" * 64) == {}
    assert "no such column" in capsys.readouterr().err
    assert baselines_of(object(), None, space, settings, None) == {}
    assert model_of(object()) == "a linear model"
