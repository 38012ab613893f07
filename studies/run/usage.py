"""What a worker uses: memory and processor time, with every process that it has started, and its GPUs."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psutil

from studies.run import nvml
from studies.run.placement import VISIBLE
from studies.storage.ledger import Usage

MIB = 2**20
LOOK_S = 30.0  # from one look for new processes to the next: each reads the whole machine's


class Meter:
    """Measures this process. Each reading says what was used since the last one. on_gpu: whether it uses any."""

    def __init__(self, on_gpu: bool = False) -> None:
        self._on_gpu = on_gpu
        self._own = psutil.Process()
        self._started: list[psutil.Process] = []
        self._looked_at = float("-inf")
        self._read_at = time.monotonic()
        self._cpu_s = {self._own: _cpu_s(self._own)}

    def read(self) -> Usage:
        """Return what is used now. What a process used before it was first seen is not counted."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            with suppress(psutil.Error, OSError):
                self._started = self._own.children(recursive=True)
        cpu_s: dict[psutil.Process, float] = {}
        n_bytes = 0
        for process in (self._own, *self._started):
            with suppress(psutil.Error, OSError):  # it has ended
                n_bytes += _memory(process)
                cpu_s[process] = _cpu_s(process)
        used_s = sum(seconds - self._cpu_s.get(process, seconds) for process, seconds in cpu_s.items())
        passed_s = max(now - self._read_at, 1e-3)
        self._cpu_s, self._read_at = cpu_s, now
        return Usage(round(n_bytes / MIB), round(100 * used_s / passed_s), *self._gpus())

    def _gpus(self) -> tuple[float | None, float | None]:
        """Return the memory in use on this process's GPUs, MiB, and how busy they are on average, percent.

        Both of the whole GPUs: of its processes alone the driver tells nothing in a container.
        """
        try:
            gpus = nvml.named(os.environ.get(VISIBLE, "")) if self._on_gpu else []
        except Exception:  # whatever a driver that fails does, a worker says that it lives
            gpus = []
        if not gpus:
            return None, None
        return float(sum(gpu.used_mib for gpu in gpus)), sum(gpu.percent for gpu in gpus) / len(gpus)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> int:
    """Return the bytes that a process has to itself, with its share of what it has in common with others.

    Workers are forked from one process that has torch loaded; each alone seems to use all of that. Where the system
    does not tell shares, it is all that is in memory.
    """
    with suppress(psutil.AccessDenied, AttributeError):
        return int(process.memory_full_info().pss)
    return int(process.memory_info().rss)
