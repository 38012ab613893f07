"""Every block of every page runs, in order, in a fresh directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import PAGES, PLAIN, blocks, run

RUNNABLE = [
    page
    for page in PAGES
    if page.name != "README.md" and any(b.skipped is None and b.language not in PLAIN for b in blocks(page))
]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_every_block_runs(page: Path) -> None:
    run(page)


def test_most_pages_have_something_to_run() -> None:
    assert len(RUNNABLE) >= 10
