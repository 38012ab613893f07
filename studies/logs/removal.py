"""The logs of a study that is deleted."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from studies.logs.noted import STUDY, noted_study
from studies.logs.places import TRIAL, base_of, is_name, process_of


def remove_logs(home: Path, study: str, uid: str, others: Collection[str]) -> None:
    """Remove what a study's workers, launches, checks and programs printed on this machine, as far as it may.

    others: the studies that stay. What is noted as another study's stays. What is not noted stays while a version among
    them, or another study of this name, may have it. So does a launch that goes on.
    """
    if not is_name(study):
        return
    own, base = home / "logs" / study, home / "logs" / base_of(study)
    whose = {path: _whose(path) for directory in {own, base} if directory.is_dir() for path in directory.iterdir()}
    is_last = all(base_of(other) != base.name for other in others) and set(whose.values()) <= {None, uid}
    for path, noted in whose.items():
        is_own = path.parent == own and (own != base or path.name.startswith(TRIAL))
        if not (noted == uid or (noted is None and (is_last or is_own))) or _goes_on(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    for directory in {own, base}:
        with suppress(OSError):  # something is left, or nothing was there
            directory.rmdir()


def _whose(path: Path) -> str | None:
    """Return the study that something in the directory of a study's name is of, or None where that is not noted."""
    if path.is_dir():
        return noted_study(path)
    return noted_study(path.parent) if path.name.startswith((TRIAL, STUDY)) else None


def _goes_on(launch: Path) -> bool:
    """Whether the launch, or the check, that has this directory has not ended."""
    import psutil

    pid = process_of(launch)
    return pid is not None and psutil.pid_exists(pid)
