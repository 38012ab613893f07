"""What is noted beside a log: which study it is of, which process writes it. Logs are kept without, too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

STUDY = "study"


def note_study(directory: Path, uid: str) -> None:
    """Write down which study a launch, or trials, are of, unless that is there. Logs are kept without it, too."""
    with suppress(OSError), (directory / STUDY).open("x") as file:
        file.write(uid)


def noted_study(directory: Path) -> str | None:
    """Return the `uid` of the study that a launch, or trials, are of, or None where nobody has written it down."""
    try:
        return (directory / STUDY).read_text()
    except OSError:
        return None


def process_file(log: Path) -> Path:
    """Return where it is written down which process writes a worker's log: its host and its number."""
    return log.with_suffix(".process")


def note_process(log: Path, host: str, pid: int) -> None:
    """Write down which process writes a log. A log is kept without it, too."""
    with suppress(OSError):
        process_file(log).write_text(f"{host} {pid}\n")


def noted_process(log: Path) -> tuple[str, int] | None:
    """Return host and number of the process that writes a log, or None where nobody has written it down."""
    try:
        host, pid = process_file(log).read_text().split()
        return host, int(pid)
    except (OSError, ValueError):
        return None
