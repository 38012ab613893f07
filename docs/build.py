"""Put the site together: `python docs/build.py [DIRECTORY]`, by default `build`, which git ignores.

DIRECTORY/docs has the pages of `docs/`, the front page, and the reference from the code; DIRECTORY/zensical.toml is the
configuration. `make docs` then builds DIRECTORY/site strictly: a link that leads nowhere fails.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parent.parent
PICTURE = "benchmarks/results/products-cnn-curves.png"
NO_PAGES = shutil.ignore_patterns("*.py", "*.toml", "__pycache__")


def main(directory: Path) -> None:
    """Write every page; what was there before is gone."""
    pages = directory / "docs"
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(ROOT / "docs", pages, ignore=NO_PAGES)
    shutil.copy(ROOT / "docs" / "zensical.toml", directory)
    shutil.copy(ROOT / PICTURE, pages / "assets")
    for source, page in (("README.md", "index.md"), ("CONTRIBUTING.md", "contributing.md")):
        (pages / page).write_text(_moved((ROOT / source).read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(ROOT / "CHANGELOG.md", pages / "changelog.md")
    (pages / "reference").mkdir()
    for name, render in reference.PAGES.items():
        (pages / "reference" / f"{name}.md").write_text(render(), encoding="utf-8")


def _moved(text: str) -> str:
    """Return a page of the repository's root as a page of the site: its links, as they lead from there."""
    text = text.replace(f"({PICTURE})", f"(assets/{Path(PICTURE).name})")
    text = text.replace("(CONTRIBUTING.md", "(contributing.md").replace("(CHANGELOG.md", "(changelog.md")
    return re.sub(r"\]\(docs/", "](", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build")
