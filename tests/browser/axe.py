"""axe-core in a page: what somebody who sees, hears or moves in another way could not use."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from .driven import Tab

MADE = Path(__file__).parents[2] / "build" / "axe"
SCRIPT = Path("axe_playwright_python", "axe.min.js")
# Rules that are no standard yet are asked about, too; of what it finds, this much fails.
OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
BAD = ("serious", "critical")


def script() -> str:
    """Return axe-core, which comes in the wheel of axe-playwright-python; of that, only the script is used."""
    found = importlib.util.find_spec(SCRIPT.parts[0])
    places = [MADE, *(Path(place).parent for place in (found.submodule_search_locations or () if found else ()))]
    file = next((place / SCRIPT for place in places if (place / SCRIPT).exists()), None)
    assert file, "pages are checked with axe-core; type: make build/axe/installed"
    return file.read_text(encoding="utf-8")


def violations(tab: Tab) -> list[str]:
    """Return what is serious or critical on the page that is open: the rule, and the elements that break it."""
    if not tab.run("typeof axe === 'object'"):
        tab.run(script() + "; 0")
    found = tab.run(f"axe.run(document, {json.dumps(OPTIONS)}).then(found => found.violations)")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: " + " | ".join(node["html"][:200] for node in one["nodes"])
        for one in found
        if one["impact"] in BAD
    ]
