"""Logs: what workers and programs print, in files below `logs` in the home of the machine that keeps them.

`logs/STUDY/LAUNCH/worker-0.log` is a worker's, on the machine of its launch, with a file `worker-0.process` beside it
that says which process writes it. `logs/STUDY/trial-7.log` is the program's of a trial, where it ran: it grows to a
limit, and its last words are at hand.

Versions of a study, and studies of one name in two storages, share a directory. A file `study` in a launch says
whose it is, by its `uid`; one beside the trials' logs says whose they are, and others have `logs/STUDY/UID`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from studies import names

HALF_BYTES = 4 * 2**20  # a log is at most two such files: what is older goes
TAIL_BYTES = 64 * 1024
OLDER = ".1"
TRIAL = "trial-"
N_LAUNCHES = 10  # of a study, whose workers' logs are looked at
STUDY = "study"
ENDED = b"[studies] "  # begins the last line
LONGEST_END = 500  # bytes, of that line


class Log:
    """The output of one trial. A log that cannot be written, on a full disk, harms nobody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = b""
        self._file = path.open("wb", buffering=0)
        self._n_bytes = 0
        older_of(path).unlink(missing_ok=True)
        self._started = time.monotonic()

    def write(self, content: bytes) -> None:
        """Add what was printed."""
        self.tail = (self.tail + content)[-TAIL_BYTES:]
        try:
            if self._n_bytes + len(content) > HALF_BYTES:
                self._file.close()
                self.path.replace(older_of(self.path))
                self._file = self.path.open("wb", buffering=0)
                self._n_bytes = 0
            self._n_bytes += self._file.write(content) or 0
        except (OSError, ValueError):
            pass

    def close(self, how: str) -> None:
        """Add a last line that says how it ended."""
        newline = b"" if not self.tail or self.tail.endswith(b"\n") else b"\n"
        seconds = time.monotonic() - self._started
        self.write(newline + ENDED + f"{how} after {seconds:.1f} s\n".encode())
        self._file.close()


def print_to(log: Path) -> None:
    """Have everything that this process and its children print from now on in a log, at its end. Raises OSError."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def older_of(path: Path) -> Path:
    """Return where the older half of a log is, once there is one."""
    return path.with_name(path.name + OLDER)


def trial_log(directory: Path, number: int) -> Path:
    """Return the log of a trial. directory: of the study's logs."""
    return directory / f"{TRIAL}{number}.log"


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


def of_trials(directory: Path, uid: str | None) -> Path:
    """Return where the trials' logs of a study are in the directory of its name. uid: None for whichever is first."""
    if uid is None or (noted_study(directory) in (None, uid) and not (directory / uid).is_dir()):
        return directory
    return directory / uid


def for_trials(directory: Path, uid: str) -> Path:
    """Return the same, created, to be written to."""
    note_study(directory, uid)
    own = of_trials(directory, uid)
    own.mkdir(exist_ok=True)
    note_study(own, uid)
    return own


def studies_with_logs(home: Path, study: str) -> set[str]:
    """Return the `uid` of each study of this name, or a version of it, that has logs on this machine."""
    directories = {home / "logs" / name for name in (study, _base(study))} if _is_name(study) else set()
    noted = {noted_study(each) for directory in directories for each in (directory, *_launches(directory))}
    return {uid for uid in noted if uid is not None}


def trials_with_logs(directory: Path) -> list[int]:
    """Return the numbers of the trials that have a log in the directory of the study's logs, in order."""
    found = (log.stem.removeprefix(TRIAL) for log in directory.glob(f"{TRIAL}*.log"))
    return sorted(int(number) for number in found if number.isdecimal())


class Reader:
    """A log that is read while it is written, from its beginning, across the change of its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._last = b""

    def new(self) -> Iterator[bytes]:
        """Yield what was written since the last call, in pieces; everything that is kept at the first."""
        if self._file is None:
            if older_of(self._path).exists():
                with older_of(self._path).open("rb") as older:
                    yield from self._pieces(older)
            self._file = self._path.open("rb")
        yield from self._pieces(self._file)
        if self._path.exists() and not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
            yield from self._pieces(self._file)  # what came before it was moved away
            self.close()
            self._file = self._path.open("rb")
            yield from self._pieces(self._file)

    @property
    def ended(self) -> bool:
        """Whether what was read ends with the line that says how the program ended."""
        return self._last.endswith(b"\n") and self._last.rstrip(b"\n").rpartition(b"\n")[2].startswith(ENDED)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        while piece := file.read(TAIL_BYTES):
            self._last = (self._last + piece)[-len(ENDED) - LONGEST_END :]
            yield piece


def worker_logs(home: Path, study: str, uid: str | None = None) -> list[Path]:
    """Return the logs of the workers of the last launch on this machine, in order; none where there was no launch.

    uid: of the study that it was of; None for whichever.
    """
    launches = _newest_first([home / "logs" / study], uid)
    newest = next((logs for launch in launches if (logs := list(launch.glob("worker-*.log")))), [])
    return sorted(newest, key=lambda log: (len(log.name), log.name))


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


def known_logs(home: Path, study: str, uid: str | None = None) -> dict[str, Path]:
    """Return the study's logs on this machine by name: `LAUNCH/worker-0` of its last launches, and `trial-7`."""
    found = logs_of_workers(home, study, uid)
    if _is_name(study):
        found |= {log.stem: log for log in of_trials(home / "logs" / study, uid).glob(f"{TRIAL}*.log")}
    return found


def logs_of_workers(home: Path, study: str, uid: str | None = None) -> dict[str, Path]:
    """Return those of `known_logs` that are workers', the newest launch first; what trials printed is not looked at."""
    if not _is_name(study):
        return {}
    launches = _newest_first({home / "logs" / study, home / "logs" / _base(study)}, uid)
    logs = ((launch, sorted(launch.glob("worker-*.log"))) for launch in launches)
    newest = itertools.islice(((launch, found) for launch, found in logs if found), N_LAUNCHES)
    return {f"{launch.name}/{log.stem}": log for launch, found in newest for log in found}


def remove_logs(home: Path, study: str, uid: str, others: Collection[str]) -> None:
    """Remove what a study's workers, launches, checks and programs printed on this machine, as far as it may.

    others: the studies that stay. What is noted as another study's stays. What is not noted stays while a version among
    them, or another study of this name, may have it. So does a launch that goes on.
    """
    if not _is_name(study):
        return
    own, base = home / "logs" / study, home / "logs" / _base(study)
    whose = {path: _whose(path) for directory in {own, base} if directory.is_dir() for path in directory.iterdir()}
    is_last = all(_base(other) != base.name for other in others) and set(whose.values()) <= {None, uid}
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


def _is_name(study: str) -> bool:
    """Whether a study can have a directory of its own: one that no study file made may be named ../others."""
    return all(part and Path(part).name == part != ".." for part in (study, _base(study)))


def _base(study: str) -> str:
    return names.parts(names.confirmed(study) or study)[0]


def _goes_on(launch: Path) -> bool:
    """Whether the launch, or the check, that has this directory has not ended: its name ends with the process."""
    import psutil

    _, dash, pid = launch.name.rpartition("-")
    return launch.is_dir() and bool(dash) and pid.isdecimal() and psutil.pid_exists(int(pid))


def _launches(directory: Path) -> list[Path]:
    """Return the directories in a study's; beside them may be thousands of trials' logs."""
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:  # no launch was here
        return []


def _newest_first(directories: Iterable[Path], uid: str | None) -> Iterator[Path]:
    """Yield the launches in these directories of studies, but none that is noted as another study's."""
    launches = [launch for directory in directories for launch in _launches(directory)]
    for launch in sorted(launches, key=lambda launch: launch.name, reverse=True):
        if uid is None or noted_study(launch) in (None, uid):
            yield launch


def tail(path: Path, n_bytes: int = TAIL_BYTES) -> bytes:
    """Return the end of a log, from the beginning of a line, across the change of its file."""
    content = b""
    for file in (path, older_of(path)):
        with suppress(FileNotFoundError), file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size + len(content) - n_bytes))
            content = opened.read(size) + content  # what was added meanwhile comes the next time
    if len(content) < n_bytes:
        return content
    return content.partition(b"\n")[2] or content


def logs_of_processes(known: Mapping[str, Path], wanted: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the name of the log that each of the wanted processes writes, by its host and number, as far as known.

    known: see `logs_of_workers`. The newest launches are looked at first, and no more than it takes.
    """
    found: dict[tuple[str, int], str] = {}
    for name, log in known.items():
        if len(found) == len(wanted):
            break
        process = noted_process(log)
        if process is not None and process in wanted:
            found.setdefault(process, name)
    return found
