"""Images of handwritten digits, for telling one digit from the rest; prepared once into memory-mapped arrays.

    digits = load_mnist("mnist-5k:3", data, cache)
    digits.train.pixels[0], digits.train.is_target[0]

The split is by digit, so that it is the same whichever of them is the target. It is that of Moros's course project:
ceil(20 %) of each digit of the training images validate (12,005 of MNIST's 60,000). MNIST's own 10,000 test images
test; a file without test images gives up another ceil(20 %) of each digit for them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Download, Origin, Progress, silent
from objectives._data._cache import MANIFEST, file_sha256, fingerprint, prepared, write_json
from objectives._data.lines import GZIP_MAGIC, TextLines
from objectives._data.tables import numbers

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
SPLIT_SEED = 2019
ROLES = ("train", "validation", "test")
HELD_OUT = 0.2  # of each digit
N_PIXELS = 28 * 28
N_DIGITS = 10
DEFAULT_TARGET = 5

SAMPLE = Path(__file__).parents[1] / "samples" / "mnist_5k.csv.gz"
IDX_FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}
IDX_UNSIGNED_BYTES = 0x08

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


@dataclass(frozen=True)
class Images:
    """The images of one role. pixels: memory-mapped, uint8 (n, 784), row after row. is_target: bool (n,)."""

    pixels: NDArray[np.uint8]
    is_target: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many images."""
        return len(self.is_target)

    def __add__(self, other: Images) -> Images:
        """These images and then the others, in memory."""
        return Images(np.concatenate([self.pixels, other.pixels]), np.concatenate([self.is_target, other.is_target]))


@dataclass
class Digits:
    """Prepared images; fulfils `Prepared`. summary: images, and targets among them, of each role."""

    name: str
    sha256: str
    summary: Mapping[str, int]
    target: int
    train: Images
    validation: Images
    test: Images
    directory: Path

    def with_validation(self) -> Digits:
        """The same, where the validation images are trained on, too."""
        return replace(self, train=self.train + self.validation)


def load_mnist(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Digits:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a CSV file of 784 pixels and the digit a line, or to a directory of
    MNIST's four files; `:digit` behind either names the target. data: the directory of full data sets. cache: where
    prepared ones are kept. Raises DataError.
    """
    name, target = _target_of(dataset)
    files = _locate(name, data)
    hashes = {part: file_sha256(path, cache, progress) for part, path in files.items()}
    content = fingerprint(
        {"sources": hashes, "preparer": f"mnist {PREPARER_VERSION}", "seed": SPLIT_SEED, "held_out": HELD_OUT}
    )

    def build(directory: Path) -> None:
        if "" in files:
            pixels, digits = _read_csv(files[""], progress)
            roles = split(digits, ROLES)
        else:
            train, test = _read_idx(files, "train"), _read_idx(files, "test")
            pixels, digits = (np.concatenate(parts) for parts in zip(train, test, strict=True))
            roles = np.concatenate([split(train[1], ROLES[:2]), np.full(len(test[1]), ROLES.index("test"), np.uint8)])
        for number, role in enumerate(ROLES):
            np.save(directory / f"{role}.pixels.npy", pixels[roles == number])
            np.save(directory / f"{role}.digits.npy", digits[roles == number])
        write_json(directory / MANIFEST, {"name": name, "sha256": content, "sources": hashes})

    directory = prepared(cache, f"mnist-{content[:32]}", build, progress)
    sha256 = fingerprint({"images": content, "target": target})
    return _open(dataset, sha256, target, directory)


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`. Raises DataError when one is missing."""
    return list(_locate(_target_of(dataset)[0], data).values())


def split(digits: NDArray[np.uint8], roles: tuple[str, ...]) -> NDArray[np.uint8]:
    """The role of each image, an index into `roles`, uint8 (n,): ceil(20 %) of each digit for each but the first.

    digits: (n,). The draw is of images in the file's order, by numpy's frozen generator (NEP 19).
    """
    draw = np.random.RandomState(SPLIT_SEED)
    role_of = np.zeros(len(digits), dtype=np.uint8)
    for digit in range(N_DIGITS):
        own = draw.permutation(np.flatnonzero(digits == digit))
        n_held_out = int(np.ceil(HELD_OUT * len(own)))
        for role in range(1, len(roles)):
            role_of[own[(role - 1) * n_held_out : role * n_held_out]] = role
    return role_of


def _target_of(dataset: str) -> tuple[str, int]:
    name, colon, digit = dataset.rpartition(":")
    if not colon or Path(dataset).exists():
        return dataset, DEFAULT_TARGET
    if len(digit) != 1 or digit not in "0123456789":
        raise DataError(f"the data set {dataset!r} names the target {digit!r}; expected a digit, as in {name}:3")
    return name, int(digit)


def _locate(name: str, data: Path) -> dict[str, Path]:
    """The files: one CSV under the key "", or the keys of IDX_FILES."""
    if name == "mnist-5k":
        return {"": SAMPLE}
    if name != "mnist":
        path = Path(name).expanduser()
        if path.is_file():
            return {"": path}
        if not path.is_dir():
            raise DataError(f"there is no data set or file {name!r}; give a path or one of mnist-5k:3, mnist:3")
        return _idx_files(path, f"{path} holds no MNIST:")
    return _idx_files(data / "mnist", "the data set mnist is not there:")


def _idx_files(place: Path, problem: str) -> dict[str, Path]:
    found = {}
    for part, name in IDX_FILES.items():
        # torchvision.datasets.MNIST(root=place) puts them two directories down.
        for path in (place / f"{name}{end}" for place in (place, place / "MNIST" / "raw") for end in ("", ".gz")):
            if path.is_file():
                found[part] = path
                break
        else:
            raise DataError(
                f"{problem} put {', '.join(f'{each}.gz' for each in IDX_FILES.values())} into {place} "
                f"({name} is missing), or let torchvision.datasets.MNIST({str(place)!r}, download=True) do so"
            )
    return found


def _read_csv(path: Path, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (n, 784) and digits (n,) of a file of 784 pixels and the digit a line, without a header."""
    names = [*(f"pixel {number}" for number in range(N_PIXELS)), "digit"]
    most = dict.fromkeys(names, 255) | {"digit": N_DIGITS - 1}
    parts = []
    with TextLines(path) as file:
        for values in numbers(iter(file), file, names, most):
            parts.append(values.astype(np.uint8))
            progress(f"reading {path.name}", file.fraction)
    table = np.concatenate(parts) if parts else np.empty((0, N_PIXELS + 1), np.uint8)
    n_of_digit = np.bincount(table[:, -1], minlength=N_DIGITS)
    if n_of_digit.min() < len(ROLES):
        raise DataError(
            f"{path} has {n_of_digit.min()} images of a {n_of_digit.argmin()}; expected {len(ROLES)} of each digit or "
            "more, to train, validate and test on"
        )
    return table[:, :-1], table[:, -1]


def read_pixels(lines: TextLines) -> Iterator[NDArray[np.uint8]]:
    """The pixels (784,) of each line of a file without a header; a digit behind them, as to train on, is left out.

    Raises DataError with the line and the pixel of what is wrong, and for a file without any.
    """
    names = [*(f"pixel {number}" for number in range(N_PIXELS)), "digit"]
    most = dict.fromkeys(names, 255)
    found = False
    for line in lines:
        n_columns = N_PIXELS + (line.count(",") == N_PIXELS)
        for values in numbers(iter([line]), lines, names[:n_columns], most, ahead=1):
            found = True
            yield from values[:, :N_PIXELS].astype(np.uint8)
    if not found:
        raise DataError(f"{lines.path} is empty; expected {N_PIXELS} pixels a line")


def read_pictures(path: Path) -> NDArray[np.uint8]:
    """The pixels (n, 784) in an IDX file of images. Raises DataError."""
    pixels = read_idx(path, 3)
    if pixels[0].size != N_PIXELS:
        raise DataError(f"{path} has images of {pixels[0].size} pixels; expected {N_PIXELS}")
    return pixels.reshape(len(pixels), N_PIXELS)


def _read_idx(files: Mapping[str, Path], role: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (n, 784) and digits (n,) of a pair of MNIST's own files."""
    images, labels = files[f"{role} images"], files[f"{role} labels"]
    pixels, digits = read_pictures(images), read_idx(labels, 1)
    if len(pixels) != len(digits):
        raise DataError(f"{labels} has {len(digits)} labels for {len(pixels)} images; get both files again")
    if digits.max() >= N_DIGITS:
        raise DataError(f"{labels}, label {digits.argmax() + 1}: {digits.max()} is no digit; get the file again")
    return pixels, digits


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file, gzip or plain: zero, zero, type, number of dimensions, sizes (big-endian), bytes.

    The format is described at MNIST's own page (LeCun, Cortes and Burges). Raises DataError.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip data is truncated or damaged; get the file again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    n_header = 4 + 4 * n_dimensions
    if content[:4] != bytes([0, 0, IDX_UNSIGNED_BYTES, n_dimensions]) or len(content) < n_header:
        raise DataError(f"{path} is not an IDX file of bytes in {n_dimensions} dimensions; get the file again")
    shape = np.frombuffer(content, ">u4", n_dimensions, offset=4).astype(np.int64)
    if len(content) - n_header != shape.prod() or not shape.all():
        raise DataError(f"{path} has {len(content) - n_header} bytes for {shape.tolist()}; get the file again")
    return np.frombuffer(content, np.uint8, offset=n_header).reshape(shape)


def _open(name: str, sha256: str, target: int, directory: Path) -> Digits:
    roles = {}
    for role in ROLES:
        # Copy on write: the pages are shared by all workers, and torch does not warn about what it may not change.
        pixels = np.load(directory / f"{role}.pixels.npy", mmap_mode="c")
        roles[role] = Images(pixels, np.load(directory / f"{role}.digits.npy") == target)
    summary = {role: len(images) for role, images in roles.items()}
    summary |= {f"{role}_targets": int(images.is_target.sum()) for role, images in roles.items()}
    return Digits(name, sha256, summary, target, directory=directory, **roles)
