"""Directories in the cache: each is complete whenever it is there, and is made once by however many processes ask.

A directory is written under a temporary name and then renamed. A file lock lets one process write while the others
wait. The kernel releases the lock however a process ends, so a temporary directory whose lock is free was left by a
dead process and is removed. Locks stay behind as empty hidden files: removing one would race with a process that is
about to take it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from objectives._contract import DataError, NotPrepared, Progress, opening_only
from objectives._data.kit.disk import read_object, sync, write_json

MANIFEST = "manifest.json"


def prepared(cache: Path, name: str, build: Callable[[Path], None], progress: Progress) -> Path:
    """The directory `cache/name`, made by `build(temporary directory)` if it is not there.

    `build` writes its files into the directory it is given and leaves none open. On return every file is on the
    disk, and MANIFEST beside them lists their sizes. Raises DataError when the cache cannot be written, and whatever
    `build` raises; both leave nothing but a lock behind.
    """
    place = cache / name
    if is_complete(place):
        return place
    if opening_only.get():
        raise NotPrepared
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{name}.lock", progress):
            if is_complete(place):
                return place
            _sweep(cache)
            temporary = cache / f".{name}.tmp"
            try:
                _remove(temporary)
                _remove(place)  # there but damaged: a file was removed or cut by hand
                temporary.mkdir()
                build(temporary)
                _finish(temporary)
                temporary.rename(place)
                sync(cache)
            finally:
                _remove(temporary)
    except OSError as error:
        where = error.filename or cache
        raise DataError(
            f"the cache {cache} cannot be written ({where}: {error.strerror or error}); "
            "free space there or choose another"
        ) from error
    return place


def is_complete(place: Path) -> bool:
    """Whether every file that the directory's manifest lists is there with its size."""
    sizes = read_object(place / MANIFEST).get("files")
    if not isinstance(sizes, dict):
        return False
    try:
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def _finish(directory: Path) -> None:
    """Add the files' sizes to the manifest and put everything on the disk."""
    files = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    manifest = directory / MANIFEST
    write_json(manifest, {**read_object(manifest), "files": {path.name: path.stat().st_size for path in files}})
    for path in [*files, manifest, directory]:
        sync(path)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process to prepare the data", 0.0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Closing is not enough: a child forked meanwhile holds the same open file.
            fcntl.flock(lock, fcntl.LOCK_UN)


def _sweep(cache: Path) -> None:
    """Remove the temporary directories of processes that were killed; one in progress holds its lock."""
    for temporary in cache.glob(".*.tmp"):
        with suppress(OSError), temporary.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                _remove(temporary)
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
