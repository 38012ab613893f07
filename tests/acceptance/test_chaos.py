"""The short form of `make chaos`: a study is hurt for half a minute, and a checker proves that nothing was lost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


def test_nothing_is_lost() -> None:
    command = [sys.executable, str(CHAOS), "--minutes", "0.5", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    survived = re.match(r"(\d+) faults survived", done.stdout)
    assert survived is not None
    assert int(survived[1]) >= 2
    assert len(re.findall(r"'[^']+': \d+", survived.string.splitlines()[0])) >= 2  # kinds of faults
    assert "lost: 0" in done.stdout
