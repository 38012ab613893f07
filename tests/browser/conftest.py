"""Fixtures: a tab of a browser, and a dashboard that is served."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..dashboards import dashboard, open_house, storage  # noqa: F401
from .driven import Tab, chromium


@pytest.fixture
def tab() -> Iterator[Tab]:
    # Processes of the browser write for a moment longer than itself.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium(Path(profile)) as tab:
        yield tab
