"""Images of handwritten digits, for telling one digit from the rest; prepared once into memory-mapped arrays.

digits = load_digits("mnist-5k:3", data, cache)
digits.train.pixels[0], digits.train.is_target[0]
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data.digits.data import DigitPictures, Digits
from objectives._data.digits.readers import (
    LabelledDigits,
    read_csv,
    read_npz,
    read_otherwise,
    read_pair,
    read_pictures,
    require_each_digit,
)
from objectives._data.digits.sources import PICTURES, locate, target_of
from objectives._data.digits.split import HELD_OUT, SPLIT_SEED, split
from objectives._data.kit import npz
from objectives._data.kit.content import NPZ
from objectives._data.kit.hashes import fingerprint
from objectives._data.kit.preparation import ArrayDirectory, Hashes, prepare_arrays
from objectives._data.kit.split import ROLES

SplitDigits = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]  # pixels, digits, roles
MARKS = {"": read_otherwise, "train": read_otherwise, NPZ: npz.only_0_and_1}
PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays


def load_digits(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Digits:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a CSV file of 784 pixels and the digit on each line, or to a directory of
    MNIST's four files; `:digit` after either names the target. data: the directory of full data sets. cache: where
    prepared ones are kept. Raises DataError.
    """
    name, target = target_of(dataset)
    files = locate(name, data)
    are_pictures = next(iter(files)).startswith(PICTURES)
    options = {"preparer": f"mnist {PREPARER_VERSION}", "seed": SPLIT_SEED, "held_out": HELD_OUT}

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        notices = Counter[str]()
        pixels, digits, roles = _read(files, progress, notices)
        for number, role in enumerate(ROLES):
            np.save(directory / f"{role}.pixels.npy", pixels[roles == number])
            np.save(directory / f"{role}.digits.npy", digits[roles == number])
        return {"sources": hashes, **({"notices": notices} if notices else {})}

    arrays = prepare_arrays(
        "mnist",
        files,
        cache,
        progress,
        about={"name": name},
        identity=lambda hashes: {"sources": hashes, **options},
        build=build,
        hash_as_one=are_pictures,
        mark=MARKS.get(next(iter(files))),
    )
    return _open(dataset, target, arrays)


def _read(files: Mapping[str, Path], progress: Progress, notices: Counter[str]) -> SplitDigits:
    """Pixels (n, 784), digits (n,) and roles (n,) of all images."""
    if "" in files:
        pixels, digits = read_csv(files[""], progress, notices)
        return pixels, digits, split(digits, ROLES)
    if NPZ in files:
        return _with_roles(files[NPZ], read_npz(files[NPZ], notices))
    if next(iter(files)).startswith(PICTURES):
        return _with_roles(Path(os.path.commonpath(files.values())), read_pictures(list(files.values()), notices))
    if "train" in files:
        tables = {role: read_csv(path, progress, notices, each=role == "train") for role, path in files.items()}
        return _with_roles(files["train"], tables)
    train, test = (read_pair(files[f"{role} images"], files[f"{role} labels"], progress) for role in ("train", "test"))
    return _with_test(train, test)


def _with_test(train: LabelledDigits, test: LabelledDigits) -> SplitDigits:
    """Images that came as train and test images; validation images are from the train ones."""
    pixels, digits = (np.concatenate(parts) for parts in zip(train, test, strict=True))
    tests = np.full(len(test[1]), ROLES.index("test"), np.uint8)
    return pixels, digits, np.concatenate([split(train[1], ROLES[:2]), tests])


def _with_roles(path: Path, found: dict[str, LabelledDigits]) -> SplitDigits:
    """The images of an .npz or of tables; validation images that there are are split anew, as those of MNIST are."""
    parts = [found[role] for role in ("", "train", "validation") if role in found]
    train = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    require_each_digit(path, train[1])
    if "test" in found:
        return _with_test((train[0], train[1]), found["test"])
    return train[0], train[1], split(train[1], ROLES)


def _open(name: str, target: int, arrays: ArrayDirectory) -> Digits:
    roles = {}
    for role in ROLES:
        # Copy on write: all workers share the pages, and torch wraps them without a warning.
        pixels, digits = arrays.array(f"{role}.pixels", "c"), np.asarray(arrays.array(f"{role}.digits"))
        roles[role] = DigitPictures(pixels, digits == target)
    summary = {role: len(images) for role, images in roles.items()}
    summary |= {f"{role}_targets": int(images.is_target.sum()) for role, images in roles.items()}
    summary |= arrays.manifest.get("notices", {})
    for role in ROLES[:2]:
        if summary[f"{role}_targets"] in (0, summary[role]):
            raise DataError(
                f"{name} has {summary[f'{role}_targets']} images of a {target} among {summary[role]} {role} images, so "
                "there is nothing to tell apart; choose another target, such as :3 at the end, or add images"
            )
    sha256 = fingerprint({"images": arrays.sha256, "target": target})
    return Digits(name, sha256, summary, target, directory=arrays.path, **roles)
