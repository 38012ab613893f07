"""Pairs of parameters: planted interactions are found, and what each does alone is not taken for one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from studies.record.study import StudyRecord, TrialRecord
from studies.report.interactions import MIN_TRIALS, Interaction, evenly, interactions, levels_of, winsorised
from studies.report.page import render

from ..reports import make_report, make_trial

NAMES = ["learning_rate", "dropout", "batch_size", "optimizer", "momentum"]
Value = Callable[[dict[str, Any]], float]


def drawn(n: int, value: Value, seed: int = 0, noise: float = 0.02) -> StudyRecord:
    """Return a study of n random trials of a known function, with noise."""
    draw = random.Random(seed)
    trials: list[TrialRecord] = []
    for number in range(n):
        params: dict[str, Any] = {
            "learning_rate": 10 ** draw.uniform(-5, -1),
            "dropout": draw.uniform(0, 0.7),
            "batch_size": draw.choice([64, 128, 256]),
            "optimizer": draw.choice(["adam", "sgd"]),
        }
        if params["optimizer"] == "sgd":
            params["momentum"] = draw.uniform(0, 0.95)
        trials.append(make_trial(number, [value(params) + draw.gauss(0, noise)], params=params))
    return make_report(trials)


def alone(params: dict[str, Any]) -> float:
    """A sum of what each parameter does, bent within every level; momentum matters where it exists."""
    rate = math.log10(params["learning_rate"])
    adam = 0.1 if params["optimizer"] == "adam" else 0.1 * params["momentum"]
    return 0.6 - 0.04 * (rate + 3) ** 2 - 0.3 * params["dropout"] ** 2 + adam + 0.01 * math.log2(params["batch_size"])


def together(params: dict[str, Any]) -> float:
    """The best rate depends on the optimizer."""
    best = -3 if params["optimizer"] == "adam" else -1.5
    return 0.8 - 0.05 * (math.log10(params["learning_rate"]) - best) ** 2 - 0.1 * params["dropout"]


def found(report: StudyRecord) -> list[Interaction]:
    pairs = interactions(report.trials, report, NAMES)
    assert pairs is not None
    return pairs


def test_null_is_a_choice_and_no_missing_parameter() -> None:
    trials = [make_trial(n, [n / 10], params={"decay": None if n % 2 else "cosine"}) for n in range(6)]
    levels = levels_of("decay", trials)
    assert (levels.labels, levels.exists.all()) == (["cosine", "null"], True)
    page = render(make_report(trials), "md")
    assert "| decay | null |" in page
    assert "cosine (3), null (3)" in page


def test_a_planted_interaction_comes_first_and_alone() -> None:
    pairs = found(drawn(300, together))
    assert {pairs[0].first.name, pairs[0].second.name} == {"learning_rate", "optimizer"}
    assert [pair.established for pair in pairs] == [True] + [False] * (len(pairs) - 1)
    assert pairs[0].share > 0.2
    page = render(drawn(300, together), "md")
    assert "1 of 9 pairs interacts" in page
    assert "| learning_rate, optimizer |" in page


@pytest.mark.parametrize(("n", "n_studies"), [(60, 20), (300, 20), (1500, 5)])
def test_parameters_that_act_alone_are_said_to(n: int, n_studies: int) -> None:
    wrong = sum(any(pair.established for pair in found(drawn(n, alone, seed))) for seed in range(n_studies))
    assert wrong <= n_studies // 5  # of twenty studies one is expected, by what `established` means


def test_noise_has_no_interactions() -> None:
    wrong = sum(any(p.established for p in found(drawn(100, lambda params: 0.5, seed))) for seed in range(20))
    assert wrong <= 4


def test_the_share_is_that_of_the_variance() -> None:
    """Of x and y at -1 or 1, the variance of x + y + 2xy is 1 + 1 + 4; noise adds to the whole."""

    def value(params: dict[str, Any]) -> float:
        x, y = (1 if params["optimizer"] == "adam" else -1), (1 if params["dropout"] > 0.35 else -1)
        return float(x + y + 2 * x * y)

    report = drawn(2000, value, noise=1.0)
    levels = report.trials
    for trial in levels:
        trial.params["dropout"] = 0.0 if float(str(trial.params["dropout"])) <= 0.35 else 0.7
    pairs = interactions(levels, report, ["optimizer", "dropout"])
    assert pairs is not None
    values = winsorised(np.array([trial.value for trial in levels], dtype=float), 1)
    assert pairs[0].share == pytest.approx(4 / 7, abs=0.06)
    assert values.min() > min(trial.value or 0.0 for trial in levels)


def test_few_trials_cannot_tell() -> None:
    report = drawn(MIN_TRIALS - 1, together)
    assert interactions(report.trials, report, NAMES) is None
    assert "Too few trials to tell which parameters interact: 39 completed trials can be compared" in render(
        report, "md"
    )
    assert interactions(drawn(MIN_TRIALS, together).trials, report, ["learning_rate"]) is None
    flat = make_report([make_trial(n, [0.5], params={"x": n, "y": -n}) for n in range(60)])
    assert interactions(flat.trials, flat, ["x", "y"]) is None


def test_cells_are_medians_with_their_trials() -> None:
    params = [("a", 1), ("a", 1), ("b", 1), ("b", 2)]
    trials = [make_trial(n, [float(n)], params={"x": x, "y": y}) for n, (x, y) in enumerate(params)]
    pair = Interaction(levels_of("x", trials), levels_of("y", trials), 0.5, 0.0)
    medians, counts = pair.cells(np.array([trial.value for trial in trials], dtype=float))
    assert (pair.first.labels, pair.second.labels) == (["a", "b"], ["1", "2"])
    assert medians == [[0.5, None], [2.0, 3.0]]
    assert counts == [[2, 0], [1, 1]]


def test_levels() -> None:
    def labels(values: list[Any]) -> tuple[list[str], list[int]]:
        trials = [make_trial(n, [0.5], params={} if v == "gone" else {"x": v}) for n, v in enumerate(values)]
        levels = levels_of("x", trials)
        return list(levels.labels), levels.at.tolist()

    assert labels([256, 64, 128, 64]) == (["64", "128", "256"], [2, 0, 1, 0])
    assert labels([[128], [256, 128], [128]]) == (["[128]", "[256, 128]"], [0, 1, 0])
    assert labels([True, False]) == (["false", "true"], [1, 0])
    assert labels([0.1, "gone"])[0] == ["0.1", "(absent)"]
    names, at = labels([n / 100 for n in range(99)] + ["gone"])
    assert names == ["0 to 0.327", "0.327 to 0.653", "0.653 to 0.98", "(absent)"]
    assert [at.count(level) for level in range(4)] == [33, 33, 33, 1]
    many, _ = labels([*"aabbccddeeffghi"])
    assert many == ["a", "b", "c", "d", "e", "the others"]


def test_of_very_many_trials_some_are_drawn_evenly() -> None:
    trials = make_report([make_trial(n, [0.5]) for n in range(4001)]).trials
    assert [trial.number for trial in evenly(trials)] == list(range(0, 4001, 3))
