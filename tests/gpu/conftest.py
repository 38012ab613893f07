"""Everything here needs an NVIDIA GPU, and nothing else that the other tests do not need."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies.run import nvml

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is here on a machine without a GPU."""
    if not nvml.gpus():
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU here: NVML finds none"))
