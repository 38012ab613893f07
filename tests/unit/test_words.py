"""Plain English: words that a reader would look up are in no text that people read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = r"\b(mend(s|ed|ing)?|for want of|leaves with \d|left with exit|shall|whoever|thereby|wherein)\b"
ODD = re.compile(WORDS, re.IGNORECASE)
READ = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "studies").rglob("*.py"),
    *(ROOT / "studies").rglob("*.yaml"),
    *(ROOT / "objectives").rglob("*.py"),
]


def test_the_words_would_be_found() -> None:
    assert ODD.search("It leaves with 1 for want of a file; mend it.")


@pytest.mark.parametrize("path", READ, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_is_plain_english(path: Path) -> None:
    found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if ODD.search(line)]
    assert not found
