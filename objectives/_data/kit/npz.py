"""Labelled pictures in an .npz, under the names that people give them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError
from objectives._data.kit.lines import plural

PICTURES = ("x", "images", "image", "data", "pixels")
LABELS = ("y", "labels", "label", "targets", "target")
ROLES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
ONLY_0_AND_1 = " 0 and 1"  # see kit.hashes.Mark
EXPECTED = "x and y, images and labels, or x_train, y_train, x_test and y_test"

Arrays = Mapping[str, NDArray[Any]]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz, by their names in lower case. Raises DataError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name.lower(): arrays[name] for name in arrays}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise DataError(f"{path} holds Python objects; expected arrays of numbers: {EXPECTED}") from error
        raise DataError(f"{path} is truncated or not an .npz file; get it again") from error


def pairs_of(path: Path, arrays: Arrays) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """The pictures (n, ...) and their labels (n,) of each role, or of all under "". Raises DataError."""
    pairs = {}
    for role, spellings in {"": ("",), **ROLES}.items():
        x, y = (_found(arrays, names, spellings) for names in (PICTURES, LABELS))
        if x and y:
            pairs[role] = arrays[x], _labels(path, y, arrays[y], len(arrays[x]))
        elif x or y:
            kind, names = ("labels", LABELS) if x else ("pictures", PICTURES)
            missing = " or ".join(repr(f"{name}_{role}" if role else name) for name in names[:2])
            raise DataError(f"{path} has {x or y!r} and no array {missing} of its {kind}; expected {EXPECTED}")
    if not pairs or not {"", "train"} & set(pairs):
        raise DataError(f"{path} holds the arrays {', '.join(arrays) or 'none'}; expected {EXPECTED}")
    return pairs


def only_0_and_1(path: Path) -> str:
    """The mark of a file with pictures of whole numbers 0 and 1, which older programs read as nearly black."""
    try:
        pictures = [x for x, _ in pairs_of(path, read_arrays(path)).values() if np.issubdtype(x.dtype, np.integer)]
    except DataError:  # reading will say
        return ""
    return ONLY_0_AND_1 if any(x.max(initial=0) == 1 for x in pictures) else ""


def _found(arrays: Arrays, names: tuple[str, ...], spellings: tuple[str, ...]) -> str:
    """The first of the names that is there: with its role before or after it, unless that is ""."""
    for name in names:
        for role in spellings:
            for form in (f"{name}_{role}", f"{role}_{name}") if role else (name,):
                if form in arrays:
                    return form
    return ""


def _labels(path: Path, name: str, labels: NDArray[Any], n: int) -> NDArray[Any]:
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 2 and labels.shape[1] > 1 and _is_one_hot(labels):
        flat = labels.argmax(axis=1)
    if flat.shape != (n,):
        raise DataError(f"{path} holds {name} {labels.shape} beside {plural(n, 'picture')}; expected one label each")
    if flat.dtype.kind == "S":  # bytes are shown as b'a'
        flat = np.char.decode(flat, "utf-8", "replace")
    if flat.dtype.kind == "f" and np.isnan(flat).any():
        raise DataError(f"{path}, row {np.isnan(flat).argmax() + 1} of {name} is NaN; fill it in or remove the picture")
    return flat


def _is_one_hot(labels: NDArray[Any]) -> bool:
    """Whether each row (n, n_classes) is a 1 among zeros."""
    return labels.dtype.kind in "biuf" and bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())
