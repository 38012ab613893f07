"""Files as they are written: JSON, arrays in parts, and bytes that have reached the disk; one that cannot be read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from objectives._contract import DataError


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file of the user's that the system does not let us read."""
    return DataError(f"{path} cannot be read ({error.strerror}); check the path")


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


def write_array(path: Path, dtype: DTypeLike, shape: Sequence[int], parts: Iterable[NDArray[Any]]) -> None:
    """Write an .npy of this type and shape from its parts, one after another along the first axis.

    Written, not mapped: on a full disk a write fails with an error, a mapped page with a signal that kills.
    """
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": tuple(shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)


def sync(path: Path) -> None:
    """Return once a file or a directory is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
