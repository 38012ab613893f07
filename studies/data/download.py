"""One file from the network to its place: whole and checked, or not there at all.

What has arrived lies beside the target as `.NAME.part`, and the next attempt asks for the rest of it, on condition
that the file is still the same one (RFC 9110, sections 13.1.5 and 14). A file without a published checksum is held
against the sha256 of its first download, which stays beside it as `NAME.sha256`, in the form of `sha256sum -c`.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from studies import __version__

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
ATTEMPTS = 5  # of a transfer that is cut but brings something each time
WAIT_S = 1.0  # before the next of them
RESUMABLE = http.client.PARTIAL_CONTENT
PAST_THE_END = http.client.REQUESTED_RANGE_NOT_SATISFIABLE

Told = Callable[[int, int | None], None]  # bytes that are here, and of how many, if that is known


class DownloadFailed(Exception):
    """The file is not there; the message is a clause that says why."""


class _Refused(DownloadFailed):
    """This address does not give the file; another may."""


class _Cut(DownloadFailed):
    """The connection ended early."""


@dataclass(frozen=True)
class _Part:
    """What has arrived of a file, open and locked. has_sum: what it should be in the end is published.

    Beside it is written down where it comes from, and what tells whether the file there is still the same one.
    """

    path: Path
    file: IO[bytes]
    has_sum: bool

    @property
    def n_bytes(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def _memory(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def remember(self, url: str, response: Any) -> None:
        tag = response.headers.get("ETag", "")
        validator = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
        self._memory.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def conditions(self, url: str) -> dict[str, str]:
        """Return the headers that ask for the rest of it, if there is some of it and it can be known to fit."""
        memory: dict[str, str] = {}
        with suppress(OSError, ValueError):
            memory = json.loads(self._memory.read_text(encoding="utf-8"))
        if not self.n_bytes:
            return {}
        wanted = {"Range": f"bytes={self.n_bytes}-"}
        if memory.get("url") == url and memory.get("validator"):
            return wanted | {"If-Range": memory["validator"]}
        return wanted if self.has_sum else {}

    def forget(self) -> None:
        for path in (self.path, self._memory):
            path.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """Return where what has arrived of a file lies."""
    return target.with_name(f".{target.name}.part")


def download(urls: Sequence[str], target: Path, md5: str, told: Told) -> None:
    """Put what is at `urls`, tried in turn, at `target`, unless it is there already.

    md5: as published, "" where none is. Either way the content is checked. Raises DownloadFailed.
    """
    path = _beside(target)
    try:
        if target.is_file():
            _check(target, md5, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _lock(file, path)
            if target.is_file():  # another process has just been here
                return
            part = _Part(path, file, has_sum=bool(md5))
            _fetch(urls, part, told)
            file.flush()
            os.fsync(file.fileno())
            try:
                _check(path, md5, target)
            except DownloadFailed:
                part.forget()
                raise
            path.rename(target)
            part.forget()
    except OSError as error:
        raise DownloadFailed(f"{error.filename or path} cannot be written ({error.strerror or error})") from error


def unpack(archive: Path, members: Sequence[str], told: Told) -> None:
    """Put the files of a tar archive that have one of these names beside it. Raises DownloadFailed."""
    wanted = {name for name in members if not (archive.parent / name).is_file()}
    if not wanted:
        return
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw) as opened:
            size = archive.stat().st_size
            for member in opened:
                name = PurePosixPath(member.name).name
                content = opened.extractfile(member) if name in wanted else None
                if content is not None:
                    _copy(content, archive.parent / name, lambda: told(raw.tell(), size))
                    wanted.discard(name)
                if not wanted:
                    break
    except (tarfile.TarError, EOFError) as error:
        raise DownloadFailed(f"{archive} is damaged ({error}); remove it and fetch it again") from error
    except OSError as error:
        if error.errno is None:  # what bz2 says of bytes that are not its own
            raise DownloadFailed(f"{archive} is damaged ({error}); remove it and fetch it again") from error
        raise DownloadFailed(f"{archive.parent} cannot be written ({error.strerror})") from error
    if wanted:
        raise DownloadFailed(f"{archive} holds no {sorted(wanted)[0]}")


def _copy(content: IO[bytes], target: Path, tell: Callable[[], None]) -> None:
    part = _beside(target)
    try:
        with part.open("wb") as file:
            while chunk := content.read(CHUNK_BYTES):
                file.write(chunk)
                tell()
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def _lock(file: IO[bytes], part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DownloadFailed("another process is fetching it") from None
    if not part.exists() or not os.path.samestat(part.stat(), os.fstat(file.fileno())):
        raise DownloadFailed("another process has just fetched it")


def _fetch(urls: Sequence[str], part: _Part, told: Told) -> None:
    refusals = []
    for url in urls:
        try:
            return _fetch_from(url, part, told)
        except (_Refused, _Cut) as why:
            refusals.append(f"{url} {why}")
    if not part.n_bytes:
        part.forget()
    raise DownloadFailed("; ".join(refusals))


def _fetch_from(url: str, part: _Part, told: Told) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        before = part.n_bytes
        try:
            return _transfer(url, part, told)
        except _Cut:
            if attempt == ATTEMPTS or part.n_bytes <= before:
                raise
            time.sleep(WAIT_S)


def _transfer(url: str, part: _Part, told: Told) -> None:
    """Add to the part what is missing of it, or all of it from a server that gives nothing less."""
    file, n_bytes = part.file, part.n_bytes
    response = _open(url, n_bytes, part.conditions(url))
    if response is None:
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _Refused("answered with a web page, not with the file")
        first, total = _range_of(response)
        if first != n_bytes:
            file.truncate(0)
            n_bytes = 0
            if first:
                raise _Refused(f"answered with another part of the file (from byte {first})")
        part.remember(url, response)
        try:
            while chunk := _read(response):
                file.write(chunk)
                n_bytes += len(chunk)
                told(n_bytes, total)
        finally:
            file.flush()
    if total is not None and n_bytes < total:
        raise _Cut(f"ended after {n_bytes:,} of {total:,} bytes")


def _open(url: str, n_bytes: int, conditions: dict[str, str]) -> Any:
    """Ask for the file, or for the rest of it; return the response, or None when there is no rest."""
    request = urllib.request.Request(url, headers={"User-Agent": f"studies/{__version__}", **conditions})  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310 - the addresses are declared
    except urllib.error.HTTPError as error:
        with error:
            if error.code == PAST_THE_END and error.headers.get("Content-Range") == f"bytes */{n_bytes}":
                return None
            if error.code == PAST_THE_END and conditions:
                return _open(url, 0, {})
            raise _Refused(f"answered {error.code} ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _Refused(f"does not answer ({getattr(reason, 'strerror', None) or reason})") from error


def _read(response: Any) -> bytes:
    try:
        chunk: bytes = response.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(f"broke off ({getattr(error, 'strerror', None) or error})") from error
    return chunk


def _range_of(response: Any) -> tuple[int, int | None]:
    """Return the first byte of what a response brings, and the size of the whole file if it says so."""
    if response.status == RESUMABLE:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        return int(first) if first.isdecimal() else -1, int(total) if total.isdecimal() else None
    length = response.headers.get("Content-Length") or ""
    return 0, int(length) if length.isdecimal() else None


def _check(path: Path, md5: str, target: Path) -> None:
    """Hold a file against its published md5, or else against the sha256 of its first download, kept beside it."""
    record = target.with_name(f"{target.name}.sha256")
    found = _hash(path, "md5" if md5 else "sha256")
    what = f"what came for {target.name}" if path != target else f"{target}, which you may remove,"
    if md5:
        if found != md5:
            raise DownloadFailed(f"{what} has the md5 {found}, not {md5} as published")
    elif record.is_file():
        expected = record.read_text(encoding="utf-8").partition(" ")[0]
        if found != expected:
            raise DownloadFailed(
                f"{what} has the sha256 {found}, not {expected} as when it was first downloaded (if its publisher has "
                f"changed it, remove {record})"
            )
    else:
        written = record.with_name(f".{record.name}.new")
        written.write_text(f"{found}  {target.name}\n", encoding="utf-8")
        written.replace(record)


def _hash(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
