"""Put the site's pages together in `build/docs`: those of `docs/`, the front page, and the reference from the code.

`make docs` runs it, then builds the site strictly: a link that leads nowhere fails.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import reference

ROOT = Path(__file__).resolve().parent.parent
DOCS, BUILD = ROOT / "docs", ROOT / "build"
SITE = BUILD / "docs"
PICTURE = "benchmarks/results/meli-cnn-curves.png"


def main() -> None:
    """Write every page; what was there before is gone."""
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(DOCS, SITE, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__", ".cache"))
    shutil.copy(DOCS / "zensical.toml", BUILD)
    shutil.copy(ROOT / PICTURE, SITE / "assets")
    for source, page in (("README.md", "index.md"), ("CONTRIBUTING.md", "contributing.md")):
        (SITE / page).write_text(_moved((ROOT / source).read_text(encoding="utf-8")), encoding="utf-8")
    (SITE / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), encoding="utf-8")
    (SITE / "reference").mkdir()
    for name, render in reference.PAGES.items():
        (SITE / "reference" / f"{name}.md").write_text(render(), encoding="utf-8")


def _moved(text: str) -> str:
    """Return a page of the repository's root as a page of the site: its links, as they lead from there."""
    text = text.replace(f"({PICTURE})", f"(assets/{Path(PICTURE).name})")
    text = text.replace("(CONTRIBUTING.md", "(contributing.md").replace("(CHANGELOG.md", "(changelog.md")
    return re.sub(r"\]\(docs/", "](", text)


if __name__ == "__main__":
    main()
