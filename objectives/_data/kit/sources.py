"""Where raw data lie: the samples that ship with the package, and files that a user names by their path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from objectives._contract import DataError

SAMPLES = Path(__file__).parents[2] / "samples"
OWN_FILE = "a file of the user's own"  # the rights to a file that is no known data set


def own_path(dataset: str, known: Iterable[str]) -> Path:
    """The file or directory that a user named in place of a data set. Raises DataError when it is not there."""
    path = Path(dataset).expanduser()
    if not path.exists():
        raise _absent(dataset, known)
    return path


def own_file(dataset: str, known: Iterable[str]) -> Path:
    """The file, not a directory, that a user named in place of a data set. Raises DataError when it is not there."""
    path = Path(dataset).expanduser()
    if not path.is_file():
        raise _absent(dataset, known)
    return path


def _absent(dataset: str, known: Iterable[str]) -> DataError:
    return DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(known)}")
