"""A GPU that workers of one launch share: which of them may run, what each measured, and a trial that wants it alone.

They meet in a directory of the launch:

    plan.json    the launcher's: see `Plan`
    PID.json     each worker's: see `packing.Reading`
    gpu, door    locks. A trial holds `gpu` together with others, or alone; a worker that waits for it holds `door`, so
                 that one that waits to be alone is not overtaken for ever. The kernel drops those of a dead worker.
"""

from __future__ import annotations

import fcntl
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from studies.files import write_whole
from studies.metrics import EPOCH_S, EXAMPLES_PER_S
from studies.run import nvml
from studies.run.packing import RECENT, Reading
from studies.run.placement import VISIBLE

POLL_S = 0.2
LOOK_S = 0.3  # at least, between two looks at the device: epochs may be short
MIB = 2**20
PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """Which workers may run trials, by process id, the first ones first.

    share: which part of the GPU's memory each may keep by its own account. gpu, why: for a person.
    """

    active: tuple[int, ...] = ()
    share: float = 1.0
    gpu: str = ""
    why: str = ""


class SharedGpu:
    """What a worker knows of the others on its GPU. directory: None where it has the GPU, or the CPU, to itself."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._reading = Reading()
        self._told = ""
        self._began_shared = False
        self._looked_at = -math.inf

    def may_run(self) -> bool:
        """Whether this worker may begin a trial."""
        return self._directory is None or os.getpid() in self._plan().active

    def is_shared(self) -> bool:
        """Whether others may run trials on the GPU now, or could when the last trial here began."""
        return self._directory is not None and (self._began_shared or len(self._plan().active) > 1)

    @contextmanager
    def held(self, alone: bool, should_stop: Callable[[], object]) -> Iterator[bool]:
        """Hold the GPU for a trial, together with others or alone; yield False where the worker should stop before.

        Memory that torch keeps from earlier trials is given back at the end, for the others.
        """
        if self._directory is None:
            yield True
            return
        with (self._directory / "door").open("w") as door, (self._directory / "gpu").open("w") as gpu:
            is_in = _locked(door, fcntl.LOCK_EX, should_stop)
            is_in = is_in and _locked(gpu, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, should_stop)
            fcntl.flock(door, fcntl.LOCK_UN)
            if is_in:
                plan = self._plan()
                self._began_shared = len(plan.active) > 1
                _limit_memory(1.0 if alone else plan.share)
            try:
                yield is_in
            finally:
                _give_memory_back()

    def after_epoch(self, metrics: Mapping[str, float]) -> None:
        """Tell the launcher how fast the last epoch was, and how much memory the process keeps."""
        epoch_s = metrics.get(EPOCH_S, 0.0)
        speed = metrics.get(EXAMPLES_PER_S) or (1 / epoch_s if epoch_s else 0.0)
        speeds = (*self._reading.speeds, speed)[-RECENT:]
        self._tell(n_epochs=self._reading.n_epochs + 1, speeds=speeds)

    def after_trial(self, seconds: float) -> str | None:
        """Tell the launcher that a trial has ended; return what it has decided, where that is news.

        One that reported no epoch, as a plain function's, counts as one epoch.
        """
        if self._directory is None:
            return None
        n_trials = self._reading.n_trials + 1
        if self._reading.n_epochs < n_trials:
            self.after_epoch({EPOCH_S: seconds})
        self._tell(n_trials=n_trials)
        plan = self._plan()
        said = f"{plan.gpu}: {plan.why}" if plan.active[:1] == (os.getpid(),) and plan.why else self._told
        news, self._told = said if said != self._told else None, said
        return news

    def _tell(self, **news: Any) -> None:
        if self._directory is None:
            return
        reserved_mib, peak_mib = _reserved_mib()
        news["peak_mib"] = max(self._reading.peak_mib, peak_mib)
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            if (device := nvml.fullest(os.environ.get(VISIBLE, ""))) is not None:
                news["beyond_mib"] = max(self._reading.beyond_mib, device.used_mib - reserved_mib)
        self._reading = replace(self._reading, **news)
        with suppress(OSError):  # on a full disk nothing is decided any more, and trials go on
            _path(self._directory, os.getpid()).write_text(json.dumps(asdict(self._reading)))

    def _plan(self) -> Plan:
        assert self._directory is not None
        try:
            found = json.loads((self._directory / PLAN).read_text())
        except (OSError, ValueError):  # the launcher has not written it yet
            return Plan()
        return Plan(**found | {"active": tuple(found["active"])})


def write_plan(directory: Path, plan: Plan) -> None:
    """Tell the workers what the launcher has decided."""
    write_whole(directory / PLAN, json.dumps(asdict(plan)).encode())


def read_reading(directory: Path, pid: int) -> Reading | None:
    """Return what a worker has measured; None before its first epoch, and while it writes."""
    try:
        found = json.loads(_path(directory, pid).read_text())
    except (OSError, ValueError):
        return None
    return Reading(**found | {"speeds": tuple(found["speeds"])})


def _path(directory: Path, pid: int) -> Path:
    return directory / f"{pid}.json"


def _locked(file: IO[str], kind: int, should_stop: Callable[[], object]) -> bool:
    while not should_stop():
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL_S)
        else:
            return True
    return False


def _torch() -> Any:
    """Return torch, where the objective has loaded it and has used a GPU."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _reserved_mib() -> tuple[float, float]:
    """Return how much torch keeps of the GPUs' memory: now, and at most since the trial began."""
    if (torch := _torch()) is None:
        return 0.0, 0.0
    devices = range(torch.cuda.device_count())
    now = max(torch.cuda.memory_reserved(device) for device in devices)
    most = max(torch.cuda.max_memory_reserved(device) for device in devices)
    return now / MIB, most / MIB


def _limit_memory(share: float) -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(share, device)


def _give_memory_back() -> None:
    if (torch := _torch()) is not None:
        gc.collect()
        with suppress(RuntimeError):  # after an error of the GPU nothing works any more; the worker is replaced
            torch.cuda.empty_cache()
