# ruff: noqa: N802 - the names are NVIDIA's
"""In the place of NVIDIA's bindings on a machine without a GPU: what a file says, and what processes claim to use.

$NVML_GPUS is a JSON file: a list of GPUs with `uuid`, `name` and, if the driver tells them, `total_mib`, `used_mib`,
`percent`; `parts` is a list of such. Beside it, a file `UUID.PID` holds how many MiB a process uses, while it lives.
"""

from __future__ import annotations

import json
import os
from collections import namedtuple
from contextlib import suppress
from pathlib import Path
from typing import Any

Memory = namedtuple("Memory", ["total", "used"])
Rates = namedtuple("Rates", ["gpu"])
MIB = 2**20


class NVMLError(Exception):
    """As the bindings have it."""


def _gpus() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(os.environ["NVML_GPUS"]).read_text())
    return found


def _claimed(uuid: str) -> int:
    total = 0
    for claim in Path(os.environ["NVML_GPUS"]).parent.glob(f"{uuid}.*"):
        with suppress(OSError, ValueError):
            os.kill(int(claim.suffix[1:]), 0)
            total += int(claim.read_text())
    return total


def nvmlInit() -> None:
    if "NVML_GPUS" not in os.environ:
        raise NVMLError("Driver Not Loaded")


def nvmlDeviceGetCount() -> int:
    return len(_gpus())


def nvmlDeviceGetHandleByIndex(index: int) -> dict[str, Any]:
    return _gpus()[index]


def nvmlDeviceGetUUID(handle: dict[str, Any]) -> str:
    return str(handle["uuid"])


def nvmlDeviceGetName(handle: dict[str, Any]) -> str:
    return str(handle["name"])


def nvmlDeviceGetMemoryInfo(handle: dict[str, Any]) -> Memory:
    if "total_mib" not in handle:
        raise NVMLError("Not Supported")
    return Memory(handle["total_mib"] * MIB, (handle.get("used_mib", 0) + _claimed(handle["uuid"])) * MIB)


def nvmlDeviceGetUtilizationRates(handle: dict[str, Any]) -> Rates:
    if "percent" not in handle:
        raise NVMLError("Not Supported")
    return Rates(handle["percent"])


def nvmlDeviceGetMigMode(handle: dict[str, Any]) -> tuple[int, int]:
    if "parts" not in handle:
        raise NVMLError("Not Supported")
    return 1, 1


def nvmlDeviceGetMaxMigDeviceCount(handle: dict[str, Any]) -> int:
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(handle: dict[str, Any], index: int) -> dict[str, Any]:
    if index >= len(handle["parts"]):
        raise NVMLError("Not Found")
    part: dict[str, Any] = handle["parts"][index]
    return part
