"""One log: written up to a limit, read while it is written, its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

HALF_BYTES = 4 * 2**20  # a log is at most two such files: what is older goes
TAIL_BYTES = 64 * 1024
OLDER = ".1"
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


def older_of(path: Path) -> Path:
    """Return where the older half of a log is, once there is one."""
    return path.with_name(path.name + OLDER)


def print_to(log: Path) -> None:
    """Have everything that this process and its children print from now on in a log, at its end. Raises OSError."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
