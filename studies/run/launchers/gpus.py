"""Which of a machine's GPUs each worker gets, and how many workers share one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from studies.run.nvml import fullest
from studies.run.packing import Packing
from studies.run.placement import groups_of, visible_gpus
from studies.run.sharing import Plan, read_reading, write_plan
from studies.spec.model import Resources
from studies.words import plural

AUTO = 0  # workers a GPU: as many as are measured to be worth it
MEASURE_S = 1.0
SHORT_NAME = 12  # characters of a UUID, for a person
MPS_PIPES = "CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"  # noqa: S108 - NVIDIA's own default


class Gpus:
    """The GPUs that workers get by their slots, 0 and up. n_workers: at most at a time. say: told what is decided.

    directory: of the launch; there the workers of a GPU meet, each GPU's in a directory of its own, where several may
    share it.
    """

    def __init__(self, resources: Resources, directory: Path, n_workers: int, say: Callable[[str], None]) -> None:
        self._groups = groups_of(visible_gpus(), resources.gpus_per_worker)
        self._per_gpu = resources.workers_per_gpu if isinstance(resources.workers_per_gpu, int) else AUTO
        self._say = say
        self._measured_at = 0.0
        self._plans: dict[str, Plan] = {}
        self._packings: dict[str, Packing] = {}
        self._directories: dict[str, Path] = {}
        if self._per_gpu != 1 or n_workers > len(self._groups):
            for number, group in enumerate(self._groups):
                self._directories[group] = directory / f"gpu-{number}"
                self._directories[group].mkdir(parents=True, exist_ok=True)
        if self._per_gpu == AUTO:
            self._prepare(n_workers)

    def group(self, slot: int) -> str | None:
        """Return what the worker of a slot gets, as CUDA_VISIBLE_DEVICES names it; None on a machine without a GPU."""
        if not self._groups:
            return None
        return self._groups[(slot // self._per_gpu if self._per_gpu else slot) % len(self._groups)]

    def directory(self, slot: int) -> Path | None:
        """Return where the worker of a slot meets those that share its GPU."""
        return self._directories.get(self.group(slot) or "")

    def watch(self, pids: Mapping[int, int]) -> None:
        """Decide which workers may run. pids: of those that have not ended, by their slots."""
        is_due = time.monotonic() - self._measured_at >= MEASURE_S
        for group, directory in self._directories.items():
            own = [pids[slot] for slot in sorted(pids) if self.group(slot) == group]
            packing = self._packings.get(group)
            if is_due and packing is not None:
                self._measure(group, packing, own)
            n = len(own) if self._per_gpu else packing.n if packing else 1
            share, why = (packing.share, packing.why) if packing else (1.0, "")
            plan = Plan(tuple(own[:n]), share, short(group), why)
            if plan != self._plans.get(group):
                with suppress(OSError):  # on a full disk; the next time, again
                    write_plan(directory, plan)
                    self._plans[group] = plan
        if is_due:
            self._measured_at = time.monotonic()

    def _measure(self, group: str, packing: Packing, own: list[int]) -> None:
        before, device = packing.why, fullest(group)
        found = {pid: read_reading(self._directories[group], pid) for pid in own[: packing.n]}
        readings = {pid: reading for pid, reading in found.items() if reading is not None}
        if device is not None:
            packing.decide(device.used_mib, readings, len(own) - packing.n)
        if packing.why != before:
            self._say(f"{short(group)}: {packing.why}.")

    def _prepare(self, n_workers: int) -> None:
        """Measure what others use of the GPUs, before the workers begin, and say what will be decided."""
        asked = "workers_per_gpu: auto"
        if not self._groups:
            each = "it trains" if n_workers == 1 else "each trains"
            self._say(
                f"{asked}: no GPU is used here, so {plural(n_workers, 'worker')} run as always; {each} on the CPU."
            )
            return
        for group in self._groups:
            device = fullest(group)
            if device is None:
                self._say(f"{asked}: the driver does not tell the memory of {short(group)}, so one worker runs on it.")
                continue
            self._packings[group] = Packing(device.total_mib, device.used_mib)
        least = len(self._groups) + 1
        if n_workers < least:
            self._say(f"{asked}: with --workers {n_workers} no GPU is shared; type --workers {least} or more.")
        else:
            mps = "; MPS runs, and is used" if mps_runs() else ""
            self._say(f"{asked}: the first trial of each GPU runs alone; then up to {n_workers} workers share{mps}.")


def short(group: str) -> str:
    """Return a group's name for a person."""
    return ", ".join(name[:SHORT_NAME] if "-" in name else f"GPU {name}" for name in group.split(","))


def mps_runs() -> bool:
    """Whether NVIDIA's Multi-Process Service runs here: kernels of several processes then run at once."""
    variable, default = MPS_PIPES
    return Path(os.environ.get(variable, default), "control").exists()
