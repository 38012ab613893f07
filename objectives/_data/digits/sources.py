"""The data sets of digits: their names, their licences, where their files are, and which digit is the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from objectives._contract import DataError, Download, Origin
from objectives._data.digits.readers import FORMS, N_DIGITS, has_digits
from objectives._data.kit.arrow import is_arrow, parts_of
from objectives._data.kit.content import IDX_MAGIC, NPZ, first_of, foreign
from objectives._data.kit.picture_files import pictures_in
from objectives._data.kit.sources import SAMPLES, own_path, tables_in, tables_of_roles

DEFAULT_TARGET = 5

PICTURES = "pictures/"  # what the keys of picture files begin with
SAMPLE = SAMPLES / "mnist_5k.csv.gz"
IDX_FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}

DATASETS: Mapping[str, str] = {
    "mnist-5k": f"500 images of each digit, is it a {DEFAULT_TARGET}?; ships with the package.",
    "mnist": f"MNIST's 60,000 and 10,000 images, is it a {DEFAULT_TARGET}?; in the data directory, below mnist.",
    **{
        f"{name}:{digit}": f"The images of {name}, is it a {digit}?"
        for name in ("mnist-5k", "mnist")
        for digit in range(N_DIGITS)
    },
}
# The addresses and checksums are torchvision's.
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
RIGHTS = "CC BY-SA 3.0 (not confirmed); LeCun, Cortes and Burges"
DOWNLOADS = [
    Download(f"mnist/{name}.gz", [f"{mirror}{name}.gz" for mirror in MIRRORS], md5) for name, md5 in MD5.items()
]
ORIGINS: Mapping[str, Origin] = {
    name: Origin(RIGHTS, [] if name.startswith("mnist-5k") else DOWNLOADS) for name in DATASETS
}


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`. Raises DataError when one is missing."""
    return [part for file in locate(target_of(dataset)[0], data).values() for part in parts_of(file)]


def target_of(dataset: str) -> tuple[str, int]:
    """The data set without its target, and the target. Raises DataError for a target that is not a digit."""
    name, colon, digit = dataset.rpartition(":")
    if not colon or Path(dataset).exists():
        return dataset, DEFAULT_TARGET
    if len(digit) != 1 or digit not in "0123456789":
        raise DataError(f"the data set {dataset!r} names the target {digit!r}; expected a digit, as in {name}:3")
    return name, int(digit)


def locate(name: str, data: Path) -> dict[str, Path]:
    """The files of a data set: a table under "", or one for each of ROLES, an .npz under NPZ, or those of IDX_FILES;
    or picture files, under PICTURES and their names.
    """
    if name == "mnist-5k":
        return {"": SAMPLE}
    if name != "mnist":
        path = own_path(name, ("mnist-5k:3", "mnist:3"))
        if path.is_file():
            return _own_file(path)
        if pictures := pictures_in(path):
            return {f"{PICTURES}{'/'.join(one.parts[-3:])}": one for one in pictures}
        if tables_in(path) or parts_of(path):
            return tables_of_roles(path, has_digits)
        return _idx_files(path, f"{path} does not hold MNIST:")
    return _idx_files(data / "mnist", "the data set mnist is not there:")


def _own_file(path: Path) -> dict[str, Path]:
    first = first_of(path)
    if first.startswith(IDX_MAGIC):
        return _idx_files(path.parent, f"{path} is one of MNIST's four files, and the others are not beside it:")
    kind = foreign(first)
    if kind == NPZ:
        return {NPZ: path}
    if pictures := pictures_in(path):
        return {f"{PICTURES}{one.name}": one for one in pictures}
    if kind and not is_arrow(first):
        raise DataError(f"{path} is {kind}; expected {FORMS}")
    return {"": path}


def _idx_files(place: Path, problem: str) -> dict[str, Path]:
    found = {}
    for part, name in IDX_FILES.items():
        dotted = name.replace("-idx", ".idx")
        spellings = (name, dotted, name.replace("t10k", "test"))  # as they come, and as some archives spell them
        # torchvision.datasets.MNIST(root=place) puts them two directories down, an archive each in one of its name.
        places = (place, place / "raw", place / "MNIST" / "raw", place / name, place / dotted)
        for path in (below / f"{one}{end}" for below in places for one in spellings for end in ("", ".gz")):
            if path.is_file():
                found[part] = path
                break
        else:
            raise DataError(
                f"{problem} put {', '.join(f'{each}.gz' for each in IDX_FILES.values())} into {place} "
                f"({name} is missing), or let torchvision.datasets.MNIST({str(place)!r}, download=True) do so"
            )
    return found
