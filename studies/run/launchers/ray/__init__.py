"""Workers on a Ray cluster: `--on ray`, or `--on ray:ADDRESS`. Nothing of Ray's tuner is used.

Ray finds a place for each worker and says when a node goes; workers pull their trials. `cluster` has every call of
Ray's, `driver` the process that makes them, `slot` what runs on a node.
"""

from __future__ import annotations

import importlib.util
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studies.errors import DONE, FAILED, WrongInput
from studies.logs.noted import note_process
from studies.run.launchers import Exit
from studies.run.launchers.ray.cluster import CutOff, Facts, Gone, Order, Seen, Work
from studies.run.launchers.ray.driver import Driver
from studies.run.launchers.ray.slot import Do, Given, Look
from studies.run.launchers.reach import only_here, refusal
from studies.run.launchers.scheduled import ScheduledLauncher
from studies.run.launchers.ssh.files import snapshot
from studies.settings import Settings
from studies.words import plural

if TYPE_CHECKING:
    from studies.spec import StudySpec

LOOK_S = 1.0  # from one look at the workers to the next
PATIENCE_S = 15.0  # for Ray to start an actor where there is room
LEAST_GRACE_S = 30.0  # for a worker whose launcher is silent: it takes `driver.SILENCE_S` to see that
MARGIN_S = 5.0  # a worker gives up before its launcher does
AGAIN_S = 3.0  # between two attempts to connect


@dataclass(eq=False)
class Worker:
    """A worker, and where it is. name: its actor's. seen: None while Ray has no place for it.

    connection: the number of the one through which it was seen last. drained: its node is about to go.
    """

    name: str
    log: Path
    asked_at: float
    connection: int
    seen: Look | None = None
    n_read: int = 0
    drained: bool = False


class RayLauncher(ScheduledLauncher):
    """See `Launcher`. One log file for each worker, `worker-0.log` and so on, in `logs`."""

    kill_s, closing_s = 10.0, 0.2

    def __init__(
        self, spec: StudySpec, settings: Settings, n_workers: int, where: str, say: Callable[[str], None]
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise WrongInput(
                reason="--on ray needs the package ray, and it is not installed here; type: pip install 'studies[ray]'"
            )
        self._address = where
        self._driver, facts = _connected(where, settings)
        super().__init__(spec, settings, n_workers, say)
        self._n_cpus = spec.resources.threads_per_worker or 1
        sharing = spec.resources.workers_per_gpu
        n_gpus = spec.resources.gpus_per_worker / (sharing if isinstance(sharing, int) else 1)
        self._n_gpus = n_gpus if facts.has_gpus else 0
        self._grace_s = max(settings.storage_wait_s, LEAST_GRACE_S)
        self._name = f"{spec.name}-{uuid.uuid4().hex[:8]}"
        self._work: Work | None = None
        self._workers: list[Worker] = []
        self._leaving: dict[str, Order] = {}  # places to let go of, with the next look
        self._n_started = self._n_connections = 0
        self._cut_at: float | None = None
        self._nothing_left = self._said_who_waits = False

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`. Raises WrongInput for more code than can be sent."""
        if self._work is None:
            self._work = self._made_work(study)
        for _ in range(n_workers):
            log = self.logs / f"worker-{self._n_started}.log"
            name = f"{self._name}-{self._n_started}"
            self._workers.append(Worker(name, log, time.monotonic(), self._n_connections))
            self._n_started += 1

    def _made_work(self, study: str) -> Work:
        # A place is for one worker: Ray knows what it shares its GPU with.
        own = {"threads_per_worker": self._n_cpus, "workers_per_gpu": 1}
        resources = self._spec.resources.model_copy(update=own)
        spec = self._spec.model_copy(update={"resources": resources}).model_dump(mode="json")
        code = snapshot(self._spec, Path.cwd()).tar
        given = Given(study, spec, for_nodes(self._settings), code, self._grace_s)
        return Work(given, self._n_cpus, self._n_gpus)

    def running(self) -> int:
        """See `Launcher`. Those that wait for a place count."""
        return len(self._workers)

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        if self._work is None or not self._workers or time.monotonic() < self._look_at:
            return []
        if self._killed and self._cut_at is not None:
            return self._given_up(f"what runs there ends by itself within {self._grace_s:.0f} s")
        try:
            seen = self._driver.look(self._orders(), self._work)
        except (CutOff, WrongInput) as cut:
            return self._cut_off(str(cut))
        if seen is None:
            return []
        self._look_at = time.monotonic() + LOOK_S
        self._leaving = {}
        if self._cut_at is not None:
            self._cut_at = None
            self._say("This launch is connected to its Ray cluster again.")
        return self._reaped(seen)

    def kill(self) -> None:
        """See `Launcher`. As `stop` does."""
        self._killed = self._stopped = True
        self._look_at = 0.0

    def close(self) -> None:
        """See `Launcher`. Workers that cannot be reached leave by themselves."""
        super().close()
        self._workers = []
        self._driver.close()

    def _can_look(self) -> bool:
        return self._cut_at is None

    # --- workers ----------------------------------------------------------------------------------------------------

    def _orders(self) -> dict[str, Order]:
        return self._leaving | {
            worker.name: Order(self._wanted(worker), worker.n_read, worker.seen is not None) for worker in self._workers
        }

    def _wanted(self, worker: Worker) -> Do:
        if worker.seen is None and self._nothing_left:
            return Do.STOP
        if self._killed:
            return Do.KILL
        return Do.STOP if self._stopped or worker.drained else Do.RUN

    def _reaped(self, seen: Seen) -> list[Exit]:
        exits = []
        for worker in [*self._workers]:
            answer = seen.found.get(worker.name)
            if isinstance(answer, Gone):
                exits += self._gone(worker, answer, seen)
            elif answer is not None:
                exits += self._answered(worker, answer)
            elif worker.seen is None and self._wanted(worker) is not Do.RUN:
                self._workers.remove(worker)
                self._leaving[worker.name] = Order(Do.CLOSE, 0, is_placed=False)
            worker.drained = worker.drained or (worker.seen is not None and worker.seen.node in seen.draining)
        self._say_who_waits()
        return exits

    def _answered(self, worker: Worker, answer: Look) -> list[Exit]:
        """Take what a worker has printed; let go of its place when it has ended, for another worker cannot have it."""
        if worker.seen is None:
            note_process(worker.log, answer.host, answer.pid)
        worker.seen, worker.connection = answer, self._n_connections
        with worker.log.open("ab") as log:
            log.write(answer.log)
        worker.n_read += len(answer.log)
        ended = answer.ended
        if ended is None:
            return []
        self._workers.remove(worker)
        self._leaving[worker.name] = Order(Do.CLOSE, worker.n_read, is_placed=True)
        if worker.drained and ended.code == DONE and not self._stopped and not self._nothing_left:
            self._say(f"Node {ended.host} goes: its worker {ended.pid} has left, and another starts elsewhere.")
            self._another()
        elif ended.code == DONE:
            self._nothing_left = True
        return [ended]

    def _another(self) -> None:
        assert self._work is not None
        self.start(self._work.given.study, 1)

    def _gone(self, worker: Worker, gone: Gone, seen: Seen) -> list[Exit]:
        """Start another where it was its node that went, or it was lost while nobody could see it."""
        self._workers.remove(worker)
        worker.log.open("ab").close()
        if self._killed:
            return [_exit(worker, -signal.SIGKILL, "it was killed")]
        is_of_now = worker.connection == self._n_connections
        if is_of_now and (worker.seen is None or worker.seen.node in seen.nodes):
            return [_exit(worker, FAILED, gone.why)]
        wanted = not self._stopped and not self._nothing_left
        if wanted:
            self._another()
        if worker.seen is None:  # it waited for a place, and ran nowhere
            return []
        if wanted:
            where = f"Node {worker.seen.host} is gone, and its worker {worker.seen.pid} with it"
            what = where if is_of_now else f"Worker {worker.seen.pid} on {worker.seen.host} is gone"
            self._say(f"{what}; another starts elsewhere.")
        return [_exit(worker, FAILED, "its node is gone", lost=True)]

    def _say_who_waits(self) -> None:
        since = [worker.asked_at for worker in self._workers if worker.seen is None]
        if since and not self._said_who_waits and time.monotonic() - min(since) > PATIENCE_S:
            self._said_who_waits = True
            needs = plural(self._n_cpus, "CPU") + (f" and {self._n_gpus:g} GPU" if self._n_gpus else "")
            self._say(
                f"{plural(len(since), 'worker')} without a place: each needs {needs}; `ray status` shows what is free."
            )

    # --- the connection ---------------------------------------------------------------------------------------------

    def _cut_off(self, why: str) -> list[Exit]:
        """Connect again while workers go on; give up when they have given up by themselves."""
        now = time.monotonic()
        if self._cut_at is None:
            self._cut_at = now
            self._say(
                f"This launch has lost its Ray cluster ({why}); it connects again while its workers go on, for up to "
                f"{self._grace_s:.0f} s."
            )
        if now - self._cut_at > self._grace_s + MARGIN_S:
            return self._given_up(why)
        self._driver.cut()
        self._look_at = now + AGAIN_S
        self._n_connections += 1
        self._driver = Driver(self._address)
        return []

    def _given_up(self, why: str) -> list[Exit]:
        cut_s = time.monotonic() - (self._cut_at or time.monotonic())
        error = f"its Ray cluster could not be reached for {cut_s:.0f} s: {why.partition(';')[0]}"
        exits = [_exit(worker, FAILED, error, lost=True) for worker in self._workers]
        self._workers = []
        return exits


def _connected(where: str, settings: Settings) -> tuple[Driver, Facts]:
    """Return what belongs to the cluster. Raises WrongInput where it, or the storage from there, cannot be reached."""
    driver = Driver(where)
    try:
        facts = driver.facts()
        here_alone = only_here(settings)
        if here_alone is not None and facts.elsewhere is not None:
            raise refusal(f"--on ray may start workers on {facts.elsewhere}", here_alone)
    except CutOff as cut:
        driver.cut()
        raise WrongInput(reason=f"The Ray cluster cannot be used: {cut}; `ray status` says how it is.") from None
    except BaseException:
        driver.cut()
        raise
    return driver, facts


def _exit(worker: Worker, code: int, error: str, lost: bool = False) -> Exit:
    host, pid = (worker.seen.host, worker.seen.pid) if worker.seen is not None else ("", 0)
    return Exit(host, pid, code, error, lost=lost)


def for_nodes(settings: Settings) -> dict[str, object]:
    """Return the settings that a node takes from here; where all nodes are this machine, its directories too."""
    given = {name: getattr(settings, name) for name in ("storage", "lease_s", "storage_wait_s", "artifacts")}
    return given if only_here(settings) is None else given | {"home": settings.home, "data": settings.data}
