"""`studies --help` is quick because it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

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

import pytest
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


@pytest.mark.parametrize("words", [[], ["storage"], ["data"], ["dashboard", "user"]])
def test_every_command_is_in_the_list_with_a_whole_sentence(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = subprocess.run(
        [sys.executable, "-m", "studies", *words, "--help"], capture_output=True, text=True, check=True
    )
    assert "Commands:" in done.stdout
    assert [line for line in done.stdout.partition("Commands:")[2].splitlines() if line.endswith("...")] == []
