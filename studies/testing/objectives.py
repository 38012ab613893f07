"""What every objective must fulfil, and its trained model, where it predicts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from studies.testing.predictors import PredictorTests
from studies.testing.subject import Subject, another, disturb, through_a_checkpoint, untimed

N_EPOCHS = 3
MAX_EVIDENCE = 64 * 1024  # bytes


class ObjectiveSuite(PredictorTests):
    """Inherit it and say what to test.

    objective: as a study file names it. dataset, params: what to train on and with, in place of what the objective's
    `example` says. device: to train on. depends_on_seed: whether another seed gives other values.
    """

    objective: ClassVar[str]
    dataset: ClassVar[str | None] = None
    params: ClassVar[Mapping[str, Any]] = {}
    device: ClassVar[str] = "cpu"
    depends_on_seed: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        """The objective on its data."""
        return Subject(cls.objective, tmp_path_factory.mktemp("objective"), cls.dataset, cls.params, cls.device)

    def test_it_declares_what_the_contract_asks(self, subject: Subject) -> None:
        """Metrics with a direction, data sets, and defaults that are allowed."""
        metrics = subject.objective.metrics
        assert metrics
        assert set(metrics.values()) <= {"maximize", "minimize"}
        assert subject.objective.datasets
        for name, parameter in subject.space.parameters.items():
            assert parameter.default in parameter.domain, name

    def test_defaults_train_to_finite_values(self, subject: Subject) -> None:
        """Every epoch reports every declared metric, and nothing that is no number."""
        for metrics in subject.values(n_epochs=N_EPOCHS):
            assert all(math.isfinite(value) for value in metrics.values()), metrics
            assert set(subject.objective.metrics) <= set(metrics)

    def test_evidence_is_small_plain_json_about_the_last_validation(self, subject: Subject) -> None:
        """It is the same again, and nothing in it comes from test rows."""
        training = subject.start()
        if not hasattr(training, "evidence"):
            return
        training.epoch()
        found = training.evidence()
        assert len(json.dumps(found, allow_nan=False)) < MAX_EVIDENCE
        assert json.loads(json.dumps(found)) == found
        if hasattr(training, "test"):
            training.test()
        assert training.evidence() == found
        again = subject.start()
        again.epoch()
        assert again.evidence() == found

    def test_the_same_seed_gives_the_same_values_and_another_does_not(self, subject: Subject) -> None:
        """All randomness comes from the seed, and none from the process."""
        first = subject.values(seed=1)
        disturb(123)
        assert subject.values(seed=1) == first
        assert (subject.values(seed=2) != first) == self.depends_on_seed

    def test_it_resumes_to_the_values_it_would_have_had(self, subject: Subject) -> None:
        """A checkpoint holds everything that the next epoch depends on."""
        expected = subject.values(seed=3, n_epochs=N_EPOCHS)
        training = subject.start(seed=3)
        training.epoch()
        state = through_a_checkpoint(training.state_dict())
        disturb(5)
        resumed = subject.start(seed=99)
        resumed.load_state_dict(state)
        assert [untimed(resumed.epoch()) for _ in range(N_EPOCHS - 1)] == expected[1:]

    def test_trainings_side_by_side_do_not_touch_each_other(self, subject: Subject) -> None:
        """A training keeps its state to itself."""
        expected = subject.values(seed=4, n_epochs=2)
        one, other = subject.start(seed=4), subject.start(seed=5)
        found = []
        for _ in range(2):
            found.append(untimed(one.epoch()))
            other.epoch()
        assert found == expected

    def test_two_evaluations_of_one_model_agree(self, subject: Subject) -> None:
        """Evaluation draws nothing and changes nothing."""
        training = subject.start(dropout=0.5) if "dropout" in subject.space.parameters else subject.start()
        training.epoch()
        if hasattr(training, "test"):
            assert training.test() == training.test()

    def test_every_parameter_changes_the_training(self, subject: Subject) -> None:
        """No parameter is a ghost."""
        ghosts = []
        for parameter in subject.space.parameters.values():
            given: dict[str, Any] = {name: allowed[0] for name, allowed in parameter.when.items()}
            default = subject.params(**given)[parameter.name]
            other = another(parameter, default)
            if other != default and subject.values(**given) == subject.values(**given, **{parameter.name: other}):
                ghosts.append(parameter.name)
        assert not ghosts

    def test_preparing_again_gives_the_same_data(self, subject: Subject) -> None:
        """With the same hash, from the cache and without it."""
        prepared = [subject.data, *(subject.prepare(subject.dataset, cache) for cache in ("cache", "another cache"))]
        assert len({getattr(data, "sha256", None) for data in prepared}) == 1
