"""What a worker uses of its machine is measured with every process that it starts."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from studies.run import nvml
from studies.run.usage import Meter

BUSY = "x = bytearray(100 * 2**20); print(flush=True)\nwhile True: pass"


def test_memory_and_cores_of_what_was_started_count() -> None:
    alone = Meter().read().memory_mib
    assert alone is not None
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            started.stdout.readline()
            meter = Meter()
            memory = meter.read().memory_mib
            child = psutil.Process(started.pid)
            before, began = child.cpu_times().user, time.monotonic()
            while child.cpu_times().user - before < 0.3:
                time.sleep(0.05)
            used = meter.read()
            share = 100 * (child.cpu_times().user - before) / (time.monotonic() - began)
        finally:
            started.kill()
    assert memory is not None
    assert used.cpu_percent is not None
    assert memory - alone > 90
    assert used.cpu_percent > share / 2
    ended = meter.read()
    assert ended.memory_mib is not None
    assert ended.memory_mib < memory - 50
    assert ended.cpu_percent is not None
    assert ended.cpu_percent >= 0


def test_a_driver_that_fails_is_not_the_end_of_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(visible: str) -> list[nvml.Gpu]:
        raise OSError("the driver is gone")

    monkeypatch.setattr(nvml, "named", fail)
    used = Meter(on_gpu=True).read()
    assert used.memory_mib is not None
    assert (used.gpu_memory_mib, used.gpu_percent) == (None, None)
    gpu = nvml.Gpu("GPU-1", "one", total_mib=80_000, used_mib=2_000, percent=90)
    monkeypatch.setattr(nvml, "named", lambda visible: [gpu, gpu])
    used = Meter(on_gpu=True).read()
    assert (used.gpu_memory_mib, used.gpu_percent) == (4_000, 90)
