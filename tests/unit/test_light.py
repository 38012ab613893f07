"""What is slow to import is imported by nobody who does not need it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT = "from tests.reports import make_study; from studies.report.page import render; render(make_study(60), 'html')"
STORE = (
    "from pathlib import Path; from studies.settings import Settings; from studies.artifacts import artifact_store;"
    "home = Path('nowhere'); artifact_store(Settings(None, home, home)).sizes()"
)


@pytest.mark.parametrize(
    ("code", "slow"),
    [
        (REPORT, {"boto3", "pandas", "scipy", "sklearn", "torch"}),
        ("import studies.run.worker", {"boto3", "pandas", "sklearn", "torch"}),
        (STORE, {"boto3", "optuna.artifacts"}),
    ],
)
def test_it_is_not_imported(code: str, slow: set[str]) -> None:
    shown = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert slow.isdisjoint(done.stdout.split())


def test_standard_streams_that_are_closed_are_nobody_elses() -> None:
    """Otherwise the next file or connection takes the number of stdout, and is printed into; a child's likewise."""
    shown = "import os, sys; print(*(os.readlink(f'/proc/self/fd/{number}') for number in (0, 1)), file=sys.stderr)"
    code = (
        "import os, sys; from studies.cli import _open_what_is_closed; _open_what_is_closed(); print('lost');"
        f"os.execv(sys.executable, [sys.executable, '-c', {shown!r}])"
    )
    closed = ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", code]
    done = subprocess.run(closed, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "/dev/null /dev/null\n")
