"""Hurt a study for some minutes, let it finish, and prove from the database that nothing was lost.

    python benchmarks/chaos.py --minutes 3 --workers 4

Faults, drawn at random every few seconds: SIGKILL to a worker; SIGSTOP to a worker for longer than its lease; SIGKILL
to the embedded PostgreSQL server; SIGKILL to the launcher, which is then started again. Afterwards a checker reads the
storage: exactly n trials count, none runs, numbers are unique, every continuation is linked both ways and has the
parameters and seed of its trial, and every curve is, value for value, that of a trial that nothing happened to.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from studies.errors import StudiesError
from studies.report.summary import StudyReport, read_report
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.study import get

N_EPOCHS = 6
LEASE_S = 4.0

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
sampler: {{name: random, seed: 1}}
pruner: {{name: none}}
limits: {{max_retries: 1000}}
"""


def curve(x: float, seed: int) -> list[float]:
    """Return the values of an undisturbed trial."""
    draw, values = random.Random(seed), []
    for _ in range(N_EPOCHS):
        x += draw.gauss(0, 1)
        values.append(x)
    return values


class Victim:
    """A launch in a directory of its own, started again whenever it ends before the study does."""

    def __init__(self, directory: Path, n_trials: int, n_workers: int) -> None:
        self.directory = directory
        self.environment = os.environ | {"STUDIES_HOME": str(directory / "home"), "STUDIES_LEASE_S": str(LEASE_S)}
        self.settings = Settings.from_environment(self.environment)
        (directory / "walk.py").write_text(OBJECTIVE)
        (directory / "chaos.yaml").write_text(STUDY)
        trials, workers = str(n_trials), str(n_workers)
        self.command = [
            sys.executable,
            "-m",
            "studies",
            "launch",
            "./chaos.yaml",
            "--trials",
            trials,
            "--workers",
            workers,
        ]
        self.n_launches = 0
        self.start()

    def start(self) -> None:
        """Launch, or launch again."""
        self.n_launches += 1
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


class Faults:
    """Does harm, and counts it."""

    def __init__(self, victim: Victim, storage: Storage, study_id: int, seed: int) -> None:
        self.victim = victim
        self.storage = storage
        self.study_id = study_id
        self.draw = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()
        self._stopped: dict[int, float] = {}

    def strike(self) -> None:
        """Do one thing."""
        fault = self.draw.choices(
            ["kill a worker", "stop a worker", "kill the server", "kill the launcher"], [4, 3, 2, 1]
        )[0]
        pids = [worker.pid for worker in self.storage.ledger.workers(self.study_id) if worker.alive]
        try:
            if fault == "kill a worker":
                os.kill(self.draw.choice(pids), signal.SIGKILL)
            elif fault == "stop a worker":
                pid = self.draw.choice(pids)
                os.kill(pid, signal.SIGSTOP)
                self._stopped[pid] = time.monotonic() + LEASE_S * 1.5
            elif fault == "kill the server":
                assert self.storage.server is not None
                os.kill(int((self.storage.server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            else:
                self.victim.process.kill()
        except (ProcessLookupError, IndexError, FileNotFoundError):
            return  # what should have been hurt was not there
        self.counts[fault] += 1

    def relent(self, everyone: bool = False) -> None:
        """Let stopped workers go on once their lease is over."""
        for pid, until in list(self._stopped.items()):
            if everyone or time.monotonic() > until:
                del self._stopped[pid]
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    continue


def check(report: StudyReport, n_trials: int) -> collections.Counter[str]:
    """Return how the trials ended; AssertionError for anything lost, doubled or changed."""
    by_number = {trial.number: trial for trial in report.trials}
    assert len(by_number) == len(report.trials), "a number was given twice"
    counted = [trial for trial in report.trials if trial.continued_by is None]
    assert [trial.state for trial in counted] == ["complete"] * n_trials, collections.Counter(t.state for t in counted)
    for trial in report.trials:
        if not trial.params:  # killed before it had any; its continuation draws its own
            assert trial.state == "fail"
            continue
        x, seed = trial.params["x"], trial.attributes.get("seed")
        assert isinstance(x, float)
        if trial.state == "complete":
            expected = dict(enumerate(curve(x, seed), start=1))
            assert trial.curve == expected, f"trial {trial.number}: {trial.curve}, not {expected}"
            assert trial.value == min(trial.curve.values())
        if trial.continued_by is not None:
            assert by_number[trial.continued_by].continues == trial.number
            assert trial.state == "fail"
        if trial.continues is not None:
            before = by_number[trial.continues]
            assert before.params in ({}, trial.params)
            assert before.attributes.get("seed", seed) == seed
    return collections.Counter(trial.reason or trial.state for trial in report.trials)


def main() -> None:
    """Hurt, wait, check, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n_trials = max(8, round(arguments.minutes * 60 * arguments.workers / (N_EPOCHS * 0.15) * 0.5))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        victim = Victim(Path(name), n_trials, arguments.workers)
        with open_storage(victim.settings) as storage:
            study_id = wait_for_study(storage)
            faults = Faults(victim, storage, study_id, arguments.seed)
            until = time.monotonic() + arguments.minutes * 60
            while victim.keep_going():
                if time.monotonic() < until:
                    time.sleep(faults.draw.uniform(1, 5))
                    faults.strike()
                time.sleep(0.5)
                faults.relent(everyone=time.monotonic() >= until)
            ends = check(read_report(storage, "chaos"), n_trials)
    print(f"{sum(faults.counts.values())} faults survived: {dict(faults.counts)}; {victim.n_launches} launches.")
    print(f"{n_trials} trials asked for, {n_trials} counted, lost: 0. How all of them ended: {dict(ends)}.")


def wait_for_study(storage: Storage) -> int:
    """Return the study's id once the launch has made it."""
    while True:
        try:
            return get(storage, "chaos")._study_id
        except StudiesError:
            time.sleep(0.2)


if __name__ == "__main__":
    main()
