"""Prepared data on disk: whole whenever it is there, made once however many processes ask.

A preparation is written to a temporary sibling and renamed. A file lock, which the kernel releases however a
process ends, makes one process prepare and the others wait; whatever temporary the holder of the lock finds
was left by a dead one. Locks stay behind as empty hidden files: removing one would race with a process about
to take it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from objectives._contract import DataError, NotPrepared, Progress, opening_only

MANIFEST = "manifest.json"
REMEMBERED = "sources.json"
HASH_CHUNK_BYTES = 1 << 22
QUICK_BYTES = 1 << 24  # so much is hashed at once even by who only looks
# A file changed this recently may change again within one tick of its clock, so its hash is not remembered
# yet.
SETTLED_NS = 2_000_000_000


def fingerprint(value: Any) -> str:
    """The sha256 of plain data, the same for the same data whatever its dicts' order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path, cache: Path, progress: Progress) -> str:
    """The sha256 of a file's bytes, remembered in `cache` by path, size and times, so that it is read once.

    Raises DataError when the file cannot be read or changes meanwhile.
    """
    try:
        before = _state(path)
        memory = _read_json(cache / REMEMBERED)
        known = memory.get(str(path.absolute()))
        if isinstance(known, list) and len(known) == 4 and known[:3] == before:
            return str(known[3])
        if opening_only.get() and before[0] > QUICK_BYTES:
            raise NotPrepared
        started_ns = time.time_ns()
        digest = _hash(path, before[0], progress)
        if _state(path) != before:
            raise DataError(f"{path} changed while it was read; wait until it is written and start again")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    if started_ns - max(before[1:]) > SETTLED_NS:
        with suppress(OSError):  # a cache that cannot be written still serves what is in it
            _remember(cache, str(path.absolute()), [*before, digest])
    return digest


def files_sha256(files: Mapping[str, Path], cache: Path, progress: Progress) -> str:
    """One sha256 over the names and bytes of many files, remembered in `cache` while no file's size or times change.

    files: the name that counts -> where the file is. Raises DataError when one cannot be read.
    """
    names = sorted(files)
    path = Path()
    try:
        states: dict[str, tuple[str, list[int]]] = {}
        for name in names:
            path = files[name]
            states[name] = (str(path.absolute()), _state(path))
        key = f"files {fingerprint(states)}"
        known = _read_json(cache / REMEMBERED).get(key)
        if isinstance(known, str):
            return known
        if opening_only.get() and sum(state[0] for _, state in states.values()) > QUICK_BYTES:
            raise NotPrepared
        started_ns, newest_ns, digests = time.time_ns(), 0, {}
        for place, name in enumerate(names):
            path = files[name]
            newest_ns = max(newest_ns, *_state(path)[1:])
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            progress("fingerprinting files", place / len(names))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path") from error
    digest = fingerprint(digests)
    if started_ns - newest_ns > SETTLED_NS:
        with suppress(OSError):
            _remember(cache, key, digest)
    return digest


def prepared(cache: Path, name: str, build: Callable[[Path], None], progress: Progress) -> Path:
    """The directory `cache/name`, made by `build(temporary directory)` if it is not there.

    `build` writes its files into the directory it is given and leaves none open. On return each is on the
    disk, and MANIFEST beside them lists their sizes. Raises DataError when the cache cannot be written, and
    whatever `build` raises; neither leaves anything but a lock behind.
    """
    place = cache / name
    if is_whole(place):
        return place
    if opening_only.get():
        raise NotPrepared
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{name}.lock", progress):
            if is_whole(place):
                return place
            _sweep(cache)
            temporary = cache / f".{name}.tmp"
            try:
                _remove(temporary)
                _remove(place)  # there but damaged: a file was removed or cut by hand
                temporary.mkdir()
                build(temporary)
                _settle(temporary)
                temporary.rename(place)
                _sync(cache)
            finally:
                _remove(temporary)
    except OSError as error:
        where = error.filename or cache
        raise DataError(
            f"the cache {cache} cannot be written ({where}: {error.strerror or error}); "
            "free space there or choose another"
        ) from error
    return place


def is_whole(place: Path) -> bool:
    """Whether every file that the directory's manifest lists is there with its size."""
    sizes = _read_json(place / MANIFEST).get("files")
    if not isinstance(sizes, dict):
        return False
    try:
        return all((place / name).stat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON, in ASCII: a path or a category may hold what UTF-8 cannot."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="ascii")


def _settle(directory: Path) -> None:
    """Add the files' sizes to the manifest and put everything on the disk."""
    files = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    manifest = directory / MANIFEST
    write_json(manifest, {**_read_json(manifest), "files": {path.name: path.stat().st_size for path in files}})
    for path in [*files, manifest, directory]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
    """Remove temporaries that killed preparations of anything left behind; one in progress holds its lock."""
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


def _state(path: Path) -> list[int]:
    """Size and times of a file. The time of its last change of any kind cannot be set back, unlike the
    other."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _hash(path: Path, n_bytes: int, progress: Progress) -> str:
    digest, behind = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
            behind += len(chunk)
            progress(f"fingerprinting {path.name}", min(1.0, behind / max(1, n_bytes)))
    return digest.hexdigest()


def _remember(cache: Path, key: str, value: list[Any] | str) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{REMEMBERED}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        memory = _read_json(cache / REMEMBERED)
        memory[key] = value
        written = cache / f".{REMEMBERED}.new"
        write_json(written, memory)
        _sync(written)
        written.replace(cache / REMEMBERED)
        fcntl.flock(lock, fcntl.LOCK_UN)


def _read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty when there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
