"""Every sampler and pruner passes the suite: those of the registry, and Optuna's own by their paths."""

from __future__ import annotations

import pytest

from studies.registry import PRUNERS, SAMPLERS
from studies.testing import PrunerSuite, SamplerSuite

CHOICES = {"rate": {"choices": [1, 2, 3, 4], "default": 1}, "layers": {"choices": [[1], [1, 2]], "default": [1]}}
OF_CHOICES = {"grid"}  # samplers that take no range


@pytest.mark.parametrize("name", [*SAMPLERS, "optuna.samplers:TPESampler"])
class TestSamplers(SamplerSuite):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.sampler = name
        if name in OF_CHOICES:
            self.space = CHOICES


@pytest.mark.parametrize("name", [*PRUNERS, "optuna.pruners:MedianPruner"])
class TestPruners(PrunerSuite):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.pruner = name
