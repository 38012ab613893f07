"""What is kept beside a trial's value: what its training says of its predictions, and how much memory it took."""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 1024  # of a trial's evidence: every worker reads that of all trials
MIB = 2**20


def evidence_of(training: Any) -> dict[str, Any]:
    """Return the training's `evidence()` as plain JSON; nothing of one without it, and why where it cannot be kept.

    A trial does not fail for it: its value stands without evidence.
    """
    find = getattr(training, "evidence", None)
    if find is None:
        return {}
    try:
        text = json.dumps(find())
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    if len(text) > MAX_BYTES:
        return {"error": f"it has {len(text):,} characters of JSON; at most {MAX_BYTES:,} are kept"}
    found = json.loads(text, parse_constant=lambda _: None)  # what is not finite is no JSON
    return found if isinstance(found, dict) else {"error": f"it is a {type(found).__name__}; expected a dict"}


def reset_peak_memory(device: str) -> None:
    """Forget how much memory was taken so far, so that a trial is not charged for the one before it."""
    if (torch := _cuda(device)) is not None:
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak resident set size


def peak_memory_mib(device: str) -> float:
    """Return the peak since the last reset, in MiB: of torch's memory on a GPU, else of the process's resident set.

    Where there is no /proc, the process's peak is that of its whole life.
    """
    if (torch := _cuda(device)) is not None:
        return round(float(torch.cuda.max_memory_allocated(device)) / MIB, 1)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024, 1)
    return round(peak_bytes() / MIB, 1)


def peak_bytes() -> int:
    """Return the most memory that this process has had in its whole life."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cuda(device: str) -> Any:
    """Return torch where the objective has loaded it and trains on a GPU."""
    torch = sys.modules.get("torch")
    return torch if device.startswith("cuda") and torch is not None and torch.cuda.is_available() else None
