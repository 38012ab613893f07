"""Contract suites: the tests that everything added by name must pass, ours and yours.

Inherit one in your own tests, name what you have written, and pytest runs them all:

    from studies.testing import ObjectiveSuite

    class TestMine(ObjectiveSuite):
        objective = "mymodule:Mine"

ObjectiveSuite  same seed same value, resumes bit for bit, no ghost parameter, ...; and its predictor, where it has one
LauncherSuite   describe, start, reap, stop, kill, close, on a real study in a real server
SamplerSuite    stays in the space, and follows from the seed and the trial's number alone
PrunerSuite     keeps the best, and decides the same for everybody
ExporterSuite   renders any study, and the same one the same way

A storage is Optuna's own kind, and Optuna has the tests for it. Only this package imports pytest: `pip install
'studies[test]'`. To add a suite for a new kind of thing, write one file here and name it below.
"""

import pytest

SUITES = ("exporters", "launchers", "objectives", "predictors", "pruners", "samplers")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in SUITES))  # a failed assert shows its values

from studies.testing.exporters import ExporterSuite  # noqa: E402
from studies.testing.launchers import LauncherSuite  # noqa: E402
from studies.testing.objectives import ObjectiveSuite  # noqa: E402
from studies.testing.pruners import PrunerSuite  # noqa: E402
from studies.testing.samplers import SamplerSuite  # noqa: E402

__all__ = ["ExporterSuite", "LauncherSuite", "ObjectiveSuite", "PrunerSuite", "SamplerSuite"]
