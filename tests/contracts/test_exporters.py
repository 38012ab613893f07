"""Every exporter passes the suite."""

from __future__ import annotations

import pytest

from studies.registry import EXPORTERS
from studies.testing import ExporterSuite


@pytest.mark.parametrize("name", EXPORTERS)
class TestExporters(ExporterSuite):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.exporter = name
