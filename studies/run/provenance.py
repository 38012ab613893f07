"""Where a trial's value comes from: code, versions, machine."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from studies.run import nvml
from studies.run.placement import VISIBLE

SNAPSHOT = ".studies-snapshot.json"  # in code that was sent to another machine: what it is a snapshot of


@cache
def of_this_process(device: str) -> dict[str, Any]:
    """Return commit, dirtiness, versions, host, device and CPU threads, as plain data; and of a snapshot, its hash.

    commit is None outside a git checkout, threads where torch has not been loaded: sums of floats depend on them.
    """
    return {
        **of_checkout(),
        "studies": _version("studies"),
        "torch": _version("torch"),
        "optuna": _version("optuna"),
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "device": device_name(device),
        "threads": _threads(),
    }


def of_model(device: str) -> dict[str, Any]:
    """Return the same for a model, which others get: without the host."""
    return {name: fact for name, fact in of_this_process(device).items() if name != "host"}


def of_checkout() -> dict[str, Any]:
    """Return commit and dirtiness of the working directory, or of the one that it is a snapshot of."""
    sent = Path(SNAPSHOT)
    if sent.is_file():
        return {**json.loads(sent.read_text()), "snapshot": Path.cwd().name}
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def device_name(device: str) -> str:
    """Return the model of a GPU, as the driver or else torch tells it, and otherwise the device as it is."""
    if not device.startswith("cuda"):
        return device
    if (gpu := nvml.fullest(os.environ.get(VISIBLE, ""))) is not None:  # torch would take memory of it to answer
        return gpu.name
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.cuda.get_device_name(device))
    return device


def _threads() -> int | None:
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*command: str) -> str | None:
    try:
        done = subprocess.run(["git", *command], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
