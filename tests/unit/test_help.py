"""`studies --help` is quick because it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "torch",
    "optuna",
    "pandas",
    "numpy",
    "plotly",
    "matplotlib",
    "pyarrow",
    "sqlalchemy",
    "pydantic",
    "rich",
    "studies.notebook",
)


def test_help_loads_nothing_heavy() -> None:
    code = f"""
import sys
from studies.cli import main
sys.argv = ["studies", "--help"]
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "report" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
