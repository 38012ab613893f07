"""A file that is the old one or the whole new one, also after a kill or a power cut while writing."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from studies.errors import WrongInput

ENDINGS = {"yml": "yaml", "htm": "html", "markdown": "md"}  # other ways to write one
REMEMBERED_BYTES = 1 << 24  # of a smaller file the hash is not worth remembering


LONGEST_FOR_SOCKETS = 50  # bytes; a Unix socket's whole path has 103 on macOS, 107 on Linux


def directory_for_sockets() -> str:
    """Return where temporary directories with sockets go: the system's (TMPDIR), or /tmp where its path is too long."""
    from tempfile import gettempdir  # slow to import, for a module that everything has

    place = gettempdir()
    return place if len(os.fsencode(place)) <= LONGEST_FOR_SOCKETS else "/tmp"  # noqa: S108 - as mkdtemp's parent


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Write a file, whole or not at all. Raises OSError.

    What a link leads to is written, and the link stays. A pipe, a terminal or /dev/null takes the bytes as they come:
    a file in its place would be one that nobody can undo.
    partial: where it is written first, in the same directory, under a name that no other writer has at the time.
    """
    if is_special(path):
        path.write_bytes(content)
        return
    if partial is None:
        path = path.resolve()
        partial = unique(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read at any moment, whole or not at all. Raises OSError."""
    partial = unique(path)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    write_whole(path, content, partial)


def is_special(path: Path) -> bool:
    """Whether a path leads to a pipe, a terminal or a device, such as /dev/stdout."""
    return path.exists() and not path.is_file() and not path.is_dir()


def unique(path: Path) -> Path:
    """Return a hidden path beside this one that nobody else uses."""
    return path.absolute().with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def kind_of(file: str | Path | None, kinds: Collection[str], usual: str, what: str, instead: str = "") -> str:
    """Return the format that a file's name ends in; `usual` where it ends in none.

    what: that the file was given as. instead: what else to do, as the end of a sentence. Raises WrongInput for another
    format's ending, such as .pdf.
    """
    ending = "" if file is None else Path(file).suffix.lstrip(".").lower()
    ending = ENDINGS.get(ending, ending)
    if not ending or ending in kinds:
        return ending or usual
    known = ", ".join(kinds)
    raise WrongInput(reason=f"{what} is {str(file)!r}, and .{ending} is none of {known}; choose another file{instead}.")


def write_all(directory: Path, files: Iterable[tuple[str, str | bytes]]) -> int:
    """Write files by name into a directory, which is made; return how many. Raises WrongInput.

    All are made before the first is written: nobody who stops this while it computes is left with some of them.
    """
    made = list(files)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"Cannot make the directory {directory} ({error.strerror}); choose another with -o."
        raise WrongInput(reason=reason) from None
    for name, content in made:
        write_file(directory / name, content)
    return len(made)


def write_file(path: Path, content: str | bytes) -> None:
    """Write what a person asked for, whole or not at all. Raises WrongInput."""
    try:
        write_whole(path, content.encode(errors="backslashreplace") if isinstance(content, str) else content)
    except OSError as error:
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file with -o.") from None


def sha256_of(path: Path, memory: Path) -> str | None:
    """Return the sha256 of a file, or of the names and files below a directory; None where there is nothing to read.

    memory: a JSON file that remembers hashes by size and times, so that a large file is read once.
    """
    try:
        if not path.is_dir():
            return _file_sha256(path, memory) if path.is_file() else None
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path).as_posix()} {_file_sha256(file, memory)}" for file in files]
    except OSError:
        return None
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest() if lines else None


def _file_sha256(path: Path, memory: Path) -> str:
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(memory.read_text(encoding="utf-8"))
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        if status.st_size > REMEMBERED_BYTES:
            with suppress(OSError):  # nothing is lost but time
                write_whole(memory, json.dumps(known, indent=0).encode())
    return known[key]
