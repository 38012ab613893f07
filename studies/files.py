"""A file that is the old one or the whole new one, whoever is killed while writing, and after a power cut."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from studies.errors import WrongInput


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Write a file, whole or not at all. Raises OSError.

    partial: where it is written first, in the same directory, under a name that no other writer has at the time.
    """
    partial = partial or unique(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def unique(path: Path) -> Path:
    """Return a hidden path beside this one that nobody else uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")


def write_all(directory: Path, files: Iterable[tuple[str, str | bytes]]) -> int:
    """Write files by name into a directory, which is made; return how many. Raises WrongInput."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"Cannot make the directory {directory} ({error.strerror}); choose another with -o."
        raise WrongInput(reason=reason) from None
    n_files = 0
    for n_files, (name, content) in enumerate(files, start=1):  # noqa: B007 - it is returned
        write_file(directory / name, content)
    return n_files


def write_file(path: Path, content: str | bytes) -> None:
    """Write what a person asked for, whole or not at all. Raises WrongInput."""
    try:
        write_whole(path, content.encode(errors="backslashreplace") if isinstance(content, str) else content)
    except OSError as error:
        raise WrongInput(reason=f"Cannot write {path} ({error.strerror}); choose another file with -o.") from None
