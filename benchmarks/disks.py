"""A disk that can be full: a small one of the kernel's where this user may mount one, else a limit on files."""

from __future__ import annotations

import resource
import subprocess
from contextlib import suppress
from pathlib import Path


class Disk:
    """A small disk of its own at a place, where it may be mounted.

    Elsewhere a full disk is a limit on the size of the workers' files: the kernel refuses the same write.
    """

    def __init__(self, place: Path, n_bytes: int) -> None:
        self.place = place
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes},mode=755", "none", str(place)]
        self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self, pids: list[int]) -> None:
        """Leave no byte on it."""
        if self.mounted:
            with suppress(OSError), (self.place / "filler").open("wb", buffering=0) as filler:
                for n_bytes in (2**20, 4096):
                    with suppress(OSError):
                        while filler.write(bytes(n_bytes)):
                            pass
        else:
            self._limit(pids, 4096)  # less than a checkpoint; the logs go on for a while

    def clear(self, pids: list[int]) -> None:
        """Make room again."""
        (self.place / "filler").unlink(missing_ok=True)
        if not self.mounted:
            self._limit(pids, resource.RLIM_INFINITY)

    def close(self) -> None:
        """Let go of it."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.place)], check=False)

    def _limit(self, pids: list[int], n_bytes: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))
