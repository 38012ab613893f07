"""The data sets of pictures: their names, their licences, and where their files are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from objectives._contract import DataError, Download, Origin
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.content import TAR, first_of, foreign
from objectives._data.kit.decode import is_shown
from objectives._data.kit.picture_files import directory_files
from objectives._data.kit.sources import own_path, with_options
from objectives._data.pictures.readers import BINARY, CIFAR_BATCHES, is_batch

DATASETS: Mapping[str, str] = {
    "cifar10-shapes": "12,000 synthetic pictures of ten kinds of figure, drawn here: nothing to download.",
    "cifar10": "CIFAR-10, 60,000 photographs of ten kinds of thing (A. Krizhevsky, 2009), as torchvision downloads it.",
}
OPTIONS = ("drop_classes_below",)
BATCHES, BINARY_BATCHES = "cifar-10-batches-py", "cifar-10-batches-bin"
CIFAR_RIGHTS = "CIFAR-10, A. Krizhevsky, 2009; no licence is stated"
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
class PictureSource:
    """Where pictures are: the reader's name in readers.READERS, the files to read, licence and attribution.

    dataset, options: as they were typed.
    """

    form: str
    files: Sequence[Path]
    rights: str = "files of the user's own"
    dataset: str = ""
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What a message calls it."""
        if self.form == "directory":
            return os.path.commonpath(self.files)
        return str(self.files[0]) if self.files else self.form


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`, none when it is drawn. Raises DataError."""
    return locate(dataset, data).files


def locate(dataset: str, data: Path) -> PictureSource:
    """Return where `dataset` is. Raises DataError that says which file to put where when it is missing."""
    dataset, options = with_options(dataset, OPTIONS)
    return replace(_located(dataset, data), dataset=dataset, options=options)


def _located(dataset: str, data: Path) -> PictureSource:
    if dataset == "cifar10-shapes":
        return PictureSource("shapes", (), "synthetic, drawn by this program; free of rights")
    if dataset == "cifar10":
        return PictureSource("cifar", _cifar_files(data / "cifar10"), CIFAR_RIGHTS)
    path = own_path(dataset, DATASETS)
    if path.is_dir():
        return _directory(path)
    if is_batch(path.name):
        return PictureSource("cifar", _batches(path.parent, Path(path.name).suffix))
    form = path.suffix.lower().removeprefix(".")
    if path.name.endswith(".tar.gz") or foreign(first_of(path)) == TAR:
        return PictureSource("cifar", (path,))
    if form not in ("parquet", "npz"):
        kind = foreign(first_of(path)) or "not a known form of pictures"
        raise DataError(f"{path} is {kind}; expected a directory, a .parquet, an .npz or {BATCHES}")
    return PictureSource(form, (path,))


def _directory(path: Path) -> PictureSource:
    for place in (path, path / BATCHES, path / BINARY_BATCHES):
        for end in ("", BINARY):
            if (place / f"data_batch_1{end}").is_file():
                return PictureSource("cifar", _batches(place, end))
    parts = parts_of(path)
    if parts and not any(is_shown(below, path) for below in path.rglob("*")):
        return PictureSource("parquet", parts)
    return PictureSource("directory", directory_files(path))


def _batches(place: Path, end: str) -> Sequence[Path]:
    files = [place / f"{name}{end}" for name in CIFAR_BATCHES]
    absent = next((path.name for path in files if not path.is_file()), None)
    if absent:
        raise DataError(f"{place} has no {absent}; expected the six batches of CIFAR-10")
    return files


def _cifar_files(place: Path) -> Sequence[Path]:
    """CIFAR-10 as torchvision.datasets.CIFAR10(root=place) leaves it: unpacked, and the archive beside it."""
    unpacked = [place / BATCHES / name for name in CIFAR_BATCHES]
    if all(path.is_file() for path in unpacked):
        return unpacked
    archive = place / "cifar-10-python.tar.gz"
    if not archive.is_file():
        raise DataError(f"the data set cifar10 is not there: put {archive.name} ({CIFAR_ADDRESS}) into {place}")
    return (archive,)
