"""What of this machine a worker gets: which GPUs, and how many cores."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

from studies.errors import WrongInput
from studies.run import nvml
from studies.words import plural

MIB_IN_USE = 1024  # less than this is a desktop's or a driver's, and says nothing of how busy a GPU is
VISIBLE = "CUDA_VISIBLE_DEVICES"
CGROUPS = Path("/sys/fs/cgroup")


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them, the least busy first.

    Those that CUDA_VISIBLE_DEVICES names stay as they are, in its order. Others are named by UUID, since CUDA may count
    them in another order than the driver. A GPU that is divided (MIG) is each of its parts.
    """
    chosen = os.environ.get(VISIBLE)
    if chosen is not None:  # CUDA reads on until it meets a device that there is not
        names = (name.strip() for name in chosen.split(","))
        return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    found = sorted(nvml.gpus(), key=lambda gpu: (gpu.used_mib // MIB_IN_USE, gpu.percent))
    return [part.uuid for gpu in found for part in gpu.parts or (gpu,)]


def groups_of(gpus: list[str], n: int) -> list[str]:
    """Return the GPUs that one worker gets, n at a time, as CUDA_VISIBLE_DEVICES names them.

    Empty on a machine without a GPU. Raises WrongInput where it has some, but fewer than n, or parts of GPUs, of which
    a process can use only one.
    """
    if not n or not gpus:
        return []
    if len(gpus) < n:
        has = plural(len(gpus), "GPU")
        raise WrongInput(reason=f"resources.gpus_per_worker is {n}, and this machine has {has}; expected at most that.")
    if n > 1 and any(gpu.startswith("MIG-") for gpu in gpus):
        raise WrongInput(
            reason=f"resources.gpus_per_worker is {n}, and this machine's GPUs are divided (MIG), where a process can "
            "use one part; expected 1."
        )
    return [",".join(gpus[start : start + n]) for start in range(0, len(gpus) - n + 1, n)]


def choose(gpus: str) -> None:
    """Let this process use these GPUs alone, as CUDA_VISIBLE_DEVICES would name them. Raises WrongInput."""
    here = visible_gpus()
    known = {*here} if VISIBLE in os.environ else {*here, *map(str, range(len(here)))}
    for name in gpus.split(","):
        if name.strip() not in known:
            raise WrongInput(reason=f"--gpu is {gpus}; this machine has {', '.join(sorted(known)) or 'no GPU'}.")
    os.environ[VISIBLE] = gpus


def take(n: int) -> str:
    """Let this process use n GPUs, the least busy; return the device to train on. Raises WrongInput."""
    groups = groups_of(visible_gpus(), n)
    if groups:
        os.environ[VISIBLE] = groups[0]
    return "cuda" if groups else "cpu"


def allowed_cores() -> int:
    """Return how many cores this process may keep busy: of its CPU affinity, and of its control groups' quotas."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.floor(min([float(cores), *_quotas(CGROUPS)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, of this process's control group and of each above it (versions 2 and 1)."""
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in groups):
        hierarchy = root if not controllers else root / "cpu" if "cpu" in controllers.split(",") else None
        if hierarchy is None:
            continue
        group = Path(path.lstrip("/"))
        for directory in (hierarchy / each for each in (group, *group.parents)):
            yield from _quota(directory)


def _quota(group: Path) -> Iterator[float]:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
    except (OSError, ValueError):
        return
    if quota not in ("max", "-1"):
        yield int(quota) / int(period)
