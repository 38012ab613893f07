"""Where raw data lie: the samples that ship with the package, and files that a user names by their path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from objectives._contract import DataError
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.json_rows import JSON_SUFFIXES
from objectives._data.kit.packed import name_within
from objectives._data.kit.split import ROLE_NAMES, ROLES

SAMPLES = Path(__file__).parents[2] / "samples"
N_LISTED = 5
TABLES = (".csv", ".tsv", ".parquet", ".feather", *JSON_SUFFIXES)
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


def own_table(dataset: str, known: Iterable[str]) -> Path:
    """The table that a user named in place of a data set: a file, or a directory of Parquet files.

    Raises DataError when it is not there.
    """
    path = own_path(dataset, known)
    if not parts_of(path):
        raise DataError(f"{path} is a directory; expected a file, or a directory of .parquet: name the file in it")
    return path


def tables_in(place: Path) -> dict[str, list[Path]]:
    """The tables in a directory by the role that a word in their names tells, such as mnist_train.csv; "" for none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(place.iterdir()):
        name, dot, end = name_within(path).partition(".")
        if path.is_file() and name and f".{end}".endswith(TABLES):
            found.setdefault(role_in(f"{name}{dot}{end}"), []).append(path)
    return found


def role_in(name: str) -> str:
    """The role that a word in a file's name tells, such as mnist_train.csv; "" for none or several."""
    roles = {ROLE_NAMES[word] for word in re.split(r"[._\s-]", name) if word in ROLE_NAMES}
    return roles.pop() if len(roles) == 1 else ""


def tables_of_roles(place: Path, has_answers: Callable[[Path], bool]) -> dict[str, Path]:
    """The tables in a directory: one for each role, by their names, or one alone under "".

    A directory that has nothing but parts in Parquet is one table itself.
    has_answers: whether a table says what is to be learnt; one to test on that does not, as in a competition, has no
    say. Raises DataError for one to validate on that does not, for a directory without a table, or with several of
    which none is to train on.
    """
    found = tables_in(place)
    if "train" not in found:
        every = [path for paths in found.values() for path in paths]
        parts = parts_of(place)
        if len(every) == 1:
            return {"": every[0]}
        if parts and len(parts) >= len(every):
            return {"": place}
        n = f"several tables ({listed([path.name for path in every])})" if every else "no table"
        raise DataError(f"{place} holds {n}; expected one, or train.csv, validation.csv and test.csv: name a file")
    chosen = {}
    for role in ROLES:
        paths = [path for path in found.get(role, ()) if role == "train" or has_answers(path)]
        if role == "validation" and (silent := [path for path in found.get(role, ()) if path not in paths]):
            raise DataError(
                f"{silent[0]} does not say what is to be learnt; give it the header of "
                f"{found['train'][0].name}, or name that file, to split it"
            )
        if len(paths) > 1:
            names = listed([path.name for path in paths])
            raise DataError(f"{place} has several tables for {role} ({names}); keep one of them")
        if paths:
            chosen[role] = paths[0]
    return chosen if len(chosen) > 1 else {"": chosen["train"]}


def _absent(dataset: str, known: Iterable[str]) -> DataError:
    beside = [path.name for path in Path(dataset).parent.glob("*")] if "/" in dataset or "." in dataset else []
    if beside := get_close_matches(Path(dataset).name, beside, n=2):
        return DataError(f"there is no file {dataset!r}; did you mean {' or '.join(beside)}?")
    return DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(known)}")
