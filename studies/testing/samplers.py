"""What every sampler must fulfil."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import optuna
import pytest
from optuna.trial import TrialState

from studies.search.distributions import distribution_of
from studies.search.samplers import make_sampler
from studies.spec import StudySpec
from studies.spec.domain import Fixed
from studies.spec.space import Space

N_TRIALS = 16


class SamplerSuite:
    """Inherit it and say what to test.

    sampler: as a study file names it. options: of it. space: what it searches; one with choices alone is for those
    that can do no more.
    """

    sampler: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    space: ClassVar[Mapping[str, Any]] = {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
        "n_layers": {"low": 1, "high": 5, "default": 2},
        "hidden_layers": {"choices": [[128], [256, 128]], "default": [128]},
        "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
        "momentum": {"low": 0.0, "high": 0.95, "default": 0.9, "when": {"optimizer": ["sgd"]}},
    }

    def study(self, seed: int = 3, direction: str = "minimize") -> optuna.Study:
        """Return a new study in memory with this sampler, as a worker opens it."""
        return optuna.create_study(sampler=self.made(seed, direction), direction=direction)  # type: ignore[arg-type]

    def made(self, seed: int, direction: str = "minimize") -> optuna.samplers.BaseSampler:
        """Return the sampler as a worker makes it."""
        named = {"name": self.sampler, "seed": seed, "options": dict(self.options)}
        spec = {"name": "suite", "objective": "a.b", "direction": direction, "n_trials": N_TRIALS, "sampler": named}
        return make_sampler(StudySpec.model_validate(spec), Space.declared(self.space))

    def asked(self, study: optuna.Study) -> tuple[optuna.Trial, dict[str, Any]]:
        """Ask for one trial; return it with its parameters."""
        trial = study.ask()

        def suggest(name: str, domain: Any) -> Any:
            return trial._suggest(name, distribution_of(domain))

        return trial, Space.declared(self.space).suggest(suggest)

    def suggested(self, study: optuna.Study, n: int = N_TRIALS) -> list[dict[str, Any]]:
        """Return the parameters of n trials, one after the other, each ended in one way or another."""
        found = []
        for _ in range(n):
            trial, params = self.asked(study)
            found.append(params)
            end(study, trial)
        return found

    @pytest.mark.parametrize("direction", ["minimize", "maximize"])
    def test_it_stays_in_the_space(self, direction: str) -> None:
        """Whatever became of the trials before."""
        space = Space.declared(self.space)
        for params in self.suggested(self.study(direction=direction)):
            for name, parameter in space.parameters.items():
                assert (name in params) == parameter.exists(params)
                assert isinstance(parameter.domain, Fixed) or name not in params or params[name] in parameter.domain

    def test_the_same_seed_suggests_the_same_and_another_does_not(self) -> None:
        """So that a study can be repeated."""
        first = self.suggested(self.study(seed=3))
        assert self.suggested(self.study(seed=3)) == first
        assert self.suggested(self.study(seed=4)) != first

    def test_it_does_not_matter_which_worker_asks(self) -> None:
        """Two workers that take turns get what one gets."""
        alone = self.suggested(self.study(seed=5), 8)
        study = self.study(seed=5)
        workers = [study, optuna.load_study(study_name=study.study_name, storage=study._storage, sampler=self.made(5))]
        together = [params for turn in range(8) for params in self.suggested(workers[turn % 2], 1)]
        assert together == alone

    def test_trials_that_run_at_a_time_are_not_all_the_same(self) -> None:
        """Each worker tries something of its own."""
        study = self.study()
        at_once = [self.asked(study)[1] for _ in range(6)]
        assert any(params != at_once[0] for params in at_once)


def end(study: optuna.Study, trial: optuna.Trial) -> None:
    """End a trial as its number says: most are complete, some pruned or failed."""
    trial.report(float(trial.number), 1)
    if trial.number % 4 == 3:
        study.tell(trial, state=TrialState.PRUNED)
    elif trial.number % 7 == 6:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, float(trial.number * 37 % 11))
