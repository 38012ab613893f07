"""Which files a program leaves in its directory: one that every run writes anew is shared by all trials."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

N_FILES = 20_000  # looked at, those of the upper directories first
ADDED_TO = (".log", ".db", ".sqlite", ".sqlite3", "-wal", "-journal")  # by several at a time, which is no mistake

Files = Mapping[str, tuple[int, int]]


def files_below(directory: Path, but: Path) -> Files:
    """Return when each file was changed and its size, by its path in the directory.

    What is hidden or compiled is left out, and what is below `but`.
    """
    found: dict[str, tuple[int, int]] = {}
    todo = deque([directory])
    while todo and len(found) < N_FILES:
        with suppress(OSError), os.scandir(todo.popleft()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__" or Path(entry.path) == but:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))
                elif not entry.name.endswith(ADDED_TO):
                    status = entry.stat()
                    found[os.path.relpath(entry.path, directory)] = (status.st_mtime_ns, status.st_size)
    return found


def changed(before: Files, after: Files) -> list[str]:
    """Return the paths of the files that were written in between."""
    return sorted(path for path in after if after[path] != before.get(path))
