"""The files that a trial keeps where its state is its own business: a program's, or a plain function's."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from optuna.trial import BaseTrial

_DIRECTORY = "_studies_checkpoints"  # the attribute of a trial that has one


def checkpoints(trial: BaseTrial) -> Path:
    """Return the directory of a plain function's trial, in which it keeps what it needs to go on.

    What is in it when the trial reports is kept with the study, and is there again where the trial goes on, on another
    machine too. Outside a study it is an empty temporary directory, which is gone with the trial.
    """
    directory = directory_of(trial)
    if directory is None:
        directory = Path(tempfile.mkdtemp(prefix="studies-checkpoints-"))
        weakref.finalize(trial, _remove, directory, os.getpid())
        setattr(trial, _DIRECTORY, directory)
    return directory


def directory_of(trial: BaseTrial) -> Path | None:
    """Return the same where it has been asked for."""
    return getattr(trial, _DIRECTORY, None)


def packed(directory: Path) -> bytes | None:
    """Return the files of a directory as an archive, without those that vanish meanwhile; None where it has none."""
    archived = io.BytesIO()
    n_files = 0
    with tarfile.open(fileobj=archived, mode="w") as archive:
        for path in sorted(directory.rglob("*")):
            with suppress(OSError):
                if path.is_file():
                    content = path.read_bytes()
                    member = tarfile.TarInfo(path.relative_to(directory).as_posix())
                    member.size, member.mode = len(content), path.stat().st_mode & 0o777
                    member.mtime = int(path.stat().st_mtime)
                    archive.addfile(member, io.BytesIO(content))
                    n_files += 1
    return archived.getvalue() if n_files else None


def unpack(archived: bytes, directory: Path) -> None:
    """Write the files of an archive into a directory."""
    with tarfile.open(fileobj=io.BytesIO(archived)) as archive:
        archive.extractall(directory, filter="data")


def _remove(directory: Path, process: int) -> None:
    if os.getpid() == process:  # not in a child that an objective has forked
        shutil.rmtree(directory, ignore_errors=True)
