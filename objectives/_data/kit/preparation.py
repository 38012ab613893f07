"""The steps that every data set takes: hash its raw files, build its arrays once, check that no file changed meanwhile.

arrays = prepare_arrays(
    "titles", {"": path}, cache, progress,
    about={"name": dataset},
    identity=lambda hashes: {"content": hashes[""], "options": options},
    build=lambda directory, hashes: {"counts": write_arrays(path, directory)},
)
labels = arrays.array("train.labels")
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from objectives._contract import Progress
from objectives._data.kit.cache import MANIFEST, prepared
from objectives._data.kit.disk import write_json
from objectives._data.kit.hashes import Mark, changed, files_sha256, fingerprint, hash_of

Hashes = Mapping[str, str]


@dataclass(frozen=True)
class ArrayDirectory:
    """A prepared directory. sha256: of everything that decided its arrays; the directory is named after it."""

    sha256: str
    path: Path

    def json(self, name: str) -> Any:
        """What the file NAME.json holds."""
        return json.loads((self.path / f"{name}.json").read_text(encoding="ascii"))

    @property
    def manifest(self) -> dict[str, Any]:
        """What preparation wrote down about the arrays."""
        manifest: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="ascii"))
        return manifest

    def array(self, name: str, mode: Literal["r", "c"] = "r") -> Any:
        """The array in NAME.npy, memory-mapped: read-only, or with mode "c" copied where somebody writes to it."""
        return np.load(self.path / f"{name}.npy", mmap_mode=mode)


def prepare_arrays(
    kind: str,
    files: Mapping[str, Path],
    cache: Path,
    progress: Progress,
    *,
    about: Mapping[str, Any],
    identity: Callable[[Hashes], Mapping[str, Any]],
    build: Callable[[Path, Hashes], Mapping[str, Any]],
    hash_as_one: bool = False,
    mark: Mark | None = None,
) -> ArrayDirectory:
    """Return the arrays made of `files`, building them if no process has before.

    kind: the first part of the directory's name. files: the raw files, each under a key; none when data are generated.
    A directory of Parquet files counts as one. about: the manifest's first entries. identity(hashes): everything that
    decides the arrays, as plain data; hashes has each file's sha256 under its key. build(directory, hashes): writes the
    arrays and returns the manifest's other entries. hash_as_one: for a tree of many small files, whose keys count:
    hashes has one sha256, under "". mark: what is added to each file's sha256; see kit.hashes.
    Raises DataError when a file cannot be read or changes before the arrays are written, and whatever `build` raises;
    none of these leaves anything half-written.
    """

    def hashed() -> dict[str, str]:
        if hash_as_one:
            return {"": files_sha256(files, cache, progress, mark)}
        return {key: hash_of(path, cache, progress, mark) for key, path in files.items()}

    hashes = hashed()
    sha256 = fingerprint(identity(hashes))

    def build_and_check(directory: Path) -> None:
        noted = build(directory, hashes)
        for key, now in hashed().items():
            if now != hashes[key]:
                raise changed(Path(os.path.commonpath(files.values())) if hash_as_one else files[key])
        write_json(directory / MANIFEST, {**about, "sha256": sha256, **noted})

    return ArrayDirectory(sha256, prepared(cache, f"{kind}-{sha256[:32]}", build_and_check, progress))
