"""Where the mistakes are, and the type of the fixture that checks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from studies.check import Result

Check: TypeAlias = Callable[..., Result]
FILE = "tests/check/mistakes.py"


def place_of(mark: str, owner: str) -> str:
    """Return file:line of the mark `# <- ...` below the definition of `owner`, or of `# <- owner:...` anywhere."""
    inside = False
    for number, line in enumerate(Path(FILE).read_text().split("\n"), start=1):
        if line.startswith(("class ", "def ")) or line.startswith("# "):
            inside = line.startswith((f"class {owner}(", f"def {owner}("))
        marks = line.partition("# <- ")[2].split()
        if f"{owner}:{mark}" in marks or (inside and mark in marks):
            return f"{FILE}:{number}"
    raise LookupError(f"no line of {FILE} is marked for {mark} of {owner}")
