"""Fixtures of a dashboard that is served, and Optuna's own storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from optuna.storages import RDBStorage

from ..dashboards import dashboard, open_house, storage  # noqa: F401


@pytest.fixture
def rdb(database_url: str) -> Iterator[RDBStorage]:
    """Optuna's own storage on the same tables."""
    theirs = RDBStorage(database_url)
    yield theirs
    theirs.remove_session()
    theirs.engine.dispose()
