"""Small files that must not be half there: JSON, and bytes that have reached the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON, in ASCII: a path or a category may hold what UTF-8 cannot."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when the file is missing, damaged or holds something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def sync(path: Path) -> None:
    """Return once a file or a directory is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
