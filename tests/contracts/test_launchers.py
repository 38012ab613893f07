"""Every launcher passes the suite. One that needs more than this machine has it elsewhere, with fixtures of its own."""

from __future__ import annotations

import pytest

from studies.registry import LAUNCHERS
from studies.testing import LauncherSuite

ELSEWHERE = {name: f"tests/{name}" for name in ("slurm", "ssh", "kubernetes", "ray")}


@pytest.mark.parametrize("name", [name for name in LAUNCHERS if name not in ELSEWHERE])
class TestLaunchers(LauncherSuite):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.launcher = name
