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

MODULES = {
    "test_on_gpus.py": 'import pytest; pytest.skip("no NVIDIA GPU here", allow_module_level=True)',
    "test_module.py": 'import pytest; pytest.skip("no cluster here", allow_module_level=True)',
    "test_imports.py": 'import pytest; pytest.importorskip("nowhere_at_all")',
}


def test_what_is_skipped_fails_unless_it_needs_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "test_skips.py").write_text(TESTS)
    said = said_of(tmp_path)
    assert "1 failed, 1 skipped, 1 error" in said  # what is marked never begins
    assert "too slow; only what needs a GPU may be skipped" in said
    assert "no network here; only what needs a GPU may be skipped" in said


def test_a_module_that_is_skipped_fails_unless_it_needs_a_gpu(tmp_path: Path) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    said = said_of(tmp_path)
    assert "1 skipped, 2 errors" in said
    assert "no cluster here; only what needs a GPU may be skipped" in said
    assert "'nowhere_at_all'" in said


def said_of(directory: Path) -> str:
    """Return what pytest says of the tests in a directory, by the rules of this one's."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rA", f"--rootdir={directory}", directory]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
