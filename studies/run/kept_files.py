"""The files that a trial keeps where its state is its own business: a program's, or a plain function's."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import tarfile
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

from optuna.trial import BaseTrial

LOCKED_WITHIN_S = 60.0  # of being made
_PREFIX = "studies-checkpoints-"
_DIRECTORY, _REMOVE = "_studies_checkpoints", "_remove_studies_checkpoints"  # attributes of a trial that has one


def checkpoints(trial: BaseTrial) -> Path:
    """Return the directory of a plain function's trial, in which it keeps what it needs to go on.

    What is in it when the trial reports is kept with the study, and is there again where the trial goes on, on another
    machine too. Outside a study it is an empty temporary directory, which is gone with the trial.
    """
    directory = directory_of(trial)
    if directory is None:
        _remove_abandoned()
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(directory, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks: nobody can take it for abandoned either
            fcntl.flock(lock, fcntl.LOCK_EX)
        setattr(trial, _DIRECTORY, directory)
        setattr(trial, _REMOVE, weakref.finalize(trial, _remove, directory, lock, os.getpid()))
    return directory


def directory_of(trial: BaseTrial) -> Path | None:
    """Return the same where it has been asked for."""
    return getattr(trial, _DIRECTORY, None)


def remove(trial: BaseTrial) -> None:
    """Remove the same before the trial is gone."""
    if directory_of(trial) is not None:
        getattr(trial, _REMOVE)()


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


def _remove(directory: Path, lock: int, process: int) -> None:
    if os.getpid() == process:  # not in a child that an objective has forked
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _remove_abandoned() -> None:
    """Remove the directories of processes that were killed: nobody holds their lock."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process removes it, or it is another user's
            if time.time() - directory.stat().st_mtime < LOCKED_WITHIN_S:
                continue
            lock = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(lock)
