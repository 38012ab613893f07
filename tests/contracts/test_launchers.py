"""Every launcher passes the suite. A backend that needs more than this machine has a class of its own elsewhere."""

from __future__ import annotations

from studies.testing import LauncherSuite


class TestLocal(LauncherSuite):
    launcher = "local"
