"""Checking an objective by its name, as `studies check` does it."""

from __future__ import annotations

from typing import Any

import pytest

from studies.check import Result, check
from studies.settings import Settings
from studies.spec import StudySpec

from .places import Check


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return Settings(None, home, home / "data")


@pytest.fixture
def checked(settings: Settings) -> Check:
    """Check `tests.check.mistakes:NAME`, or any other objective, with keys of a study file."""

    def check_one(name: str, seconds: float = 300.0, memory_bytes: float | None = None, **keys: Any) -> Result:
        objective = name if "." in name else f"tests.check.mistakes:{name}"
        spec: dict[str, Any] = {
            "name": "checked",
            "objective": objective,
            "dataset": "blobs",
            "metric": "accuracy",
            "direction": "maximize",
            "n_trials": 10,
            "max_epochs": 3,
        }
        return check(StudySpec.model_validate(spec | keys), settings, seconds=seconds, memory_bytes=memory_bytes)

    return check_one
