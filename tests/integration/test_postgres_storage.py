"""PostgresStorage against Optuna's own suite, against RDBStorage, and under concurrency, on real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from studies.storage.postgres import PostgresStorage


@pytest.fixture
def storage(database_url: str) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(database_url, wait_s=5)
    yield storage
    storage.remove_session()


class TestOptunaSuite(StorageTestCase):
    """Optuna's behaviour suite, unchanged."""
