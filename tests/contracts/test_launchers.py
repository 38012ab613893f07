"""Every launcher passes the suite. One that needs more than this machine has a class and fixtures of its own."""

from __future__ import annotations

import pytest

from studies.registry import LAUNCHERS
from studies.testing import LauncherSuite


@pytest.mark.parametrize("name", LAUNCHERS)
class TestLaunchers(LauncherSuite):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.launcher = name
