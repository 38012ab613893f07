"""The data sets of pictures: their names, their licences, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives._contract import DataError, Download, Origin
from objectives._data.kit.sources import own_path
from objectives._data.pictures.readers import CIFAR_BATCHES, directory_files

DATASETS: Mapping[str, str] = {
    "cifar10-shapes": "12,000 synthetic pictures of ten kinds of figure, drawn here: nothing to download.",
    "cifar10": "CIFAR-10, 60,000 photographs of ten kinds of thing (A. Krizhevsky, 2009), as torchvision downloads it.",
}
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
    """Where pictures are: the reader's name in readers.READERS, the files to read, licence and attribution."""

    form: str
    files: Sequence[Path]
    rights: str = "files of the user's own"

    @property
    def place(self) -> str:
        """What a message calls it."""
        return str(self.files[0]) if self.files else self.form


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`, none when it is drawn. Raises DataError."""
    return locate(dataset, data).files


def locate(dataset: str, data: Path) -> PictureSource:
    """Return where `dataset` is. Raises DataError that says which file to put where when it is missing."""
    if dataset == "cifar10-shapes":
        return PictureSource("shapes", (), "synthetic, drawn by this program; free of rights")
    if dataset == "cifar10":
        return PictureSource("cifar", _cifar_files(data / "cifar10"), CIFAR_RIGHTS)
    path = own_path(dataset, DATASETS)
    if path.is_dir():
        return PictureSource("directory", directory_files(path))
    form = path.suffix.lower().removeprefix(".")
    if form not in ("parquet", "npz"):
        raise DataError(f"{path} is not a known form of pictures; expected a directory, a .parquet or an .npz")
    return PictureSource(form, (path,))


def _cifar_files(place: Path) -> Sequence[Path]:
    """CIFAR-10 as torchvision.datasets.CIFAR10(root=place) leaves it: unpacked, and the archive beside it."""
    unpacked = [place / "cifar-10-batches-py" / name for name in CIFAR_BATCHES]
    if all(path.is_file() for path in unpacked):
        return unpacked
    archive = place / "cifar-10-python.tar.gz"
    if not archive.is_file():
        raise DataError(f"the data set cifar10 is not there: put {archive.name} ({CIFAR_ADDRESS}) into {place}")
    return (archive,)
