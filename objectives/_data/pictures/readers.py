"""The forms of files with labelled pictures, each read as a stream of (pixels, class, role).

A picture is uint8 (SIDE, SIDE, 3); one of another size is cut to its central square and scaled. The role is one of
ROLES, or "" if the source does not say. What cannot be used raises DataError with the file and the row.
"""

from __future__ import annotations

import gzip
import pickle
import tarfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from objectives._contract import DataError
from objectives._data.kit.decode import SIDE, Pixels, fitted
from objectives._data.kit.npz import pairs_of, read_arrays
from objectives._data.kit.picture_files import LabelledPictures, read_directory, read_parquet
from objectives._data.kit.pixels import as_bytes
from objectives._data.pictures import shapes

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_BATCHES = {**{f"data_batch_{number}": "train" for number in range(1, 6)}, "test_batch": "test"}
BINARY = ".bin"  # what the files of CIFAR-10's binary version end in
CIFAR_TRAIN = 50_000  # pictures before the test batch, in the original order


def read_cifar(files: Sequence[Path], notices: Counter[str]) -> LabelledPictures:
    """The pictures of CIFAR-10's python or binary version: its archive, or the six batches unpacked from it."""
    for path in files:
        if is_batch(path.name):
            with path.open("rb") as file:
                yield from _cifar_batch(path, path.name, file)
        else:
            yield from _cifar_archive(path)


def read_npz(files: Sequence[Path], notices: Counter[str]) -> LabelledPictures:
    """The pictures of an .npz, (n, height, width, 3), torch's (n, 3, height, width) or grey, and their classes, (n,).

    They are x and y, images and labels or the like, or x_train, y_train, x_test and y_test. `global_index`, if there,
    has their places in the original CIFAR-10; from CIFAR_TRAIN on they are test pictures.
    """
    (path,) = files
    arrays = read_arrays(path)
    pairs = pairs_of(path, arrays)
    index = arrays.get("global_index")
    if index is not None and ("" not in pairs or index.shape != pairs[""][1].shape):
        raise DataError(f"{path} holds global_index {index.shape}; expected one per picture")
    for role, (x, labels) in pairs.items():
        for row, (pixels, label) in enumerate(zip(_in_colour(path, x, notices), labels, strict=True)):
            original = "" if index is None else ("train" if index[row] < CIFAR_TRAIN else "test")
            yield fitted(pixels), str(label), role or original


def _in_colour(path: Path, x: Any, notices: Counter[str]) -> Pixels:
    """An array of pictures as uint8 (n, height, width, 3)."""
    if x.ndim == 4 and x.shape[3] not in (1, 3) and x.shape[1] in (1, 3):  # as torch has them
        x = np.moveaxis(x, 1, 3)
    grey = x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 1)
    if not grey and (x.ndim != 4 or x.shape[3] != 3):
        raise DataError(
            f"{path} holds pictures {x.dtype} {x.shape}; expected uint8 (n, height, width, 3) or (n, height, width)"
        )
    pixels = as_bytes(x, str(path), notices)
    return np.repeat(pixels.reshape(*pixels.shape[:3], 1), 3, axis=3) if grey else pixels


def read_shapes(files: Sequence[Path], notices: Counter[str]) -> LabelledPictures:
    """The synthetic pictures: 1,000 of each class to train on and 200 to test on."""
    for stream, (role, n_of_class) in enumerate((("train", 1000), ("test", 200))):
        pictures, labels = shapes.draw(n_of_class, stream)
        for pixels, label in zip(pictures, labels, strict=True):
            yield pixels, shapes.CLASSES[label], role


READERS: dict[str, Callable[[Sequence[Path], Counter[str]], LabelledPictures]] = {
    "cifar": read_cifar,
    "npz": read_npz,
    "parquet": read_parquet,
    "directory": read_directory,
    "shapes": read_shapes,
}


def _cifar_archive(path: Path) -> LabelledPictures:
    found = set()
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if is_batch(name) else None
                if file is not None:
                    found.add(name.removesuffix(BINARY))
                    yield from _cifar_batch(path, name, file)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is truncated or not a .tar.gz file; get it again") from error
    absent = sorted(set(CIFAR_BATCHES) - found)
    if absent:
        raise DataError(f"{path} holds no {absent[0]}; expected CIFAR-10: get it again, or unpack another archive")


def is_batch(name: str) -> bool:
    """Whether a file is called as one of CIFAR-10's batches, of the python or the binary version."""
    return name.removesuffix(BINARY) in CIFAR_BATCHES


class _ArraysOnly(pickle.Unpickler):
    """Unpickles lists, dicts, strings and numpy arrays: a pickle can otherwise run any program."""

    def find_class(self, module: str, name: str) -> Any:
        """See pickle.Unpickler."""
        if (module.replace("numpy.core", "numpy._core"), name) == ("numpy._core.multiarray", "_reconstruct"):
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")


def _cifar_batch(path: Path, name: str, file: IO[bytes]) -> LabelledPictures:
    data, labels = (_binary if name.endswith(BINARY) else _pickled)(path, name, file)
    pictures = np.ascontiguousarray(data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
    for pixels, label in zip(pictures, labels, strict=True):
        yield pixels, CIFAR_CLASSES[label], CIFAR_BATCHES[name.removesuffix(BINARY)]


def _binary(path: Path, name: str, file: IO[bytes]) -> tuple[Any, list[int]]:
    """Pixels (n, 3072) and labels of a batch in which each row is a byte of the label and those of the pixels."""
    content = np.frombuffer(file.read(), np.uint8)
    n_bytes = 1 + 3 * SIDE * SIDE
    if not len(content) or len(content) % n_bytes or content[::n_bytes].max() >= len(CIFAR_CLASSES):
        raise DataError(f"{path}, {name}: not a batch of CIFAR-10's binary version; get it again")
    rows = content.reshape(-1, n_bytes)
    return rows[:, 1:], rows[:, 0].tolist()


def _pickled(path: Path, name: str, file: IO[bytes]) -> tuple[Any, list[int]]:
    """Pixels (n, 3072) and labels of a batch of the python version."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, about the age of the pickle
            batch = _ArraysOnly(file, encoding="latin1").load()
        data, labels = np.asarray(batch["data"]), list(batch["labels"])
        if data.shape != (len(labels), 3 * SIDE * SIDE) or data.dtype != np.uint8:
            raise DataError(f"{path}, {name}: data {data.dtype} {data.shape}; expected uint8 (n, {3 * SIDE * SIDE})")
        if not set(labels) <= set(range(len(CIFAR_CLASSES))):
            raise IndexError("labels beyond 9")
    except DataError:
        raise
    # A damaged pickle raises almost anything.
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise DataError(f"{path}, {name}: not a batch of CIFAR-10's python version ({error}); get it again") from error
    return data, labels
