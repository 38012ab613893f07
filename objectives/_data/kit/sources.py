"""Where raw data lie: the samples that ship with the package, and files that a user names by their path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from objectives._contract import DataError

SAMPLES = Path(__file__).parents[2] / "samples"
N_LISTED = 5
OWN_FILE = "a file of the user's own"  # the rights to a file that is no known data set


def with_options(dataset: str, known: Sequence[str]) -> tuple[str, dict[str, int]]:
    """The data set without its options, and these: `titles.csv:drop_classes_below=3`; several are divided by commas.

    known: the names of options that are allowed; a value is a whole number, or yes for 1. Raises DataError.
    """
    name, colon, tail = dataset.rpartition(":")
    if not colon or "=" not in tail or Path(dataset).expanduser().exists():
        return dataset, {}
    options = {}
    for part in tail.split(","):
        option, _, value = part.partition("=")
        if option not in known:
            raise DataError(
                f"the data set {dataset!r} has the option {option!r}; known are {', '.join(known) or 'none here'}"
            )
        if value != "yes" and not (value.isascii() and value.isdecimal()):
            raise DataError(f"the data set {dataset!r} has {option} = {value!r}; expected a whole number, or yes")
        options[option] = 1 if value == "yes" else int(value)
    return name, options


def listed(problems: Sequence[str], n: int | None = None) -> str:
    """The first few problems in one line, and how many more there are of n in all. default: all are given."""
    shown = list(problems[:N_LISTED])
    more = (len(problems) if n is None else n) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")


def own_path(dataset: str, known: Iterable[str]) -> Path:
    """The file or directory that a user named in place of a data set. Raises DataError when it is not there."""
    path = Path(dataset).expanduser()
    if not path.exists():
        raise _absent(dataset, known)
    return path


def own_file(dataset: str, known: Iterable[str]) -> Path:
    """The file, not a directory, that a user named in place of a data set. Raises DataError when it is not there."""
    path = own_path(dataset, known)
    if path.is_dir():
        raise DataError(f"{path} is a directory; expected a file: name the one in it")
    return path


def _absent(dataset: str, known: Iterable[str]) -> DataError:
    return DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(known)}")
