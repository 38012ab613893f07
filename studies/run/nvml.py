"""What NVIDIA's driver says of this machine's GPUs, by its library NVML. It is only asked; nothing is ever set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

MIB = 2**20


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a part of one. uuid: as CUDA_VISIBLE_DEVICES may name it. percent: how busy it is.

    parts: those of a GPU that is divided (MIG). What the driver does not tell is 0.
    """

    uuid: str
    name: str
    total_mib: int = 0
    used_mib: int = 0
    percent: int = 0
    parts: tuple[Gpu, ...] = ()


def gpus() -> list[Gpu]:
    """Return the GPUs of this machine, in the driver's order; none without a driver."""
    nvml = _library()
    if nvml is None:
        return []
    handles = (nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount()))
    return [_gpu(nvml, handle, tuple(_parts(nvml, handle))) for handle in handles]


def fullest(visible: str) -> Gpu | None:
    """Return the GPU with the least free memory of those that CUDA_VISIBLE_DEVICES names so.

    None where one of them, or its memory, is not known: CUDA may count GPUs in another order than the driver, so a
    number is known only where there is one GPU.
    """
    there = [gpu for gpu in named(visible) if gpu.total_mib]
    is_known = len(there) == len(visible.split(","))
    return min(there, key=lambda gpu: gpu.total_mib - gpu.used_mib) if is_known else None


def named(visible: str) -> list[Gpu]:
    """Return those GPUs that CUDA_VISIBLE_DEVICES names so which are known; see `fullest`."""
    known = gpus()
    return [gpu for name in visible.split(",") if (gpu := _named(name, known)) is not None]


def _named(name: str, known: list[Gpu]) -> Gpu | None:
    if name.isdecimal():
        return known[0] if len(known) == 1 and name == "0" and not known[0].parts else None
    return next((gpu for whole in known for gpu in (whole, *whole.parts) if name and gpu.uuid.startswith(name)), None)


@cache
def _library() -> Any:
    """Return the library, started for as long as this process lives; None where there is no driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # the package, the driver's library or the driver is missing, or it does not answer
        return None
    return pynvml


def _gpu(nvml: Any, handle: Any, parts: tuple[Gpu, ...] = ()) -> Gpu:
    total_mib = used_mib = percent = 0
    with suppress(nvml.NVMLError):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total_mib, used_mib = memory.total // MIB, memory.used // MIB
    with suppress(nvml.NVMLError):  # of a GPU that is divided it is not known
        percent = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
    uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
    return Gpu(uuid, name, total_mib, used_mib, percent, parts)


def _parts(nvml: Any, handle: Any) -> Iterator[Gpu]:
    try:
        divided, _ = nvml.nvmlDeviceGetMigMode(handle)
        n_parts = nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if divided else 0
    except nvml.NVMLError:  # it cannot be divided
        return
    for index in range(n_parts):
        with suppress(nvml.NVMLError):  # there may be fewer
            yield _gpu(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
