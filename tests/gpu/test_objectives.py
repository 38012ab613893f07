"""Every objective's contract on a GPU: the same seed gives the same value, a checkpoint resumes to its bits."""

from __future__ import annotations

import os
from typing import Any

import pytest

from studies.testing import ObjectiveSuite
from studies.testing.subject import Subject, disturb, through_a_checkpoint, untimed

from ..contracts.test_objectives import NAMES

CUDA = "cuda"
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
# What the examples' defaults do not reach: recurrent dropout, crops, other optimizers, a net deeper than its flow.
OTHERS: dict[str, dict[str, Any]] = {
    "lyrics_lstm": {"n_layers": 3, "dropout": 0.5, "convolution": 3, "optimizer": "sgd", "precision": "bfloat16"},
    "cifar10_cnn": {
        "augment": "flip+crop",
        "schedule": "one_cycle",
        "dropout": 0.5,
        "widths": [64, 128, 256],
        "convolutions": 2,
    },
    "meli_cnn": {"optimizer": "sgd", "filter_lengths": [2, 3, 4, 5, 6]},
    "meli_mlp": {"optimizer": "rmsprop", "pooling": "sum", "hidden_layers": [512, 256, 256, 128]},
    "pmsm_temperature": {"optimizer": "sgd", "depth": 6, "width": 128},
    "mnist_target": {"loss": "mse", "activation": "sigmoid"},
}


class TestOnGpu(ObjectiveSuite):
    @pytest.fixture(scope="class", params=NAMES)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        directory = tmp_path_factory.mktemp(request.param)
        os.environ.pop(CUBLAS, None)  # torch reads it each time, and a worker imports one objective alone
        if request.param == "lyrics_lstm":
            os.environ[CUBLAS] = ":4096:8"
        return Subject(f"objectives.{request.param}", directory, None, {}, CUDA)

    def test_other_parameters_repeat_and_resume_too(self, subject: Subject) -> None:
        given = OTHERS[subject.path.removeprefix("objectives.")]
        expected = subject.values(seed=3, **given)
        disturb(1)
        assert subject.values(seed=3, **given) == expected
        training = subject.start(seed=3, **given)
        training.epoch()
        state = through_a_checkpoint(training.state_dict())
        disturb(2)
        resumed = subject.start(seed=99, **given)
        resumed.load_state_dict(state)
        assert [untimed(resumed.epoch()) for _ in range(2)] == expected[1:]

    def test_it_learns_what_it_learns_on_a_cpu(self, subject: Subject) -> None:
        """To a tenth of the way from the first epoch's loss to none: random masks and rounding differ."""
        losses = {}
        for device in ("cpu", CUDA):
            training = subject.objective.start(subject.params(), subject.data, seed=1, device=device)
            losses[device] = [training.epoch()["train_loss"] for _ in range(3)]
        assert losses[CUDA][-1] == pytest.approx(losses["cpu"][-1], abs=0.1 * losses["cpu"][0])


def test_every_objective_has_other_parameters() -> None:
    assert set(OTHERS) == set(NAMES)
