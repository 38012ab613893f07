"""One trial's life in one process: what is kept beside its value, and that a continued one keeps the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from studies import checkpoints
from studies.artifacts import DirectoryStore
from studies.names import CONTINUES, PAUSED, SEED
from studies.run.checkpoint import Checkpoints
from studies.run.encoding import encoded
from studies.run.end import continuation
from studies.run.objective import FunctionObjective
from studies.run.trial import Course, Outcome, run_trial
from studies.search.pruners import make_pruner
from studies.spec.space import Space

from ..reports import make_spec

VALUES = [0.3, 0.6, 0.5, 0.4, 0.45]  # the second epoch is the best one


class Training:
    """Epochs of known values, whose evidence says which epoch it is of."""

    def __init__(self, broken: str = "") -> None:
        self.n = 0
        self.broken = broken
        self.asked: list[int] = []

    def epoch(self) -> dict[str, float]:
        self.n += 1
        return {"balanced_accuracy": VALUES[self.n - 1]}

    def evidence(self) -> dict[str, Any]:
        self.asked.append(self.n)
        if self.broken:
            raise RuntimeError(self.broken)
        return {"epoch": self.n}

    def state_dict(self) -> dict[str, Any]:
        return {"n": self.n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n = state["n"]


class Objective:
    metrics: ClassVar = {"balanced_accuracy": "maximize"}
    space: ClassVar[dict[str, Any]] = {}
    datasets: ClassVar = {"none": "none"}

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.started: list[Any] = []

    def prepare(self, *given: Any) -> None:
        return None

    def start(self, params: Any, data: Any, *, seed: int, device: str) -> Any:
        self.started.append(self.make())
        return self.started[-1]


def course(
    directory: Path, objective: Any, should_stop: Callable[[], str | None] = lambda: None, **keys: Any
) -> Course:
    spec = make_spec(max_epochs=len(VALUES), pruner={"name": "none"}, **keys)
    return Course(spec, Space({}), objective, None, "cpu", should_stop, Checkpoints(DirectoryStore(directory), print))


def run(course: Course, **attributes: Any) -> Outcome:
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.NopPruner())
    if CONTINUES in attributes:
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)  # the one that is continued
    trial = study.ask()
    for key, value in attributes.items():
        trial.set_user_attr(key, value)
    return run_trial(trial, course)


def test_the_evidence_is_that_of_the_best_epoch_and_asked_for_only_then(tmp_path: Path) -> None:
    objective = Objective(Training)
    found = run(course(tmp_path, objective)).attributes
    assert (found["epoch"], found["evidence"]) == (2, {"epoch": 2})
    assert objective.started[0].asked == [1, 2]
    assert found["peak_memory_mib"] > 10
    assert all(metrics["epoch_s"] >= 0 for metrics in found["history"])


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_continued_trial_ends_with_the_same_evidence(tmp_path: Path, after: int) -> None:
    objective = Objective(Training)
    stopped = run(course(tmp_path, objective, lambda: "asked" if objective.started[0].n == after else None))
    assert stopped.reason == "stopped"
    continued = run(course(tmp_path, objective), **{CONTINUES: 0})
    whole = run(course(tmp_path / "whole", Objective(Training)))
    assert continued.values == whole.values
    assert continued.attributes["evidence"] == whole.attributes["evidence"] == {"epoch": 2}
    assert objective.started[1].asked == [n for n in (1, 2) if n > after]


def test_a_checkpoint_of_a_release_without_evidence_is_gone_on_from(tmp_path: Path) -> None:
    older = {"state": {"n": 3}, "history": [{"balanced_accuracy": value} for value in VALUES[:3]]}
    (tmp_path / "0.safetensors").write_bytes(encoded(older))
    found = run(course(tmp_path, Objective(Training)), **{CONTINUES: 0})
    assert (found.values, len(found.attributes["history"]), "evidence" in found.attributes) == ([0.6], 5, False)


def test_evidence_that_fails_costs_the_trial_nothing(tmp_path: Path) -> None:
    found = run(course(tmp_path, Objective(lambda: Training("no predictions"))))
    assert found.values == [0.6]
    assert found.attributes["evidence"] == {"error": "RuntimeError: no predictions"}


def test_an_objective_without_evidence_works_as_before(tmp_path: Path) -> None:
    class Plain:
        def __init__(self) -> None:
            self.training = Training()
            self.epoch = self.training.epoch
            self.state_dict = self.training.state_dict

    found = run(course(tmp_path, Objective(Plain)))
    assert found.values == [0.6]
    assert "evidence" not in found.attributes


class Timed(Training):
    """Its second epoch, the best, is also the slowest to answer."""

    def epoch(self) -> dict[str, float]:
        return super().epoch() | {"answer_ms": [5.0, 40.0, 9.0, 20.0, 30.0][self.n - 1]}


@pytest.mark.parametrize(
    ("constraints", "epoch", "excess"),
    [
        ({}, 2, {}),
        ({"answer_ms": "<= 50"}, 2, {"answer_ms": -10.0}),
        ({"answer_ms": "<= 10"}, 3, {"answer_ms": -1.0}),
        ({"answer_ms": "<= 10", "balanced_accuracy": ">= 0.45"}, 3, {"answer_ms": -1.0, "balanced_accuracy": -0.05}),
        ({"answer_ms": "<= 1"}, 2, {"answer_ms": 39.0}),  # no epoch keeps it: the trial is infeasible
    ],
)
def test_the_best_epoch_is_the_best_that_keeps_the_constraints(
    constraints: dict[str, str], epoch: int, excess: dict[str, float], tmp_path: Path
) -> None:
    ended = run(course(tmp_path, Objective(Timed), constraints=constraints))
    assert ended.values == [VALUES[epoch - 1]]
    assert ended.attributes["epoch"] == epoch
    assert ended.attributes["evidence"] == {"epoch": epoch}
    assert ended.constraints == pytest.approx(excess)


def test_what_is_constrained_must_be_reported(tmp_path: Path) -> None:
    ended = run(course(tmp_path, Objective(Timed), constraints={"size_mb": "<= 10"}))
    assert ended.state.name == "FAIL"
    assert "'size_mb'" in (ended.detail or "")


@pytest.mark.parametrize(
    ("error", "reason"), [(RuntimeError("a worker exited unexpectedly"), "stopped"), (MemoryError(), "out_of_memory")]
)
def test_what_breaks_with_the_signal_to_leave_is_continued(tmp_path: Path, error: Exception, reason: str) -> None:
    """As a DataLoader does whose processes hear the signal too."""
    asked: list[str] = []

    class Broken(Training):
        def epoch(self) -> dict[str, float]:
            if self.n == 2:
                asked.append("SIGTERM received")
                raise error
            return super().epoch()

    outcome = run(course(tmp_path, Objective(Broken), should_stop=lambda: asked[0] if asked else None))
    assert outcome.reason == reason
    assert outcome.detail == ("SIGTERM received" if reason == "stopped" else "MemoryError")


def unkept(its: Course, directory: Path) -> Course:
    """Return the course with checkpoints that cannot be written."""
    (directory / "file").touch()
    return replace(its, checkpoints=Checkpoints(DirectoryStore(directory / "file" / "below"), print))


def pausing(directory: Path, objective: Objective) -> tuple[optuna.Study, Course]:
    """Return a study whose trials pause after one epoch, and after three, and its course."""
    asha = make_pruner(make_spec(max_epochs=9))
    return optuna.create_study(direction="maximize", pruner=asha), course(directory, objective)


def test_a_paused_trial_goes_on_where_it_was(tmp_path: Path) -> None:
    objective = Objective(Training)
    study, its = pausing(tmp_path, objective)
    trial = study.ask()
    outcome = run_trial(trial, its)
    assert outcome is not None
    assert (outcome.state, outcome.attributes[PAUSED]) == (TrialState.PRUNED, True)
    assert objective.started[0].n == 1
    study.tell(trial, state=TrialState.PRUNED)
    study.enqueue_trial({}, user_attrs=continuation(study.trials[0], 0)["attributes"])
    outcome = run_trial(study.ask(), its)
    assert outcome is not None
    assert (objective.started[1].n, len(outcome.attributes["history"])) == (3, 3)  # at its next rung
    assert study.trials[1].intermediate_values == dict(enumerate(VALUES[:3], start=1))
    assert study.trials[1].user_attrs[SEED] == study.trials[0].user_attrs[SEED]


def test_what_cannot_be_kept_is_stopped_unless_it_is_the_best_so_far(tmp_path: Path) -> None:
    study, its = pausing(tmp_path, Objective(Training))
    its = unkept(its, tmp_path)
    first, second = study.ask(), study.ask()
    second.report(0.9, 1)
    second.report(0.9, 3)
    outcome = run_trial(first, its)
    assert outcome is not None
    assert outcome.state == TrialState.PRUNED
    assert PAUSED not in outcome.attributes
    assert outcome.detail == "its checkpoint could not be written: Not a directory"
    study, its = pausing(tmp_path, Objective(Training))
    outcome = run_trial(study.ask(), unkept(its, tmp_path))
    assert outcome is not None
    assert outcome.state == TrialState.COMPLETE


def test_a_trial_that_ends_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    objective = Objective(Training)
    outcome = run(unkept(course(tmp_path, objective, lambda: "asked"), tmp_path))
    assert outcome.detail == "asked; its checkpoint could not be written: Not a directory"
    outcome = run(course(tmp_path, objective, lambda: "asked"))
    assert outcome.detail == "asked"


class Slow(Training):
    """Its epochs take 200 seconds, by its own word."""

    def epoch(self) -> dict[str, float]:
        return super().epoch() | {"epoch_s": 200.0}


def test_the_time_limit_of_a_trial_counts_what_it_trained_before_it_was_stopped(tmp_path: Path) -> None:
    objective = Objective(Slow)
    run(course(tmp_path, objective, lambda: "asked" if objective.started[0].n == 1 else None))
    limited = course(tmp_path, objective, limits={"trial_minutes": 2})
    continued = run(limited, **{CONTINUES: 0})
    assert continued.detail == "stopped at its limit of 2 minutes"
    assert objective.started[1].n == 2


def of_function(tmp_path: Path, function: Callable[[optuna.Trial], Any]) -> Outcome:
    return run(course(tmp_path, FunctionObjective(function, {}, {}, {})))


class Wordless:
    def __float__(self) -> float:
        raise RuntimeError("no number")


@pytest.mark.parametrize(
    ("returned", "detail"),
    [
        (None, "returned None; expected a number (is a `return` missing?)"),
        ("good", "returned 'good'; expected a number"),
        (1j, "returned 1j; expected a number"),
        ({"loss": 1.0}, "returned {'loss': 1.0}; expected a number"),
        (np.array([1.0, 2.0]), "returned array([1., 2.]); expected a number"),
        ([[1.0]], "returned [1.0]; expected a number"),
        (10**400, "OverflowError"),
        (Wordless(), "RuntimeError: no number"),
        (float("-inf"), "the objective returned -inf"),
    ],
)
def test_what_is_no_number_is_named(tmp_path: Path, returned: Any, detail: str) -> None:
    ended = of_function(tmp_path, lambda trial: returned)
    assert ended.state is TrialState.FAIL
    assert detail in (ended.detail or "")


@pytest.mark.parametrize(
    "returned", [1, True, np.float32(1), np.array(1), Decimal(1), Fraction(1), torch.tensor(1.0), [1]]
)
def test_what_is_a_number_counts(tmp_path: Path, returned: Any) -> None:
    assert of_function(tmp_path, lambda trial: returned).values == [1.0]


@pytest.mark.parametrize(
    ("reported", "detail"),
    [
        (None, "epoch() returned a NoneType; expected its metrics by name (is a `return` missing?)"),
        (0.5, "epoch() returned a float; expected its metrics by name"),
        ({"balanced_accuracy": "good"}, "epoch() reports as balanced_accuracy 'good'; expected a number"),
    ],
)
def test_an_epoch_without_metrics_is_named(tmp_path: Path, reported: Any, detail: str) -> None:
    class Odd(Training):
        def epoch(self) -> Any:
            return reported

    assert detail in (run(course(tmp_path, Objective(Odd))).detail or "")


def test_a_function_cannot_begin_a_trial_that_nobody_runs(tmp_path: Path) -> None:
    ended = of_function(tmp_path, lambda trial: trial.study.ask().number)
    assert "an objective cannot ask for another trial" in (ended.detail or "")
    study = optuna.create_study()
    run_trial(study.ask(), course(tmp_path, FunctionObjective(lambda trial: 1.0, {}, {}, {})))
    assert study.ask().number == 1


class Counting:
    """A function that counts its steps in a file, and goes on from there."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.directories: list[Path] = []

    def __call__(self, trial: optuna.Trial) -> float:
        kept = checkpoints(trial) / "below" / "step.txt"
        self.directories.append(kept.parent.parent)
        done = int(kept.read_text()) if kept.exists() else 0
        self.began.append(done)
        for step in range(done + 1, len(VALUES) + 1):
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(str(step))
            trial.report(np.float32(VALUES[step - 1]), np.int64(step))  # type: ignore[arg-type]
            if trial.should_prune():
                raise optuna.TrialPruned
        return max(VALUES)


@pytest.mark.parametrize("after", [1, 4, 5])
def test_a_function_goes_on_from_its_files(tmp_path: Path, after: int) -> None:
    counting, n_asked = Counting(), iter(range(1, 9))
    objective = FunctionObjective(counting, {}, {}, {})
    stopped = run(course(tmp_path, objective, lambda: "asked" if next(n_asked) >= after else None))
    assert (stopped.reason, stopped.detail) == ("stopped", "asked")
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial({}, user_attrs={CONTINUES: 0})
    outcome = run_trial(study.ask(), course(tmp_path, objective))
    assert outcome is not None
    assert (outcome.values, counting.began) == ([max(VALUES)], [0, after])
    assert study.trials[1].intermediate_values == pytest.approx(dict(enumerate(VALUES, start=1)))
    assert not any(directory.exists() for directory in counting.directories)


def test_a_function_that_starts_over_reports_everything_anew(tmp_path: Path) -> None:
    def forgetful(trial: optuna.Trial) -> float:
        (checkpoints(trial) / "unread").touch()
        for step in range(3):
            trial.report(float(len(began)), step)
        return 1.0

    began = [1]
    objective = FunctionObjective(forgetful, {}, {}, {})
    run(course(tmp_path, objective, lambda: "asked"))
    began.append(2)
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial({}, user_attrs={CONTINUES: 0})
    run_trial(study.ask(), course(tmp_path, objective))
    assert study.trials[1].intermediate_values == {0: 2.0, 1: 2.0, 2: 2.0}


def test_a_function_with_files_is_paused_and_one_without_is_pruned(tmp_path: Path) -> None:
    study, its = pausing(tmp_path, Objective(Training))
    counting = Counting()
    outcome = run_trial(study.ask(), replace(its, objective=FunctionObjective(counting, {}, {}, {})))
    assert outcome is not None
    assert (outcome.state, outcome.attributes[PAUSED]) == (TrialState.PRUNED, True)
    study.tell(0, state=TrialState.PRUNED)
    study.enqueue_trial({}, user_attrs=continuation(study.trials[0], 0)["attributes"])
    run_trial(study.ask(), replace(its, objective=FunctionObjective(counting, {}, {}, {})))
    assert counting.began == [0, 1]
    assert study.trials[1].intermediate_values == pytest.approx(dict(enumerate(VALUES[:3], start=1)))  # its next rung

    def bare(trial: optuna.Trial) -> float:
        trial.report(0.1, 1)
        raise optuna.TrialPruned if trial.should_prune() else AssertionError

    outcome = run_trial(study.ask(), replace(its, objective=FunctionObjective(bare, {}, {}, {})))
    assert outcome is not None
    assert (outcome.state, PAUSED in outcome.attributes) == (TrialState.PRUNED, False)


def test_a_function_whose_files_cannot_be_kept_goes_on_while_it_is_the_best(tmp_path: Path) -> None:
    study, its = pausing(tmp_path, Objective(Training))
    counting = FunctionObjective(Counting(), {}, {}, {})
    outcome = run_trial(study.ask(), unkept(replace(its, objective=counting), tmp_path))
    assert outcome is not None
    assert (outcome.state, outcome.values) == (TrialState.COMPLETE, [max(VALUES)])
    assert outcome.detail == "its checkpoint could not be written: Not a directory"


def test_outside_a_study_a_trial_has_an_empty_directory_that_goes_with_it() -> None:
    study = optuna.create_study()
    one, other = study.ask(), study.ask()
    first, second = checkpoints(one), checkpoints(other)
    assert first != second
    assert checkpoints(one) == first
    (first / "file").touch()
    del one
    assert (first.exists(), second.is_dir()) == (False, True)


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    study = optuna.create_study()
    one, other, third = study.ask(), study.ask(), study.ask()
    used, left = checkpoints(one), tmp_path / "studies-checkpoints-left"
    left.mkdir()
    assert checkpoints(other).is_dir()
    assert left.is_dir()  # it may be about to be locked
    for directory in (used, left):
        os.utime(directory, (0, 0))
    assert checkpoints(third).is_dir()
    assert (used.is_dir(), left.exists()) == (True, False)


def test_a_file_system_without_locks_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fcntl.flock", unsupported)
    study = optuna.create_study()
    one, other = study.ask(), study.ask()
    used = checkpoints(one)
    os.utime(used, (0, 0))
    assert checkpoints(other).is_dir()
    assert used.is_dir()
