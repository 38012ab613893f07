"""Workers as processes of this machine, forked from one server that has imported torch and the objective once."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

from studies.errors import EXIT_CODES, ObjectiveRefused
from studies.logs.noted import note_process
from studies.logs.places import launch_name
from studies.run.kernel import kernel_oom_kills
from studies.run.launchers import PRELOADED, Exit, child, forkserver
from studies.run.launchers.gpus import Gpus
from studies.run.placement import allowed_cores
from studies.settings import Settings
from studies.spec.program import Program
from studies.words import last_line, signal_name

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description

PROTOCOL = "studies.program"
LAST_WORDS_BYTES = 4000
OOM_KILL_S = 5.0  # what the kernel kills for lack of memory is gone by then
LAST_EPOCH_S = 10.0  # for workers to leave by themselves when the launcher fails


class LocalLauncher:
    """See `Launcher`. One log file for each worker, `worker-0.log` and so on, in `logs`."""

    def __init__(
        self,
        spec: StudySpec,
        settings: Settings,
        n_workers: int,
        say: Callable[[str], None] = lambda line: None,
        directory: Path | None = None,
    ) -> None:
        self.logs = directory or settings.logs_of(spec.name, launch_name())
        self.n_workers = n_workers
        self._prepare_log = self.logs / "prepare.log"
        self._spec = spec
        self._settings = settings
        self._gpus = Gpus(spec.resources, self.logs, n_workers, say)
        self._workers: dict[int, ForkServerProcess] = {}
        self._oom_kills, self._oom_killed_at = kernel_oom_kills(), -math.inf
        self._context = self.get_ready(spec, n_workers)

    @staticmethod
    def get_ready(spec: StudySpec, n_workers: int) -> ForkServerContext:
        """Start the fork server, unless it runs: it imports the objective while the launch asks the storage."""
        # Read by OpenMP when torch is loaded, which happens in the fork server and nowhere else.
        threads = spec.resources.threads_per_worker or max(1, allowed_cores() // n_workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        # A child imports the program's main module again, so what that has imported of the service comes along.
        loaded = sorted(name for name in sys.modules if name.startswith("studies."))
        # A program imports nothing here: the file that it may use stands in its objective's place.
        module = PROTOCOL if isinstance(spec.objective, Program) else spec.objective.partition(":")[0]
        os.environ[PRELOADED] = ",".join([*loaded, module])
        return forkserver.started("studies.run.launchers.preload")

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """See `Launcher`. Raises ObjectiveRefused."""
        receiver, sender = self._context.Pipe(duplex=False)
        log = self._prepare_log
        process = self._context.Process(
            target=child.describe, args=(self._spec, self._settings, sender, log, progress is not None)
        )
        process.start()
        sender.close()
        try:
            while True:
                kind, content = receiver.recv()
                if kind == "progress" and progress is not None:
                    progress(*content)
                elif kind == "error":
                    raise content
                else:
                    described: Description = content
                    return described
        except EOFError:
            process.join()
            said = _last_words(log, f"it exited with {process.exitcode}")
            raise ObjectiveRefused(reason=f"preparing {self._spec.name} ended early: {said}") from None
        finally:
            receiver.close()
            if sys.exc_info()[0] is not None:
                process.terminate()
            process.join()

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`."""
        for _ in range(n_workers):
            self._start(study)
        self._watch()

    def _start(self, study: str) -> None:
        slot = next(slot for slot in range(len(self._workers) + 1) if slot not in self._workers)
        process = self._context.Process(
            target=child.be_worker,
            args=(study, self._settings, self._gpus.group(slot), self._gpus.directory(slot), self._log(slot)),
            name=f"worker-{slot}",
        )
        process.start()
        self._workers[slot] = process
        note_process(self._log(slot), socket.gethostname(), process.pid or 0)

    def running(self) -> int:
        """See `Launcher`."""
        return len(self._workers)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the workers that have not ended, by the names of their logs."""
        return {self._log(slot).name: process.pid or 0 for slot, process in self._workers.items()}

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        exits = []
        self._memory_is_short()  # so that what the kernel killed long ago is not taken for a worker
        for slot, process in list(self._workers.items()):
            if process.exitcode is not None:
                del self._workers[slot]
                error = f"it exited with {process.exitcode}" if process.exitcode else None
                if process.exitcode in EXIT_CODES and error:  # no other is a worker's own, which says why
                    error = _last_words(self._log(slot), error)
                if process.exitcode < 0:
                    error = f"killed by {signal_name(-process.exitcode)}"
                out_of_memory = process.exitcode == -signal.SIGKILL and self._memory_is_short()
                exits.append(Exit(socket.gethostname(), process.pid or 0, process.exitcode, error, out_of_memory))
        self._watch()
        return exits

    def _watch(self) -> None:
        self._gpus.watch({slot: process.pid or 0 for slot, process in self._workers.items()})

    def _memory_is_short(self) -> bool:
        """Whether the kernel has killed something for lack of memory in the last OOM_KILL_S."""
        kills = kernel_oom_kills()
        if kills > self._oom_kills:
            self._oom_kills, self._oom_killed_at = kills, time.monotonic()
        return time.monotonic() - self._oom_killed_at < OOM_KILL_S

    def stop(self) -> None:
        """See `Launcher`."""
        for process in self._workers.values():
            process.terminate()

    def kill(self) -> None:
        """See `Launcher`."""
        for process in self._workers.values():
            process.kill()

    def close(self) -> None:
        """See `Launcher`. The fork server ends with this process."""
        self.stop()
        deadline = time.monotonic() + LAST_EPOCH_S
        for process in self._workers.values():
            process.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        for process in self._workers.values():
            process.join()
        with suppress(OSError):  # of a launch that was refused nothing is left
            if not self._prepare_log.stat().st_size:
                self._prepare_log.unlink()
            self.logs.rmdir()

    def _log(self, slot: int) -> Path:
        return self.logs / f"worker-{slot}.log"


def _last_words(log: Path, otherwise: str) -> str:
    try:
        return last_line(log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace")) or otherwise
    except OSError:
        return "it wrote no log"
