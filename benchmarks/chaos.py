"""Hurt a study on two hosts for some minutes, let it finish, and prove from the database that nothing was lost.

    python benchmarks/chaos.py --minutes 3 --workers 2

Two people launch the same study at the same time on two hosts with a network each (`networks.py`), one PostgreSQL
server and one artifact store. Faults, in random order, every few seconds: SIGKILL to a worker; SIGSTOP to a worker for
longer than its lease; SIGKILL to the server; SIGKILL to a launcher, which is then started again; a host cut off for
less, or for more, than a lease, its packets vanishing; connections reset; the store's disk filled, or the server's.

Afterwards a checker reads the storage: exactly n trials count, none runs, numbers are unique; every trial is continued
at most once, and that linked both ways, be it lost or paused; parameters and seeds are those of an undisturbed study;
and every curve is, value for value, that of a trial that nothing happened to, or the beginning of one.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from disks import Disk
from networks import Network, ServerOfHosts, free_port, make_network

from studies import spec as specs
from studies.errors import StorageUnreachable, StudiesError
from studies.names import PAUSED, Reason
from studies.record.reading import read_stored
from studies.record.study import StudyRecord, TrialRecord
from studies.search.samplers import make_sampler
from studies.search.seeded import seed_of
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.study import get, space_of

N_HOSTS = 2
N_EPOCHS = 6
LEASE_S = 4.0
SEED = 1
STORE_BYTES, SERVER_BYTES = 2**20, 400 * 2**20

OBJECTIVE = '''
import random, time

class Training:
    """A random walk that depends on the parameters, the seed and every epoch before."""

    def __init__(self, x, seed):
        self.walk, self.draw = x, random.Random(seed)

    def epoch(self):
        time.sleep(0.15)
        self.walk += self.draw.gauss(0, 1)
        return {"loss": self.walk, "train_loss": self.walk}

    def state_dict(self):
        return {"walk": self.walk, "draw": self.draw.getstate()}

    def load_state_dict(self, state):
        self.walk = state["walk"]
        self.draw.setstate(state["draw"])

class Walk:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {"x": {"low": -10.0, "high": 10.0, "default": 0.0}}

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params["x"], seed)
'''

STUDY = f"""
name: chaos
objective: walk:Walk
dataset: none
metric: loss
direction: minimize
n_trials: 1
max_epochs: {N_EPOCHS}
sampler: {{name: random, seed: {SEED}}}
pruner: {{name: asha, min_epochs: 2}}
limits: {{max_retries: 1000}}
"""


def curve(x: float, seed: int) -> list[float]:
    """Return the values of an undisturbed trial."""
    draw, values = random.Random(seed), []
    for _ in range(N_EPOCHS):
        x += draw.gauss(0, 1)
        values.append(x)
    return values


class Launch:
    """A launch on a host, in a directory of its own, started again whenever it ends before the study does."""

    def __init__(self, command: list[str], directory: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.directory = directory
        self.environment = os.environ | environment | {"STUDIES_HOME": str(directory / "home")}
        directory.mkdir()
        (directory / "walk.py").write_text(OBJECTIVE)
        (directory / "chaos.yaml").write_text(STUDY)
        self.n_starts = 0
        self.start()

    def start(self) -> None:
        """Launch, or launch again."""
        self.n_starts += 1
        with (self.directory / "launch.log").open("a") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def keep_going(self) -> bool:
        """Start it again if it ended unfinished; return whether it still runs."""
        code = self.process.poll()
        if code is not None and code != 0:
            self.start()
        return code != 0


@dataclass
class Scene:
    """What can be hurt."""

    network: Network
    server: ServerOfHosts
    store_disk: Disk
    server_disk: Disk
    launches: list[Launch]
    storage: Storage
    study_id: int

    def pids(self) -> list[int]:
        """Return the processes of the workers that were heard of lately; none while the server is away."""
        try:
            return [worker.pid for worker in self.storage.ledger.workers(self.study_id) if worker.alive]
        except StudiesError:
            return []


class Faults:
    """Does harm, counts it, and takes back what passes by itself."""

    KINDS = (
        "kill a worker", "kill a worker", "stop a worker", "kill the server", "kill a launcher",
        "cut a host off briefly", "cut a host off past its lease", "reset connections", "fill the store's disk",
        "fill the server's disk",
    )  # fmt: skip

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.draw = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()
        self._deck: list[str] = []
        self._passing: list[tuple[float, str, int]] = []

    def strike(self) -> None:
        """Do one thing; every kind comes once before any comes again."""
        if not self._deck:
            may = [kind for kind in self.KINDS if "server's disk" not in kind or self.scene.server_disk.mounted]
            self._deck = self.draw.sample(may, len(may))
        fault = self._deck.pop()
        host = self.draw.randrange(N_HOSTS)
        try:
            self._do(fault, host)
        except (ProcessLookupError, IndexError, FileNotFoundError):
            self._deck.insert(0, fault)  # what should have been hurt was not there: later
            return
        self.counts[fault] += 1

    def _do(self, fault: str, host: int) -> None:
        scene = self.scene
        if fault == "kill a worker":
            os.kill(self.draw.choice(scene.pids()), signal.SIGKILL)
        elif fault == "stop a worker":
            pid = self.draw.choice(scene.pids())
            os.kill(pid, signal.SIGSTOP)
            self._later(LEASE_S * 1.5, "stop", pid)
        elif fault == "kill the server":
            os.kill(int((scene.server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        elif fault == "kill a launcher":
            scene.launches[host].process.kill()
        elif fault == "reset connections":
            scene.network.reset(host)
            self._later(1.0, "network", host)
        elif fault == "fill the store's disk":
            scene.store_disk.fill(scene.pids())
            self._later(LEASE_S, "store", 0)
        elif fault == "fill the server's disk":
            scene.server_disk.fill([])
            self._later(LEASE_S, "server", 0)
        else:
            scene.network.cut(host)
            self._later(LEASE_S * (2 if "past" in fault else 0.5), "network", host)

    def _later(self, seconds: float, what: str, which: int) -> None:
        self._passing.append((time.monotonic() + seconds, what, which))

    def relent(self, all_of_them: bool = False) -> None:
        """Take back what has lasted long enough, and let the server's keeper start it again."""
        with suppress(StorageUnreachable):  # its disk is full
            self.scene.server.revive()
        for until, what, which in list(self._passing):
            if not all_of_them and time.monotonic() < until:
                continue
            self._passing.remove((until, what, which))
            if what == "stop":
                with suppress(ProcessLookupError):
                    os.kill(which, signal.SIGCONT)
            elif what == "network":
                self.scene.network.heal(which)
            elif what == "store":
                self.scene.store_disk.clear(self.scene.pids())
            else:
                self.scene.server_disk.clear([])


class Undisturbed:
    """The same study, with the same seeds, that nothing happens to."""

    def __init__(self, n_trials: int, storage: Storage) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = get(storage, "chaos")
        spec = specs.StudySpec.model_validate(study.user_attrs["spec"])
        space = space_of(study)
        calm = optuna.create_study(sampler=make_sampler(spec, space))
        calm.enqueue_trial(space.completed({}))  # the declared default runs first
        self.x = [calm.ask().suggest_float("x", -10.0, 10.0) for _ in range(n_trials)]

    def check(self, trial: TrialRecord, first: TrialRecord) -> None:
        """Compare a trial with what this study has for the one that it continues, through all of its continuations."""
        x, seed = trial.params["x"], trial.seed
        assert isinstance(x, float)
        assert x == self.x[first.number], f"trial {trial.number} has another x than an undisturbed {first.number}"
        assert seed == seed_of(SEED, first.number), f"trial {trial.number} has another seed"
        expected = dict(enumerate(curve(x, seed), start=1))
        if trial.state == "complete":
            assert trial.curve == expected, f"trial {trial.number}: {trial.curve}, not {expected}"
            assert trial.value == min(expected.values())
            assert [epoch["loss"] for epoch in trial.history] == list(expected.values())
        else:
            beginning = dict(itertools.islice(expected.items(), len(trial.curve)))
            assert trial.curve == beginning, f"trial {trial.number}: {trial.curve}, not {beginning}"


def check(report: StudyRecord, n_trials: int, storage: Storage) -> collections.Counter[str]:
    """Return how the trials ended; AssertionError for anything lost, doubled or changed."""
    by_number = {trial.number: trial for trial in report.trials}
    assert sorted(by_number) == list(range(len(report.trials))), "a number was given twice, or not at all"
    counted = [trial for trial in report.trials if trial.continued_by is None]
    states = collections.Counter(str(trial.state) for trial in counted)
    assert states["complete"] + states["pruned"] == n_trials == len(counted), states
    assert states["complete"] >= 3, states
    continued = [trial.continues for trial in report.trials if trial.continues is not None]
    assert len(continued) == len(set(continued)), "a trial was continued twice"
    undisturbed = Undisturbed(len(report.trials), storage)
    for trial in report.trials:
        if trial.continued_by is not None:
            assert trial.reason in list(Reason) if trial.state == "fail" else PAUSED in trial.attributes, trial
            assert by_number[trial.continued_by].continues == trial.number
        if trial.continues is not None:
            assert by_number[trial.continues].continued_by == trial.number
        if not trial.params:  # killed before it had any; its continuation draws its own
            assert trial.state == "fail"
            continue
        first = trial
        while first.continues is not None and by_number[first.continues].params:
            first = by_number[first.continues]
        undisturbed.check(trial, first)
    return collections.Counter(str(trial.reason or trial.state) for trial in report.trials)


def main() -> None:
    """Hurt, wait, check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2, help="on each host")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n_trials = max(8, round(arguments.minutes * 60 * arguments.workers * N_HOSTS / (N_EPOCHS * 0.15) * 0.5))
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        scene(Path(name), arguments, n_trials) as hurt,
    ):
        faults = Faults(hurt, arguments.seed)
        until = time.monotonic() + arguments.minutes * 60
        while True in [launch.keep_going() for launch in hurt.launches]:
            if time.monotonic() < until:
                time.sleep(faults.draw.uniform(0.5, 3))
                faults.strike()
            time.sleep(0.5)
            faults.relent(all_of_them=time.monotonic() >= until)
        ends = check(read_stored(hurt.storage, "chaos"), n_trials, hurt.storage)
        n_kept = len(list(hurt.store_disk.place.rglob("*.safetensors*")))
        assert n_kept <= 3 + arguments.workers * N_HOSTS, f"{n_kept} checkpoints are left"
        logs = "".join(log.read_text() for log in Path(name).rglob("worker-*.log"))
    network = type(hurt.network).__name__.lower()
    disk = "a small disk of its own" if hurt.store_disk.mounted else "a disk that refuses large files when it is full"
    n_starts = sum(launch.n_starts for launch in hurt.launches)
    print(f"{sum(faults.counts.values())} faults survived: {dict(faults.counts)}.")
    print(f"{N_HOSTS} hosts on {network}, the store on {disk}; {n_starts} launches.")
    print(f"{n_trials} trials asked for, {n_trials} counted, lost: 0. How all of them ended: {dict(ends)}.")
    print(
        f"Trials dropped by a worker that found them taken over: {logs.count('was taken over by another worker')}; "
        f"checkpoints that did not fit: {logs.count('goes on without a checkpoint')}; checkpoints left: {n_kept}."
    )


@contextmanager
def scene(directory: Path, arguments: argparse.Namespace, n_trials: int) -> Iterator[Scene]:
    """Set up the hosts, the server, the store and the launches; take it all down in the end."""
    directory.chmod(0o755)
    port = free_port()
    settings = Settings(None, directory / "server", directory / "data", lease_s=LEASE_S)
    store_disk, server_disk = Disk(directory / "artifacts", STORE_BYTES), Disk(settings.home, SERVER_BYTES)
    launches: list[Launch] = []
    command = [
        sys.executable, "-m", "studies", "launch", "./chaos.yaml", "--trials", str(n_trials),
        "--workers", str(arguments.workers),
    ]  # fmt: skip
    try:
        with make_network(N_HOSTS, port) as network, ServerOfHosts(settings, port, network.listen_addresses) as server:
            for host in range(N_HOSTS):
                url = server.team_url(network.address(host))
                environment = {"STUDIES_STORAGE": url, "STUDIES_ARTIFACTS": str(store_disk.place)}
                environment["STUDIES_LEASE_S"] = str(LEASE_S)
                launches.append(Launch(network.command(host, command), directory / f"host-{host}", environment))
            with open_storage(replace(settings, storage=server.url, storage_wait_s=5)) as storage:
                yield Scene(network, server, store_disk, server_disk, launches, storage, wait_for_study(storage))
    finally:
        for launch in launches:
            launch.process.kill()
            launch.process.wait()
        for disk in (store_disk, server_disk):
            disk.close()


def wait_for_study(storage: Storage) -> int:
    """Return the study's id once a launch has made it."""
    while True:
        try:
            return get(storage, "chaos")._study_id
        except StudiesError:
            time.sleep(0.2)


if __name__ == "__main__":
    main()
