"""What a worker's process does with memory that is free again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import psutil, numpy
from studies.run.allocation import keep_freed_memory
if {keeps}:
    keep_freed_memory()
arrays = [numpy.ones(2**20) for _ in range(20)]  # 8 MiB each
process = psutil.Process()
before = process.memory_info().rss
arrays.clear()
print((before - process.memory_info().rss) >> 20)
"""


@pytest.mark.parametrize(
    ("keeps", "variables", "given_back"),
    [(True, {}, False), (False, {}, True), (True, {"MALLOC_ARENA_MAX": "8"}, True)],
)
def test_it_is_kept_unless_somebody_decided_otherwise(keeps: bool, variables: dict[str, str], given_back: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    command = [sys.executable, "-c", CODE.format(keeps=keeps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 100) is given_back
