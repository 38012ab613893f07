"""What a trial's program prints: kept in a file that grows to a limit, and its last words at hand."""

from __future__ import annotations

import time
from pathlib import Path

HALF_BYTES = 4 * 2**20  # a log is at most two such files: what is older goes
TAIL_BYTES = 64 * 1024
OLDER = ".1"
ENDED = b"[studies] "  # begins the last line


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


def older_of(path: Path) -> Path:
    """Return where the older half of a log is, once there is one."""
    return path.with_name(path.name + OLDER)


def trial_log(directory: Path, number: int) -> Path:
    """Return the log of a trial. directory: of the study's logs."""
    return directory / f"trial-{number}.log"
