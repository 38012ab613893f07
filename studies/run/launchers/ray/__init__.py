"""Workers on a Ray cluster: `--on ray`, or `--on ray:ADDRESS`. Nothing of Ray's tuner is used.

Ray finds a place for each worker and says when a node goes; workers pull their trials. `cluster` has every call of
Ray's, `slot` what runs on a node.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studies import logs
from studies.errors import DONE, FAILED
from studies.run.launchers import Exit
from studies.run.launchers.local import for_others
from studies.run.launchers.ray.cluster import Cluster, Gone, Place
from studies.run.launchers.ray.slot import Given, Look
from studies.run.launchers.reach import only_here, refusal
from studies.run.launchers.ssh.files import snapshot
from studies.settings import Settings
from studies.words import plural

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description

LOOK_S = 1.0  # from one look at the workers to the next
LAST_EPOCH_S = 10.0  # for workers to leave by themselves when the launcher fails
KILL_S = 10.0  # for workers to end that were killed
CLOSING_S = 0.2  # between two looks while this closes
PATIENCE_S = 15.0  # for Ray to start an actor where there is room


@dataclass(eq=False)
class Worker:
    """A worker, and where it is. seen: None while Ray has no place for it. drained: its node is about to go."""

    place: Place
    log: Path
    asked_at: float
    seen: Look | None = None
    drained: bool = False


class RayLauncher:
    """See `Launcher`. One log file for each worker, `worker-0.log` and so on, in `logs`."""

    def __init__(
        self, spec: StudySpec, settings: Settings, n_workers: int, where: str, say: Callable[[str], None]
    ) -> None:
        self._cluster = Cluster(where)
        _check_storage(self._cluster, settings)
        self._here = for_others(spec, settings, n_workers)
        self.logs, self.n_workers = self._here.logs, n_workers
        self._spec, self._settings, self._say = spec, settings, say
        self._n_cpus = spec.resources.threads_per_worker or 1
        sharing = spec.resources.workers_per_gpu
        n_gpus = spec.resources.gpus_per_worker / (sharing if isinstance(sharing, int) else 1)
        self._n_gpus = n_gpus if self._cluster.has_gpus() else 0
        self._study = ""
        self._code: bytes | None = None
        self._workers: list[Worker] = []
        self._n_started = 0
        self._look_at = 0.0  # on the monotonic clock
        self._stopped = self._killed = self._nothing_left = self._said_who_waits = False

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """See `Launcher`. Raises ObjectiveRefused."""
        return self._here.describe(progress)

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`. Raises WrongInput for more code than can be sent."""
        if self._code is None:
            self._code = snapshot(self._spec, Path.cwd()).tar
        self._study = study
        # A place is for one worker: Ray knows what it shares its GPU with.
        own = {"threads_per_worker": self._n_cpus, "workers_per_gpu": 1}
        resources = self._spec.resources.model_copy(update=own)
        spec = self._spec.model_copy(update={"resources": resources}).model_dump(mode="json")
        given = Given(study, spec, for_nodes(self._settings), self._code)
        for _ in range(n_workers):
            place = self._cluster.place(given, self._n_cpus, self._n_gpus)
            self._workers.append(Worker(place, self.logs / f"worker-{self._n_started}.log", time.monotonic()))
            self._n_started += 1

    def running(self) -> int:
        """See `Launcher`. Those that wait for a place count."""
        return len(self._workers)

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        if not self._workers or time.monotonic() < self._look_at:
            return []
        self._look_at = time.monotonic() + LOOK_S
        if self._cluster.is_cut_off():
            return self._all_lost()
        found = self._cluster.look([worker.place for worker in self._workers])
        exits = []
        for worker in [*self._workers]:
            answer = found.get(worker.place)
            if isinstance(answer, Gone):
                exits.append(self._lost(worker, answer))
            elif answer is not None:
                if worker.seen is None:
                    logs.note_process(worker.log, answer.host, answer.pid)
                worker.seen = answer
                with worker.log.open("ab") as log:
                    log.write(answer.log)
                if answer.ended is not None:
                    exits.append(self._ended(worker, answer.ended))
        self._send_away()
        self._say_who_waits()
        return exits

    def stop(self) -> None:
        """See `Launcher`. The next `reap` asks them: this is called by a signal, perhaps in the middle of one."""
        self._stopped, self._look_at = True, 0.0

    def kill(self) -> None:
        """See `Launcher`. As `stop` does."""
        self._killed = self._stopped = True
        self._look_at = 0.0

    def close(self) -> None:
        """See `Launcher`. Workers end with the connection to the cluster."""
        self.stop()
        self._wait(LAST_EPOCH_S)
        self.kill()
        self._wait(KILL_S)
        for worker in self._workers:
            worker.place.close()
        self._workers = []
        self._cluster.close()
        self._here.close()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._workers and time.monotonic() < deadline:
            self._look_at = 0.0
            self.reap()
            time.sleep(CLOSING_S)

    def _send_away(self) -> None:
        """Ask workers to leave where that was asked; give up places that are no longer needed."""
        draining = self._cluster.draining()
        for worker in [*self._workers]:
            if worker.seen is None:
                if self._stopped or self._nothing_left:
                    self._workers.remove(worker)
                    worker.place.close()
            elif self._killed:
                worker.place.tell("kill")
            elif self._stopped:
                worker.place.tell("stop")
            elif worker.seen.node in draining and not worker.drained:
                worker.drained = True
                worker.place.tell("stop")

    def _ended(self, worker: Worker, ended: Exit) -> Exit:
        """Let go of a worker's place, which another worker cannot have; one takes its place that had to leave."""
        self._workers.remove(worker)
        worker.place.close()
        if worker.drained and ended.code == DONE and not self._stopped and not self._nothing_left:
            self._say(f"Node {ended.host} goes: its worker {ended.pid} has left, and another starts elsewhere.")
            self.start(self._study, 1)
        elif ended.code == DONE:
            self._nothing_left = True
        return ended

    def _all_lost(self) -> list[Exit]:
        """Give up: the workers finish their epochs and leave."""
        why = "the node is gone through which this launch belonged to its Ray cluster"
        exits = [_exit(worker, FAILED, why, lost=True) for worker in self._workers]
        self._workers = []
        return exits

    def _lost(self, worker: Worker, gone: Gone) -> Exit:
        self._workers.remove(worker)
        worker.log.open("ab").close()
        if self._killed:
            return _exit(worker, -signal.SIGKILL, "it was killed")
        if worker.seen is None or worker.seen.node in self._cluster.nodes():
            return _exit(worker, FAILED, gone.why)
        if not self._stopped and not self._nothing_left:
            self._say(
                f"Node {worker.seen.host} is gone, and its worker {worker.seen.pid} with it; another starts elsewhere."
            )
            self.start(self._study, 1)
        return _exit(worker, FAILED, "its node is gone", lost=True)

    def _say_who_waits(self) -> None:
        since = [worker.asked_at for worker in self._workers if worker.seen is None]
        if since and not self._said_who_waits and time.monotonic() - min(since) > PATIENCE_S:
            self._said_who_waits = True
            needs = plural(self._n_cpus, "CPU") + (f" and {self._n_gpus:g} GPU" if self._n_gpus else "")
            self._say(
                f"{plural(len(since), 'worker')} without a place: each needs {needs}; `ray status` shows what is free."
            )


def _exit(worker: Worker, code: int, error: str, lost: bool = False) -> Exit:
    host, pid = (worker.seen.host, worker.seen.pid) if worker.seen is not None else ("", 0)
    return Exit(host, pid, code, error, lost=lost)


def for_nodes(settings: Settings) -> dict[str, object]:
    """Return the settings that a node takes from here; where all nodes are this machine, its directories too."""
    given = {name: getattr(settings, name) for name in ("storage", "lease_s", "storage_wait_s", "artifacts")}
    return given if only_here(settings) is None else given | {"home": settings.home, "data": settings.data}


def _check_storage(cluster: Cluster, settings: Settings) -> None:
    """Raise WrongInput where workers on other machines could not reach the storage."""
    where, elsewhere = only_here(settings), cluster.elsewhere()
    if where is not None and elsewhere is not None:
        cluster.close()
        raise refusal(f"--on ray may start workers on {elsewhere}", where)
