"""`studies --help` is quick because it loads nothing heavy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import studies.cli

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


def test_only_what_is_no_sentence_is_printed_as_it_is() -> None:
    """A study's own names and values may hold what a terminal obeys: `say` prints them without."""
    found = {
        (file.stem, call)
        for file in Path(*studies.cli.__path__).glob("*.py")
        for call in re.findall(r"typer\.echo\((\w*)", file.read_text(encoding="utf-8"))
        if file.stem != "__init__"
    }
    assert found == {("options", "clean"), ("results", "content"), ("storage", "unit"), ("trials", "shown")}
