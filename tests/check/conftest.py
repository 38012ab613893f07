"""Checking an objective by its name, as `studies check` does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from studies.check import Result, check
from studies.settings import Settings
from studies.spec import StudySpec

Check: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return Settings(None, home, home / "data")


@pytest.fixture
def checked(settings: Settings) -> Check:
    """Check `tests.check.mistakes:NAME`, or any other objective, with keys of a study file."""

    def check_one(name: str, seconds: float = 30.0, memory_bytes: float | None = None, **keys: Any) -> Result:
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


def place_of(mark: str, owner: str, file: str = "tests/check/mistakes.py") -> str | None:
    """Return file:line of the mark `# <- ...` below the definition of `owner`, if there is one."""
    inside = False
    for number, line in enumerate(Path(file).read_text().split("\n"), start=1):
        if line.startswith(("class ", "def ")) or line.startswith("# "):
            inside = line.startswith((f"class {owner}(", f"def {owner}("))
        marks = line.partition("# <- ")[2].split()
        if f"{owner}:{mark}" in marks or (inside and mark in marks):
            return f"{file}:{number}"
    return None
