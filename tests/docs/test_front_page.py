"""The README does what it says, and stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, blocks, run

README = ROOT / "README.md"


def test_every_block_of_the_readme_runs() -> None:
    run(README)


def test_a_study_of_ones_own_is_in_the_first_two_screens() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text) < 6000
    assert text[:3000].count("```python") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        place = (page.parent / target).resolve()
        assert place.exists() or "reference" in place.parts, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_not_run_says_why(page: Path) -> None:
    reasons = [block.skipped for block in blocks(page) if block.skipped is not None]
    assert all(len(reason.split()) >= 3 for reason in reasons)
