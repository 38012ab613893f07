"""A file that is the old one or the whole new one, whoever is killed while writing, and after a power cut."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Write a file, whole or not at all. Raises OSError.

    partial: where it is written first, in the same directory, under a name that no other writer has at the time.
    """
    partial = partial or unique(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def unique(path: Path) -> Path:
    """Return a hidden path beside this one that nobody else uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
