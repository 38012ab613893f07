"""`--on ssh:HOST,HOST:N`: workers on machines that `ssh` reaches."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from studies import errors
from studies.errors import MachinesNotReady, ObjectiveRefused, WrongInput
from studies.logs.places import launch_name
from studies.run.launchers import Exit
from studies.run.launchers.ssh import files, readiness
from studies.run.launchers.ssh.connection import Cut, Refused, explained
from studies.run.launchers.ssh.guard import Guard
from studies.run.launchers.ssh.machine import Machine, Sent
from studies.run.launchers.ssh.packages import packages
from studies.run.launchers.ssh.tunnel import tunnel_to
from studies.run.launchers.ssh.where import EXAMPLE, places
from studies.settings import Settings
from studies.spec.description import Description

if TYPE_CHECKING:
    from studies.spec import StudySpec

BEAT_S = 4.0


class SshLauncher:
    """See `Launcher`. One log file for each worker, `worker-HOST-0.log` and so on, in `logs`."""

    def __init__(
        self, spec: StudySpec, settings: Settings, n_workers: int, where: str, say: Callable[[str], None]
    ) -> None:
        if not where:
            raise WrongInput(reason=f"--on ssh names no machine; expected some, such as {EXAMPLE}.")
        self._places = places(where, n_workers)
        if shutil.which("ssh") is None:
            raise WrongInput(
                reason="--on ssh needs the command ssh, and it is not in PATH; install OpenSSH's client (Debian: "
                "apt-get install openssh-client), and type the same again."
            )
        self.n_workers = sum(place.n_workers for place in self._places)
        self._spec, self._settings, self._say = spec, settings, say
        self.logs = settings.logs_of(spec.name, launch_name())
        self._machines: list[Machine] = []
        self._closing = False
        self._changes: SimpleQueue[None] = SimpleQueue()  # its `put` may be interrupted by itself, as by Ctrl-C
        self._guard: Guard | None = None

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """See `Launcher`. Raises MachinesNotReady, and what the machines say of the objective."""
        if not self._machines:
            self._prepare()
        answers: dict[Machine, dict[str, Any]] = {}
        self._each(lambda machine: answers.update({machine: self._described(machine, progress)}))
        described = [answers[machine] for machine in self._machines]
        first, others = described[0], described[1:]
        for machine, other in zip(self._machines[1:], others, strict=True):
            if other["data"].get("sha256") != first["data"].get("sha256"):
                raise ObjectiveRefused(
                    reason=f"{machine.host} has other data than {self._machines[0].host} ({first['data'].get('name')}: "
                    "their sha256 differ); copy the one's data to the other"
                )
        return Description(first["declared"], first["data"], self._spec.resolve(first["declared"]), first["code"])

    def _prepare(self) -> None:
        """Connect to every machine, look around, and, if all is well, send what is missing."""
        sent = Sent(
            spec=self._spec,
            settings=self._settings,
            package=files.package(),
            code=files.snapshot(self._spec, Path.cwd()),
            packages=packages(self._settings),
            tunnel=tunnel_to(self._settings),
            logs=self.logs,
        )
        self._machines = [Machine(place, sent, self._say) for place in self._places]
        lacking = self._failures(Machine.connect)
        found = {}
        for machine in self._machines:
            if machine.host not in lacking and (lacks := readiness.missing(machine.found, self._settings.python)):
                lacking[machine.host] = lacks
            found[machine.host] = lacking.get(machine.host) or [readiness.described(machine.found)]
        for line in readiness.table(found):
            self._say(line)
        _refuse(lacking)
        self._each(Machine.equip)
        self._guard = Guard(self._settings) if self._settings.storage is None else None
        threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def _each(self, do: Callable[[Machine], None]) -> None:
        """Do something on all machines at once. Raises MachinesNotReady, having said why."""
        failures = self._failures(do)
        for line in readiness.table(failures) if failures else ():
            self._say(line)
        _refuse(failures)

    def _failures(self, do: Callable[[Machine], None]) -> dict[str, list[str]]:
        """Do something on all machines at once; return what each of them could not, in the order of --on."""

        def one(machine: Machine) -> list[str]:
            try:
                do(machine)
            except Cut as error:
                return [explained(machine.host, str(error))]
            except Refused as error:
                return [str(error)]
            return []

        with ThreadPoolExecutor(len(self._machines)) as pool:
            try:
                failures = list(pool.map(one, self._machines))
            except KeyboardInterrupt:  # nobody waits for an installation
                self._close()
                raise
        return {machine.host: failed for machine, failed in zip(self._machines, failures, strict=True) if failed}

    def _described(self, machine: Machine, progress: Callable[[str, float], None] | None) -> dict[str, Any]:
        shown = progress if machine is self._machines[0] else None
        answer = machine.describe(progress is not None, shown)
        if "error" in answer:
            raise getattr(errors, answer["error"], ObjectiveRefused)(**answer["given"])
        described: dict[str, Any] = answer["described"]
        return described

    def start(self, study: str, n_workers: int) -> None:
        """See `Launcher`. Each goes where most places are free; a machine that comes back fills its own."""
        free = Counter(
            {machine: machine.n_workers - machine.n_running for machine in self._machines if not machine.is_gone}
        )
        starts: Counter[Machine] = Counter()
        for _ in range(n_workers):
            machine, n_free = max(free.items(), key=lambda item: item[1], default=(None, 0))
            if machine is None or n_free <= 0:
                break
            free[machine] -= 1
            starts[machine] += 1
        for machine, n in starts.items():
            machine.start(study, n)
        self._changes.put(None)

    def running(self) -> int:
        """See `Launcher`."""
        return sum(machine.n_running + machine.n_unreaped for machine in self._machines)

    def reap(self) -> list[Exit]:
        """See `Launcher`."""
        return [ended for machine in self._machines for ended in machine.reap()]

    def stop(self) -> None:
        """See `Launcher`."""
        for machine in self._machines:
            machine.stop()
        self._changes.put(None)

    def kill(self) -> None:
        """See `Launcher`."""
        for machine in self._machines:
            machine.kill()
        self._changes.put(None)

    def close(self) -> None:
        """See `Launcher`. A machine that is cut off ends its workers by itself."""
        self._closing = True
        self._close()
        if self._guard is not None:
            self._guard.release()
            self._guard = None

    def _close(self) -> None:
        with ThreadPoolExecutor(len(self._places)) as pool:
            list(pool.map(Machine.close, self._machines))

    def _beat(self) -> None:
        while not self._closing:
            with suppress(Empty):
                self._changes.get(timeout=BEAT_S)
            for machine in self._machines:
                machine.beat()


def _refuse(lacking: Mapping[str, Sequence[str]]) -> None:
    if lacking:
        raise MachinesNotReady(hosts=" and ".join(lacking), them="it" if len(lacking) == 1 else "them")
