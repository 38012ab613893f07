"""Every mistake is found, by its name and at its line; and nothing is found where there is none."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from studies.check.findings import Finding

from .mistakes import Slow
from .places import Check, place_of

R2 = {"metric": "r2"}
# What has nothing to do with parameters is checked with one of them: half the time.
FIXED = {"space": {"momentum": 0.5, "width": 16, "dropout": 0.1}}
FUNCTION = {"metric": "value", "direction": "minimize", "max_epochs": 3}

SOUND: list[tuple[str, dict[str, Any]]] = [
    ("Sound", {}),
    ("Regression", R2),
    ("Titles", {}),
    ("SessionsWhole", R2 | FIXED),
    ("InitialisationApplied", FIXED),
    ("ActsLate", FIXED),
    ("sound_function", FUNCTION),
    ("keeping_function", FUNCTION),
]

MISTAKES: list[tuple[str, str, dict[str, Any]]] = [
    ("GhostDropout", "ghost-parameter", {}),
    ("ReadAndForgotten", "ghost-parameter", {}),
    ("Undeclared", "undeclared-parameter", {}),
    ("Misspelt", "undeclared-parameter", {}),
    ("OneValueFails", "does-not-train", {}),
    ("SigmoidBeforeCrossEntropy", "bounded-logits", FIXED),
    ("SoftmaxInTheModel", "bounded-logits", FIXED),
    ("SoftmaxByHand", "bounded-logits", FIXED),
    ("ColumnAgainstRow", "loss-broadcasts", R2 | FIXED),
    ("ColumnAgainstRowByHand", "loss-broadcasts", R2 | FIXED),
    ("SigmoidOverStandardised", "bounded-output", R2 | FIXED),
    ("SigmoidOverStandardisedByHand", "bounded-output", R2 | FIXED),
    ("DropoutStaysOn", "dropout-in-evaluation", FIXED),
    ("NoiseInEvaluation", "evaluation-random", FIXED),
    ("CentredOnBatch", "evaluation-depends-on-batch", FIXED),
    ("MeanOverPadding", "evaluation-depends-on-batch", {}),
    ("InClassOrder", "class-order", FIXED),
    ("Imbalanced", "metric-unfit", FIXED),
    ("TrainsOnValidation", "rows-on-both-sides", FIXED),
    ("ScoresWhatItTrainedOn", "rows-on-both-sides", FIXED),
    ("SessionsSplitByRow", "groups-on-both-sides", R2 | FIXED),
    ("Unseeded", "unseeded", FIXED),
    ("UnseededWeights", "unseeded", FIXED),
    ("FromTheSystem", "unseeded", FIXED),
    ("GlobalModel", "state-kept-between-trials", FIXED),
    ("ForgetsTheOptimizer", "does-not-resume", FIXED),
    ("ForgetsInLongEpochs", "does-not-resume", FIXED),
    ("ForgetsTheOrder", "does-not-resume", FIXED),
    ("KeepsASet", "does-not-resume", FIXED),
    ("HasNoState", "does-not-resume", FIXED),
    ("LoadsAnotherKey", "does-not-resume", FIXED),
    ("NotANumber", "not-a-number", FIXED),
    ("WithoutItsMetric", "does-not-train", {}),
    ("ghost_function", "ghost-parameter", FUNCTION),
    ("function_with_a_sigmoid", "bounded-logits", FUNCTION),
    ("function_with_changing_choices", "undeclared-parameter", FUNCTION),
    ("function_that_cannot_read", "does-not-resume", FUNCTION),
]

# The number that a mistake costs.
COSTS = {
    "SigmoidBeforeCrossEntropy": f"{math.log(1 + 4 / math.e):.3f} = ln(1 + 4 exp(-1))",  # five classes
    "ColumnAgainstRow": "20 x 20",
    "SigmoidOverStandardised": "R2 below 0.46",
    "Imbalanced": "0.9300",
    "TrainsOnValidation": "100 of 100 rows that are scored",
    "SessionsSplitByRow": "10 of 10 values of 'profile_id'",
    "GlobalModel": "tests.check.mistakes.MODEL is a global Sequential",
    "FromTheSystem": "the system's randomness",
    "Unseeded": "numpy.random",
    "OneValueFails": "with width 7, the training raised ValueError: the width must be even",
}

# No line of the objective is at fault: its metric, or what came of the whole.
NOWHERE = {"Imbalanced", "NotANumber", "WithoutItsMetric"}

WARNINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("UnloggedDefault", "undeclared-parameter", {}),
    ("Conditional", "conditional-parameter", {}),
    ("InitialisationForgotten", "initialisation-unused", FIXED),
    ("unseeded_function", "unseeded", FUNCTION),
    ("forgetful_function", "does-not-resume", FUNCTION),
]


@pytest.mark.parametrize(("name", "keys"), SOUND)
def test_nothing_is_found_in_a_sound_one(checked: Check, name: str, keys: dict[str, Any]) -> None:
    result = checked(name, **keys)
    assert not result.findings
    assert result.sound
    assert len(result.checked) == 11


@pytest.mark.parametrize(("name", "mistake", "keys"), MISTAKES)
def test_a_mistake_is_found_and_nothing_else(checked: Check, name: str, mistake: str, keys: dict[str, Any]) -> None:
    result = checked(name, **keys)
    assert [finding.name for finding in result.findings] == [mistake]
    [finding] = result.findings
    assert finding.severity == "error"
    assert not result.sound
    assert finding.where == (None if name in NOWHERE else place_of(mistake, name))
    assert finding.fix
    if name in COSTS:
        assert COSTS[name] in f"{finding.what} {finding.why}"


def test_every_cost_and_place_is_of_a_mistake_that_is_tested() -> None:
    assert set(COSTS) | NOWHERE <= {name for name, _, _ in MISTAKES}


@pytest.mark.parametrize(("name", "mistake", "keys"), WARNINGS)
def test_a_warning_leaves_a_study_sound(checked: Check, name: str, mistake: str, keys: dict[str, Any]) -> None:
    result = checked(name, **keys)
    assert [(finding.name, finding.severity) for finding in result.findings] == [(mistake, "warning")]
    assert result.findings[0].where == place_of(mistake, name)
    assert result.sound


def test_a_function_that_goes_beyond_max_epochs_or_is_given_what_it_does_not_ask_for(checked: Check) -> None:
    steps, unknown = checked("function_of_many_steps", **FUNCTION, start_with=[{"rate": 0.5, "rat": 0.5}]).findings
    assert (steps.name, unknown.name) == ("steps-beyond-max-epochs", "start-with-unknown")
    assert steps.severity == unknown.severity == "warning"
    assert "`max_epochs: 3000`" in steps.fix
    assert "rat, which the function did not ask for; did you mean rate?" in unknown.what


def test_an_evaluation_in_training_mode_is_told_once_for_each_kind_of_layer(checked: Check) -> None:
    findings = {finding.name: finding for finding in checked("NoEval", **FIXED).findings}
    assert set(findings) == {"dropout-in-evaluation", "batch-norm-in-evaluation"}
    assert {finding.where for finding in findings.values()} == {place_of("dropout-in-evaluation", "NoEval")}


def test_a_checkpoint_that_no_epoch_comes_to_is_not_checked(checked: Check) -> None:
    result = checked("EpochsWithoutEnd", seconds=8.0, **FIXED)
    assert not result.findings
    [reason] = [left.reason for left in result.not_checked if left.name == "resuming from a checkpoint"]
    assert "--timeout" in reason


def test_parameters_without_time_are_named_with_the_time_that_they_need(checked: Check) -> None:
    result = checked("Slow", seconds=6.0)
    [reason] = [left.reason for left in result.not_checked if left.name == "the parameters"]
    late, _, hint = reason.removeprefix("there was no time for ").partition("; ")
    assert set(late.split(", ")) <= set(Slow.space)
    minutes = re.fullmatch(r"`studies check checked --timeout (\d+)` has time for all", hint)
    assert minutes is not None
    assert int(minutes[1]) >= 1


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    return finding


def test_what_could_not_be_checked_is_said(checked: Check) -> None:
    left = {item.name for item in checked("Raises").not_checked}
    assert {"the evaluation", "randomness", "the parameters", "memory and cost"} <= left


@pytest.mark.parametrize("name", ["Raises", "Crashes", "ExitsAtOnce"])
def test_an_objective_that_does_not_train(checked: Check, name: str) -> None:
    finding = only(checked(name).findings)
    assert finding.name == "does-not-train"
    assert finding.where == place_of("does-not-train", name)


@pytest.mark.parametrize(
    ("name", "how", "seconds"),
    [
        ("broken", "raised ValueError", 60.0),
        ("aborts", "killed by SIGABRT", 60.0),
        ("sleeps", "did not end within", 3.0),
    ],
)
def test_an_objective_that_does_not_import(
    checked: Check, name: str, how: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked("Raises")  # so that torch is imported, which takes long
    monkeypatch.setattr("studies.check.SILENCE_S", seconds)
    finding = only(checked(f"tests.check.{name}", seconds=seconds).findings)
    assert finding.name == "does-not-train"
    assert how in finding.what
    assert finding.where == f"tests/check/{name}.py:5"


def test_one_that_hangs_is_ended_in_time(checked: Check) -> None:
    finding = only(checked("Hangs", seconds=8.0).findings)
    assert "hung" in finding.what
    assert finding.where == place_of("does-not-train", "Hangs")


def test_one_that_eats_memory_is_ended_before_the_machine_is(checked: Check) -> None:
    finding = only(checked("EatsMemory", memory_bytes=2**30).findings)
    assert "out of memory" in finding.what
    assert finding.where == place_of("does-not-train", "EatsMemory")
