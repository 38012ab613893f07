"""What a worker uses of its GPU is what the driver says of it."""

from __future__ import annotations

import pytest
import torch

from studies.run.placement import VISIBLE, visible_gpus
from studies.run.usage import Meter


def test_memory_on_its_gpu_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, visible_gpus()[0])
    meter = Meter(on_gpu=True)
    torch.zeros(1, device="cuda")
    before = meter.read().gpu_memory_mib
    kept = torch.ones(2**28, device="cuda")  # 1 GiB
    used = meter.read()
    assert kept.sum() == 2**28
    assert before is not None
    assert used.gpu_memory_mib is not None
    assert used.gpu_percent is not None
    assert used.gpu_memory_mib - before > 900
    assert Meter().read().gpu_memory_mib is None
