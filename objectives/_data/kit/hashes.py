"""Hashes of raw files, remembered in the cache so that a large file is read only when it has changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from objectives._contract import DataError, NotPrepared, Progress, opening_only
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.disk import read_object, sync, unreadable, write_json

REMEMBERED = "sources.json"
HASH_CHUNK_BYTES = 1 << 22
QUICK_BYTES = 1 << 24  # files up to this size are hashed even when data are only opened
# A file that changed this recently may change again within one tick of its clock, so its hash is not remembered yet.
SETTLED_NS = 2_000_000_000

# What distinguishes arrays that a newer program makes of a file from those that an older one made; "" where it makes
# the same ones, so that its fingerprint stays.
Mark = Callable[[Path], str]


def fingerprint(value: Any) -> str:
    """The sha256 of plain data; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path, cache: Path, progress: Progress, mark: Mark | None = None) -> str:
    """The sha256 of a file's bytes and its mark, remembered in `cache` by path, size and times.

    Raises DataError when the file cannot be read or changes while it is read.
    """
    try:
        before = _state(path)
        key = _marked(str(path.absolute()), mark)
        known = read_object(cache / REMEMBERED).get(key)
        if isinstance(known, list) and len(known) == 4 and known[:3] == before:
            return str(known[3])
        if opening_only.get() and before[0] > QUICK_BYTES:
            raise NotPrepared
        started_ns = time.time_ns()
        digest = _hash(path, before[0], progress) + (mark(path) if mark else "")
        if _state(path) != before:
            raise changed(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if started_ns - max(before[1:]) > SETTLED_NS:
        _remember(cache, key, [*before, digest])
    return digest


def hash_of(path: Path, cache: Path, progress: Progress, mark: Mark | None = None) -> str:
    """The sha256 of a file, or of a directory of Parquet files that is one table. Raises DataError."""
    if path.is_dir():
        return files_sha256({str(part.relative_to(path)): part for part in parts_of(path)}, cache, progress, mark)
    return file_sha256(path, cache, progress, mark)


def files_sha256(files: Mapping[str, Path], cache: Path, progress: Progress, mark: Mark | None = None) -> str:
    """One sha256 over the names, bytes and marks of many small files, remembered while no file's size or times change.

    files: maps the name that counts to the file's place. Raises DataError when one cannot be read.
    """
    names = sorted(files)
    path = Path()
    try:
        states: dict[str, tuple[str, list[int]]] = {}
        for name in names:
            path = files[name]
            states[name] = (str(path.absolute()), _state(path))
        key = _marked(f"files {fingerprint(states)}", mark)
        known = read_object(cache / REMEMBERED).get(key)
        if isinstance(known, str):
            return known
        if opening_only.get() and sum(state[0] for _, state in states.values()) > QUICK_BYTES:
            raise NotPrepared
        started_ns, newest_ns, digests = time.time_ns(), 0, {}
        for place, name in enumerate(names):
            path = files[name]
            newest_ns = max(newest_ns, *_state(path)[1:])
            digests[name] = hashlib.sha256(path.read_bytes()).hexdigest() + (mark(path) if mark else "")
            progress("fingerprinting files", place / len(names))
    except OSError as error:
        raise unreadable(path, error) from error
    digest = fingerprint(digests)
    if started_ns - newest_ns > SETTLED_NS:
        _remember(cache, key, digest)
    return digest


def _marked(key: str, mark: Mark | None) -> str:
    return f"{key} {mark.__name__}" if mark else key


def changed(path: Path) -> DataError:
    """The error for a raw file that changed during its preparation."""
    return DataError(f"{path} changed while it was read; wait until it is written and start again")


def _state(path: Path) -> list[int]:
    """Size and times of a file. Unlike the modification time, the last one (ctime) cannot be set back."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _hash(path: Path, n_bytes: int, progress: Progress) -> str:
    digest, n_read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
            n_read += len(chunk)
            progress(f"fingerprinting {path.name}", min(1.0, n_read / max(1, n_bytes)))
    return digest.hexdigest()


def _remember(cache: Path, key: str, value: list[Any] | str) -> None:
    """Add a hash to the remembered ones, if the cache can be written: a read-only cache still serves what it has."""
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f".{REMEMBERED}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            memory = read_object(cache / REMEMBERED)
            memory[key] = value
            written = cache / f".{REMEMBERED}.new"
            write_json(written, memory)
            sync(written)
            written.replace(cache / REMEMBERED)
            fcntl.flock(lock, fcntl.LOCK_UN)
