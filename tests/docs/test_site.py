"""The site builds without a warning, every page is in it, and nothing in it asks another host."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .pages import ROOT

ATTRIBUTES = re.compile(r"<(?:script|link|img|iframe|source|style)[^>]+?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the pages in `docs` and the site in `site`."""
    directory = tmp_path_factory.mktemp("build")
    strictly = ["-m", "zensical", "build", "--strict", "--clean", "--config-file", str(directory / "zensical.toml")]
    for command in ([str(ROOT / "docs" / "build.py"), str(directory)], strictly):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return directory


def listed(entries: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        for value in entry.values():
            found += listed(value) if isinstance(value, list) else [value]
    return found


def test_the_navigation_has_every_page(build: Path) -> None:
    navigation = listed(tomllib.loads((ROOT / "docs/zensical.toml").read_text())["project"]["nav"])
    pages = {str(page.relative_to(build / "docs")) for page in (build / "docs").rglob("*.md")}
    assert pages == set(navigation)
    for page in navigation:
        assert (build / "site" / page).with_suffix(".html").is_file()


def test_no_page_fetches_anything_from_another_host(build: Path) -> None:
    pages = list((build / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not ATTRIBUTES.findall(page.read_text(encoding="utf-8")), page
    for style in (build / "site").rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8"), style
