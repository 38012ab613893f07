"""What is skipped is not tested, and nobody would notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.skip(reason="no NVIDIA GPU here")
def test_on_a_gpu():
    pass

@pytest.mark.skip(reason="too slow")
def test_marked():
    pass

def test_in_the_middle():
    pytest.skip("no network here")
"""


def test_what_is_skipped_fails_unless_it_needs_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rA", f"--rootdir={tmp_path}", tmp_path]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert "1 failed, 1 skipped, 1 error" in said  # what is marked never begins
    assert "too slow; only what needs a GPU may be skipped" in said
    assert "no network here; only what needs a GPU may be skipped" in said
