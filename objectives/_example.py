"""What the tiny data of the examples share: a file of rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> str:
    """Write rows as a CSV file; return its path as a study file has it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return str(path)
