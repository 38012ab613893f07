"""The launcher's contract, with workers on two other machines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from studies.settings import Settings
from studies.testing import LauncherSuite

from .conftest import Host, Lab


class TestSsh(LauncherSuite):
    launcher: ClassVar[str] = "ssh:gpu1,gpu2"

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, lab: Lab, hosts: tuple[Host, Host]) -> Iterator[Settings]:
        home = Path(tempfile.mkdtemp(prefix="studies-suite-"))
        home.chmod(0o755)
        yield Settings(None, home / "home", home / "data", python=str(lab.python))
        shutil.rmtree(home, ignore_errors=True)

    @pytest.fixture(autouse=True)
    def reached(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(lab.ssh()), prepend=":")
