"""Labelled pictures as uint8 arrays: decoded once on a machine, then memory-mapped by every process.

    found = load_pictures("cifar10", data, cache)
    found.train.pixels[0]  # (32, 32, 3)

Validation pictures are carved from the train pictures, the same share of each class; if the source has no test
pictures, these are carved first. Equal pictures stay together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data.kit.decode import SIDE
from objectives._data.kit.disk import write_array, write_json
from objectives._data.kit.hashes import fingerprint
from objectives._data.kit.lines import plural
from objectives._data.kit.npz import only_0_and_1
from objectives._data.kit.picture_files import decoded_as_seen
from objectives._data.kit.preparation import Hashes, prepare_arrays
from objectives._data.kit.sources import listed
from objectives._data.kit.split import ROLES, carve, content_key
from objectives._data.pictures.data import PictureRows, PictureSet
from objectives._data.pictures.readers import READERS
from objectives._data.pictures.shapes import DRAWING_VERSION
from objectives._data.pictures.sources import PictureSource, locate

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
MARKS = {"directory": decoded_as_seen, "parquet": decoded_as_seen, "npz": only_0_and_1}
HELD_OUT = 0.1  # of each class, for validation; again for test if the source has none
VERBS = {"train": "train", "validation": "validate", "test": "test"}  # what is done on the rows of a role
SAVE_ROWS = 8192


def load_pictures(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> PictureSet:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a directory of class directories, a parquet, or an .npz (see readers).
    data: the directory of full data sets. cache: where prepared ones are kept. Raises DataError.
    """
    source = locate(dataset, data)
    options = {
        "preparer": f"images {PREPARER_VERSION}",
        "form": source.form,
        "side": SIDE,
        "held_out": HELD_OUT,
        "split": "by content in each class",
        **source.options,
    }

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        return {"counts": _build(source, directory, progress), "options": options, "rights": source.rights}

    arrays = prepare_arrays(
        "images",
        _keyed(source),
        cache,
        progress,
        about={"name": dataset},
        identity=lambda hashes: {"content": _content(source, hashes), "options": options},
        build=build,
        hash_as_one=source.form == "directory",
        mark=MARKS.get(source.form),
    )
    train, validation, test = (
        PictureRows(*(arrays.array(f"{role}.{part}", "c") for part in ("pixels", "labels"))) for role in ROLES
    )
    counts, classes = arrays.manifest["counts"], arrays.json("classes")
    return PictureSet(dataset, arrays.sha256, counts, train, validation, test, classes, arrays.path)


def _keyed(source: PictureSource) -> dict[str, Path]:
    """The files under keys: in a tree ROLE/CLASS/NAME, for the name of the directory above must not matter."""
    if source.form == "directory":
        return {"/".join(path.parts[-3:]): path for path in source.files}
    return {str(place): path for place, path in enumerate(source.files)}


def _content(source: PictureSource, hashes: Hashes) -> str:
    """One hash of everything that decides the pictures' bytes and names."""
    if source.form == "shapes":
        return f"drawing {DRAWING_VERSION}"
    if source.form == "parquet" and len(source.files) > 1:  # their names may say the roles
        return fingerprint([[path.name, sha256] for path, sha256 in zip(source.files, hashes.values(), strict=True)])
    return hashes[""] if source.form == "directory" else fingerprint(list(hashes.values()))


def _build(source: PictureSource, directory: Path, progress: Progress) -> dict[str, int]:
    """Write all arrays of `source` into `directory`; return the counts worth showing."""
    spool = directory / "spool"
    notices = Counter[str]()
    names, given, keys = _decode(source, spool, progress, notices)
    kept = _kept_rows(source, np.array(names), keys, notices)
    classes = _sorted({names[row] for row in kept})
    if len(classes) < 2:
        found = f"only one class, {classes[0]!r}" if classes else "no class of that size"
        raise DataError(f"{source.place} has {found}; expected 2 or more to tell apart: add pictures of another")
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[names[row]] for row in kept], dtype=np.int64)
    keys, given = keys[kept], given[kept]
    roles = _roles(keys, labels, given)
    _check_classes(source, classes, labels, roles, given, keys)
    pictures = np.memmap(spool, np.uint8, "r", shape=(len(names), SIDE, SIDE, 3))
    counts = {"rows": len(kept)}
    for place, role in enumerate(ROLES):
        progress("writing the arrays", place / len(ROLES))
        rows = np.flatnonzero(roles == role)
        counts[role] = len(rows)
        np.save(directory / f"{role}.labels.npy", labels[rows])
        parts = (pictures[kept[rows[begin : begin + SAVE_ROWS]]] for begin in range(0, len(rows), SAVE_ROWS))
        write_array(directory / f"{role}.pixels.npy", np.uint8, [len(rows), SIDE, SIDE, 3], parts)
    spool.unlink()
    write_json(directory / "classes.json", classes)
    repeated = int(np.count_nonzero(np.isin(keys[roles != "train"], keys[roles == "train"])))
    return counts | {"classes": len(classes), "scored_pictures_also_in_train": repeated, **notices}


def _decode(
    source: PictureSource, spool: Path, progress: Progress, notices: Counter[str]
) -> tuple[list[str], NDArray[np.str_], NDArray[np.uint64]]:
    """Write all pixels to `spool`; return each picture's class, the role it was given or "", and its content_key."""
    names, given, keys = [], [], []
    with spool.open("wb") as file:
        for pixels, name, role in READERS[source.form](source.files, notices):
            content = pixels.tobytes()
            file.write(content)
            names.append(name)
            given.append(role)
            keys.append(content_key(content))
            if len(names) % 1000 == 1:  # how many there are is known only for a directory
                progress("decoding pictures", len(names) / len(source.files) if source.form == "directory" else 0.0)
    if not names:
        raise DataError(f"{source.place} holds no pictures; expected some of each class")
    return names, np.array(given), np.array(keys, dtype=np.uint64)


def _kept_rows(
    source: PictureSource, names: NDArray[np.str_], keys: NDArray[np.uint64], notices: Counter[str]
) -> NDArray[np.int64]:
    """The pictures of classes that are large enough for the option drop_classes_below, in different pictures."""
    least = source.options.get("drop_classes_below", 0)
    small = [name for name in set(names.tolist()) if least and len(np.unique(keys[names == name])) < least]
    kept = np.flatnonzero(~np.isin(names, small))
    if least:
        notices["classes_left_out"], notices["pictures_left_out"] = len(small), len(names) - len(kept)
    return kept


def _check_classes(
    source: PictureSource,
    classes: list[str],
    labels: NDArray[np.int64],
    roles: NDArray[np.str_],
    given: NDArray[np.str_],
    keys: NDArray[np.uint64],
) -> None:
    """Raise DataError for the classes that have no picture in some role."""
    # A source's own test pictures may lack a class; what is carved may not.
    needed = [role for role in ROLES if role != "test" or "test" not in given]
    absent = [
        f"{name!r} has none to {VERBS[role]} on"
        for index, name in enumerate(classes)
        for role in needed
        if role in given and role not in given[labels == index]
    ]
    if absent:
        raise DataError(
            f"{source.place} splits the pictures itself, and {listed(absent)}; add some, or remove such classes"
        )
    small = [index for index in range(len(classes)) if not set(needed) <= set(roles[labels == index].tolist())]
    if not small:
        return
    sizes, have = [], "has" if len(small) == 1 else "have"
    for index in small:
        own = keys[labels == index]
        sizes.append(f"{classes[index]!r} has {plural(len(own), 'picture')}, {len(np.unique(own))} of them different")
    raise DataError(
        f"{source.place}: {len(small)} of {len(classes)} classes {have} too few to train, validate and test on "
        f"({listed(sizes)}); give each at least 3 different ones that no other class has, or leave such classes out "
        f"with {source.dataset}:drop_classes_below=3"
    )


def _roles(keys: NDArray[np.uint64], labels: NDArray[np.int64], given: NDArray[np.str_]) -> NDArray[np.str_]:
    """Each picture's role, shape (n,): the one given, if any; roles that no picture was given are carved from train."""
    roles = np.where(given == "", "train", given).astype("<U10")
    for role in ("test", "validation"):
        if role not in given:
            rows = np.flatnonzero(roles == "train")
            roles[rows[carve(keys[rows], labels[rows], HELD_OUT)]] = role
    return roles


def _sorted(names: set[str]) -> list[str]:
    """By number where all are numbers, else by the alphabet."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
