"""Labelled pictures as uint8 arrays: decoded once a machine, memory-mapped and shared by every process after that.

    images = load_images("cifar10", data, cache)
    images.train.pixels[0]  # (32, 32, 3)

Validation pictures are carved from the train pictures, in equal share from each class; where the source names no test
pictures, these are carved first. Equal pictures stay together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Download, Origin, Progress, silent
from objectives._data._cache import MANIFEST, file_sha256, files_sha256, fingerprint, prepared, write_json
from objectives._data.carve import ROLES, carve, content_key
from objectives._data.images_readers import CIFAR_BATCHES, READERS, SIDE, directory_files
from objectives._data.shapes import DRAWING_VERSION

__all__ = ["DATASETS", "ORIGINS", "Images", "Rows", "load_images", "raw_files"]

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
HELD_OUT = 0.1  # of each class, for validation; again for test where the source has none
SAVE_ROWS = 8192

DATASETS: Mapping[str, str] = {
    "cifar10-shapes": "12,000 synthetic pictures of ten kinds of figure, drawn here: nothing to download.",
    "cifar10": "CIFAR-10, 60,000 photographs of ten kinds of thing (A. Krizhevsky, 2009), as torchvision downloads it.",
}
CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR_MD5 = "c58f30108f718f92721af3b95e74349a"  # as torchvision has it
ORIGINS: Mapping[str, Origin] = {
    "cifar10-shapes": Origin("free of rights, synthetic"),
    "cifar10": Origin(
        "no licence stated; A. Krizhevsky, University of Toronto",
        [Download("cifar10/cifar-10-python.tar.gz", [CIFAR_ADDRESS], CIFAR_MD5)],
    ),
}


@dataclass(frozen=True)
class Rows:
    """The pictures of one role, memory-mapped: pixels uint8 (n, 32, 32, 3), red green blue; labels int64 (n,).

    Mapped copy-on-write, so that torch may wrap them without a copy; nobody writes them.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.labels)

    def __add__(self, other: Rows) -> Rows:
        """These pictures and then the others, in memory."""
        return Rows(np.concatenate([self.pixels, other.pixels]), np.concatenate([self.labels, other.labels]))


@dataclass
class Images:
    """A prepared data set of pictures; fulfils `Prepared`.

    summary: rows, rows of each role, classes, and how many pictures to score are, pixel for pixel, also trained on (0
    unless the source came with its split). classes: sorted names.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    train: Rows
    validation: Rows
    test: Rows
    classes: list[str]
    directory: Path

    def with_validation(self) -> Images:
        """The same, where the validation pictures are trained on, too."""
        return replace(self, train=self.train + self.validation)


@dataclass(frozen=True)
class Source:
    """Where pictures are: files to read, the reader's name in READERS, licence and attribution."""

    form: str
    files: Sequence[Path]
    rights: str = "files of the user's own"


def load_images(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Images:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a directory of class directories, a parquet, or an .npz (images_readers).
    data: the directory of full data sets. cache: where prepared ones are kept. Raises DataError.
    """
    source = locate(dataset, data)
    content = _content(source, cache, progress)
    options = {
        "preparer": f"images {PREPARER_VERSION}",
        "form": source.form,
        "side": SIDE,
        "held_out": HELD_OUT,
        "split": "by content in each class",
    }
    sha256 = fingerprint({"content": content, "options": options})

    def build(directory: Path) -> None:
        counts = _build(source, directory, progress)
        if _content(source, cache, progress) != content:
            raise DataError(f"{source.files[0]} changed while it was read; wait until it is written and start again")
        manifest = {"name": dataset, "sha256": sha256, "counts": counts, "options": options, "rights": source.rights}
        write_json(directory / MANIFEST, manifest)

    directory = prepared(cache, f"images-{sha256[:32]}", build, progress)
    counts = json.loads((directory / MANIFEST).read_text(encoding="ascii"))["counts"]
    classes = json.loads((directory / "classes.json").read_text(encoding="ascii"))

    def rows(role: str) -> Rows:
        return Rows(*(np.load(directory / f"{role}.{part}.npy", "c") for part in ("pixels", "labels")))

    train, validation, test = map(rows, ROLES)
    return Images(dataset, sha256, counts, train, validation, test, classes, directory)


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`, none when it is drawn. Raises DataError."""
    return locate(dataset, data).files


def locate(dataset: str, data: Path) -> Source:
    """Return where `dataset` is. Raises DataError that says which file to put where when it is missing."""
    if dataset == "cifar10-shapes":
        return Source("shapes", (), "synthetic, drawn by this program; free of rights")
    if dataset == "cifar10":
        return Source("cifar", _cifar_files(data / "cifar10"), "CIFAR-10, A. Krizhevsky, 2009; no licence is stated")
    path = Path(dataset).expanduser()
    if path.is_dir():
        return Source("directory", directory_files(path))
    if not path.exists():
        raise DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(DATASETS)}")
    form = path.suffix.lower().removeprefix(".")
    if form not in ("parquet", "npz"):
        raise DataError(f"{path} is no known form of pictures; expected a directory, a .parquet or an .npz")
    return Source(form, (path,))


def _cifar_files(place: Path) -> Sequence[Path]:
    """CIFAR-10 as torchvision.datasets.CIFAR10(root=place) leaves it: unpacked, and the archive beside it."""
    unpacked = [place / "cifar-10-batches-py" / name for name in CIFAR_BATCHES]
    if all(path.is_file() for path in unpacked):
        return unpacked
    archive = place / "cifar-10-python.tar.gz"
    if not archive.is_file():
        raise DataError(f"the data set cifar10 is not there: put {archive.name} ({CIFAR_ADDRESS}) into {place}")
    return (archive,)


def _content(source: Source, cache: Path, progress: Progress) -> str:
    """What the pictures' bytes and names decide, as one hash."""
    if source.form == "shapes":
        return f"drawing {DRAWING_VERSION}"
    if source.form == "directory":
        # A tree may be given from CLASS or from ROLE up; what lies above its pictures must not matter.
        return files_sha256({"/".join(path.parts[-3:]): path for path in source.files}, cache, progress)
    return fingerprint([file_sha256(path, cache, progress) for path in source.files])


def _build(source: Source, directory: Path, progress: Progress) -> dict[str, int]:
    """Write all arrays of `source` into `directory`; the counts worth showing."""
    spool = directory / "spool"
    names, given, keys = [], [], []
    with spool.open("wb") as file:
        for pixels, name, role in READERS[source.form](source.files):
            content = pixels.tobytes()
            file.write(content)
            names.append(name)
            given.append(role)
            keys.append(content_key(content))
            if len(names) % 1000 == 1:  # how many there are is known beforehand of a directory only
                progress("decoding pictures", len(names) / len(source.files) if source.form == "directory" else 0.0)
    where = source.files[0] if source.files else source.form
    if not names:
        raise DataError(f"{where} holds no pictures; expected some of each class")
    classes = _sorted(set(names))
    number = {name: index for index, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], dtype=np.int64)
    roles = _roles(np.array(keys, dtype=np.uint64), labels, np.array(given))
    for index, name in enumerate(classes):
        absent = next((role for role in ROLES if not np.any(roles[labels == index] == role)), None)
        # A source's own test pictures may lack a class; what is carved may not.
        if absent and (absent != "test" or "test" not in given):
            raise DataError(
                f"{where}: the class {name!r} has {names.count(name)} different pictures or fewer, too few to train, "
                "validate and test on; give it at least 3, or remove it"
            )
    pictures = np.memmap(spool, np.uint8, "r", shape=(len(names), SIDE, SIDE, 3))
    counts = {"rows": len(names)}
    for place, role in enumerate(ROLES):
        progress("writing the arrays", place / len(ROLES))
        rows = np.flatnonzero(roles == role)
        counts[role] = len(rows)
        np.save(directory / f"{role}.labels.npy", labels[rows])
        _save(pictures, rows, directory / f"{role}.pixels.npy")
    spool.unlink()
    write_json(directory / "classes.json", classes)
    trained = np.isin(np.array(keys, dtype=np.uint64), np.array(keys, dtype=np.uint64)[roles == "train"])
    repeated = int(np.count_nonzero(trained & (roles != "train")))
    return counts | {"classes": len(classes), "scored_pictures_also_in_train": repeated}


def _roles(keys: NDArray[np.uint64], labels: NDArray[np.int64], given: NDArray[np.str_]) -> NDArray[np.str_]:
    """Each picture's role, shape (n,): the one given, where one is; the others carved from what is left to train."""
    roles = np.where(given == "", "train", given).astype("<U10")
    for role in ("test", "validation"):
        if role not in given:
            rows = np.flatnonzero(roles == "train")
            roles[rows[carve(keys[rows], labels[rows], HELD_OUT)]] = role
    return roles


def _save(pictures: Any, rows: NDArray[np.int64], path: Path) -> None:
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(rows), SIDE, SIDE, 3))
    for begin in range(0, len(rows), SAVE_ROWS):
        written[begin : begin + SAVE_ROWS] = pictures[rows[begin : begin + SAVE_ROWS]]
    written.flush()


def _sorted(names: set[str]) -> list[str]:
    """By number where all are numbers, else by the alphabet."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)
