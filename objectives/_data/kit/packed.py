"""Packed files, gzip or a zip archive of one file, as what is in them."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, cast

from objectives._contract import DataError

BUFFER_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
ADDED = ("__MACOSX", "@eaDir")  # what archives and file servers add, besides names that begin with a dot
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile)


def unpacked(raw: io.BufferedReader, path: Path | None = None) -> io.BufferedReader:
    """Return the stream, or what is in it if it is gzip, or a zip archive of one file.

    path: where the stream is from, for a zip archive is read from its end; without it, it stays. Reading raises one of
    DAMAGED. Raises DataError for an archive with a password.
    """
    magic = raw.peek(4)[:4]
    inner: io.BufferedIOBase | IO[bytes] | None = None
    if magic.startswith(GZIP_MAGIC):
        inner = gzip.GzipFile(fileobj=raw)
    elif magic == ZIP_MAGIC and path is not None and (member := only_member(path)):
        try:
            with zipfile.ZipFile(path) as archive:
                inner = archive.open(member)  # stays open
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(f"{path} is a zip archive that cannot be read ({error}); unpack it first") from error
    # The outer buffer makes iteration run in C: the others need a Python call for each line.
    return raw if inner is None else io.BufferedReader(cast(io.RawIOBase, inner), BUFFER_BYTES)


def only_member(path: Path) -> str:
    """The name of the one file in a zip archive; "" where there are several, or arrays, or it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and _is_shown(name)]
    except (OSError, zipfile.BadZipFile):
        return ""
    return names[0] if len(names) == 1 and not names[0].endswith(".npy") else ""


def name_within(path: Path) -> str:
    """What a file is called when it is unpacked, in lower case."""
    name = path.name.lower()
    if name.endswith(".zip"):
        return PurePosixPath(only_member(path)).name.lower() or name
    return name.removesuffix(".gz")


def _is_shown(name: str) -> bool:
    return not any(part.startswith(".") or part in ADDED for part in PurePosixPath(name).parts)
