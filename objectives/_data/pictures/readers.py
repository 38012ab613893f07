"""The forms of files with labelled pictures, each read as a stream of (pixels, class, role).

A picture is uint8 (SIDE, SIDE, 3); one of another size is cut to its central square and scaled. The role is one of
ROLES, or "" if the source does not say. What cannot be used raises DataError with the file and the row.
"""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from objectives._contract import DataError
from objectives._data.kit.lines import shown
from objectives._data.kit.npz import pairs_of, read_arrays
from objectives._data.kit.packed import ADDED
from objectives._data.kit.pixels import as_bytes
from objectives._data.kit.sources import listed, role_in
from objectives._data.kit.split import ROLE_NAMES, ROLES
from objectives._data.pictures import shapes
from objectives._data.pictures.decode import SIDE, SUFFIXES, Pixels, decoded, fitted, is_shown, looks_otherwise

AS_SEEN = " as seen"
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_BATCHES = {**{f"data_batch_{number}": "train" for number in range(1, 6)}, "test_batch": "test"}
BINARY = ".bin"  # what the files of CIFAR-10's binary version end in
CIFAR_TRAIN = 50_000  # pictures before the test batch, in the original order
IMAGE_COLUMNS = ("jpeg", "png", "image", "img", "bytes")
CLASS_COLUMNS = ("label_name", "class", "category", "label", "labels", "fine_label")

LabelledPictures = Iterator[tuple[Pixels, str, str]]


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


def read_parquet(files: Sequence[Path], notices: Counter[str]) -> LabelledPictures:
    """The pictures in parquet: a column of JPEG or PNG files, a column of classes, perhaps a column `split`.

    Of several files, the names may say the role, as on the Hugging Face hub: train-00000-of-00001.parquet.
    """
    for path in files:
        for pixels, label, role in _read_parquet(path, notices):
            yield pixels, label, role or (role_in(path.name.lower()) if len(files) > 1 else "")


def _read_parquet(path: Path, notices: Counter[str]) -> LabelledPictures:
    import pyarrow.parquet  # slow to import, and only needed here
    from pyarrow.lib import ArrowException

    try:
        table = pyarrow.parquet.ParquetFile(path)
        names = table.schema_arrow.names
        image = _column(path, names, IMAGE_COLUMNS, "pictures")
        label = _column(path, names, CLASS_COLUMNS, "classes")
        wanted = [image, label, *(["split"] if "split" in names else [])]
        row = 0
        for batch in table.iter_batches(batch_size=1024, columns=wanted):
            for record in batch.to_pylist():
                row += 1
                yield _parquet_row(f"{path}, row {row}", record, image, label, notices)
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} is truncated or not a parquet file; get it again") from error


def read_directory(files: Sequence[Path], notices: Counter[str]) -> LabelledPictures:
    """The pictures of a tree: CLASS/NAME.png, or ROLE/CLASS/NAME.png with the roles train, val and test."""
    given = len({path.parents[1] for path in files}) > 1  # a single one, such as train, may be where the classes are
    for path in files:
        role = ROLE_NAMES.get(path.parents[1].name.lower(), "") if given else ""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
        yield decoded(str(path), io.BytesIO(content), notices=notices), path.parent.name, role


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


def directory_files(root: Path) -> list[Path]:
    """The picture files of a tree that read_directory reads, sorted.

    Raises DataError when there are none, and for pictures that are not where the others say that they should be.
    """
    loose, in_classes, deeper = (
        sorted(path for path in root.glob("/".join("*" * depth)) if is_shown(path, root)) for depth in (1, 2, 3)
    )
    strange = [path for path in deeper if path.parents[1].name.lower() not in ROLE_NAMES]
    if deeper and not strange:
        _require_train(root, deeper)
        found, misplaced, form = deeper, loose + in_classes, "ROLE/CLASS/NAME.png with the roles train, val and test"
    elif in_classes:
        found, misplaced, form = in_classes, loose + deeper, "CLASS/NAME.png"
    elif strange:
        raise DataError(
            f"{strange[0]} is in a directory {strange[0].parents[1].name!r} of classes; expected train, val or test, "
            f"or name {strange[0].parents[1]} if its directories are the classes"
        )
    else:
        raise _no_classes(root)
    if misplaced:
        first = listed([str(path.relative_to(root)) for path in misplaced])
        raise DataError(f"{root} has pictures elsewhere than in {form} ({first}); move or remove them")
    if found is in_classes and all(path.parent.name.lower() in ROLE_NAMES for path in found):
        raise DataError(f"{found[0]} has a role and no class; expected {found[0].parent / 'CLASS' / found[0].name}")
    _require_pictures({path.parent for path in found})
    return found


def _require_pictures(classes: set[Path]) -> None:
    """Raise DataError for a directory beside those of classes that has no picture: it would be a class less."""
    for place in sorted({one.parent for one in classes}):
        for one in sorted(place.iterdir()):
            if one.is_dir() and one not in classes and not one.name.startswith(".") and one.name not in ADDED:
                raise DataError(
                    f"{one} is beside the classes and holds no picture that is read; expected some ({SUFFIXES[0]}, "
                    f"{SUFFIXES[1]} and the like): add them, or remove the directory"
                )


def _no_classes(root: Path) -> DataError:
    deeper = next((path for path in sorted(root.glob("*/*/*/**/*")) if is_shown(path, root)), None)
    todo = "expected CLASS/NAME.png, or train/CLASS/NAME.png and test/..."
    if deeper is None:
        return DataError(f"{root} holds no pictures in directories; {todo}")
    above = deeper.parents[1]
    place = above.parent if above.name.lower() in ROLE_NAMES else above
    return DataError(f"{root} holds pictures too far below it, such as {deeper}; {todo}: name {place}")


def _require_train(root: Path, files: Sequence[Path]) -> None:
    roles = sorted({path.parents[1].name for path in files})
    if "train" not in (ROLE_NAMES[name.lower()] for name in roles):
        raise DataError(f"{root} has pictures in {' and '.join(roles)} alone; expected some in train, too")


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


def _column(path: Path, names: Sequence[str], known: Sequence[str], what: str) -> str:
    for name in known:
        if name in names:
            return name
    raise DataError(f"{path} has no column of {what}, only {', '.join(names)}; expected one of {', '.join(known)}")


def _content(cell: Any) -> Any:
    return cell.get("bytes") if isinstance(cell, dict) else cell  # as the Hugging Face hub stores a picture


def decoded_as_seen(path: Path) -> str:
    """The mark of a file with a picture that older programs decoded to other pixels; see kit.hashes."""
    if path.suffix.lower() != ".parquet":
        return AS_SEEN if looks_otherwise(path.read_bytes()) else ""
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        table = pyarrow.parquet.ParquetFile(path)
        image = _column(path, table.schema_arrow.names, IMAGE_COLUMNS, "pictures")
        for batch in table.iter_batches(batch_size=1024, columns=[image]):
            contents = map(_content, batch.column(0).to_pylist())
            if any(isinstance(content, bytes) and looks_otherwise(content) for content in contents):
                return AS_SEEN
    except (ArrowException, DataError):  # reading will say
        pass
    return ""


def _parquet_row(
    where: str, record: dict[str, Any], image: str, label: str, notices: Counter[str]
) -> tuple[Pixels, str, str]:
    content, role = _content(record[image]), record.get("split") or ""
    if not isinstance(content, bytes):
        raise DataError(f"{where}: {image!r} is {shown(content)}; expected the bytes of a JPEG or PNG file")
    if record[label] is None:
        raise DataError(f"{where}: {label!r} is missing; fill it in or remove the row")
    if role not in ("", *ROLE_NAMES):
        raise DataError(f"{where}: the split is {shown(role)}; expected one of {', '.join(ROLES)}")
    return decoded(where, io.BytesIO(content), notices=notices), str(record[label]), ROLE_NAMES.get(role, "")
