"""What every pruner must fulfil."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, ClassVar

import optuna
import pytest
from optuna.trial import TrialState

from studies.search.pruners import make_pruner
from studies.spec import StudySpec

N_TRIALS, MAX_EPOCHS = 30, 9


class PrunerSuite:
    """Inherit it and say what to test. pruner: as a study file names it. options: of it."""

    pruner: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    def study(self, direction: str = "maximize") -> optuna.Study:
        """Return a new study in memory with this pruner, as a worker opens it."""
        named = {"name": self.pruner, "options": dict(self.options)}
        spec = {
            "name": "suite", "objective": "a.b", "direction": direction, "n_trials": N_TRIALS,
            "max_epochs": MAX_EPOCHS, "pruner": named,
        }  # fmt: skip
        pruner = make_pruner(StudySpec.model_validate(spec))
        sampler = optuna.samplers.RandomSampler(seed=0)
        return optuna.create_study(study_name="suite", pruner=pruner, sampler=sampler, direction=direction)  # type: ignore[arg-type]

    def lengths(self, study: optuna.Study, curves: list[list[float]]) -> list[int]:
        """Run trials with these values after each epoch, one after the other; return how long each lasted."""
        found = []
        for curve in curves:
            trial = study.ask()
            for epoch, value in enumerate(curve, start=1):
                trial.report(value, epoch)
                if trial.should_prune() or epoch == len(curve):
                    found.append(epoch)
                    study.tell(trial, state=TrialState.PRUNED)
                    break
        return found

    @pytest.mark.parametrize("direction", ["minimize", "maximize"])
    def test_the_best_so_far_goes_on(self, direction: str) -> None:
        """A trial that is better than all before it, at every epoch, is never stopped."""
        sign = 1 if direction == "maximize" else -1
        curves = [[sign * (number + epoch / 100) for epoch in range(MAX_EPOCHS)] for number in range(N_TRIALS)]
        assert self.lengths(self.study(direction), curves) == [MAX_EPOCHS] * N_TRIALS

    def test_the_same_curves_are_decided_the_same(self) -> None:
        """By whichever worker: a pruner remembers nothing that the storage does not."""
        draw = random.Random(1)  # noqa: S311 - of a test
        curves = [[draw.random() for _ in range(MAX_EPOCHS)] for _ in range(N_TRIALS)]
        first = self.lengths(self.study(), curves)
        study, fresh = self.study(), self.study()
        half = N_TRIALS // 2
        found = self.lengths(study, curves[:half])
        study.pruner = fresh.pruner
        assert found + self.lengths(study, curves[half:]) == first

    def test_values_that_are_no_numbers_do_no_harm(self) -> None:
        """Whether they end a trial is the pruner's choice; it says so, and raises nothing."""
        curves = [[math.nan] * MAX_EPOCHS, [math.inf] * MAX_EPOCHS, [-math.inf] * MAX_EPOCHS, [0.5] * MAX_EPOCHS]
        assert len(self.lengths(self.study(), curves * 3)) == 12

    def test_a_trial_without_a_report_is_not_stopped(self) -> None:
        """There is nothing yet to stop it for."""
        study = self.study()
        self.lengths(study, [[float(number)] * MAX_EPOCHS for number in range(8)])
        assert not study.ask().should_prune()
