"""A thousand workers on one server: 60-second trials of 20 epochs, on a virtual clock against a real database.

    python benchmarks/fleet.py [--workers 1000] [--processes 4] [--seconds 60] [--json FILE]

Each process plays its share of the workers: it carries out their operations in the order of their virtual times, as
fast as the server allows. A worker does what `studies worker` does in a study of Hyperband and a random sampler: it
asks for the budget and lost trials, claims a trial, sets three parameters, reports 20 epochs 3 s apart, asks the pruner
after each (and goes on whatever the answer, so that all trials are equally long), sends a heartbeat every 5 s, and ends
with three attributes. Each has a storage and a ledger of its own, and so a memory of its own; those of
a process take turns on its connections, as behind a pooler.

`head_room` is virtual over real time: at 2, the machine had as much to spare as it used, the playing of the workers
included. `server_cores` is the server's CPU time over the virtual time: how many cores this fleet keeps busy.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import TrialState

from studies.search.rungs import Hyperband
from studies.settings import Settings
from studies.storage.connections import Connections
from studies.storage.embedded import EmbeddedServer
from studies.storage.ledger import Ledger, Usage
from studies.storage.postgres import PostgresStorage

EPOCHS, EPOCH_S, HEARTBEAT_S = 20, 3.0, 5.0


class Worker:
    """One worker, with the memory that it would have."""

    def __init__(self, url: str, name: str, connections: Connections) -> None:
        self.storage = PostgresStorage(url)
        self.storage._connections.close()
        self.storage._connections = connections
        self.storage._compose()
        self.ledger = Ledger(url, lease_s=3600, wait_s=60)
        self.ledger.close()
        self.ledger._connections = connections
        self.study = optuna.load_study(
            study_name=name,
            storage=self.storage,
            sampler=optuna.samplers.RandomSampler(),
            pruner=Hyperband(min_resource=1, max_resource=EPOCHS, reduction_factor=3),
        )
        self.worker_id = self.ledger.enter(self.study._study_id, "cpu")
        self.epoch = 0
        self.trial: optuna.Trial

    def begin(self, n_epochs_done: int) -> None:
        """Claim a trial and bring it to an epoch."""
        study_id = self.study._study_id
        budget = self.ledger.budget(study_id)
        assert not budget.lost
        trial_id = self.storage.claim_trial(study_id, n_trials=budget.n_trials, worker_id=self.worker_id)
        assert trial_id is not None
        self.trial = optuna.Trial(self.study, trial_id)
        for name in ("x", "y", "z"):
            self.trial.suggest_float(name, 0, 1)
        for epoch in range(n_epochs_done):
            self.trial.report(random.random(), epoch + 1)
        self.trial.should_prune()
        self.epoch = n_epochs_done

    def train(self) -> None:
        """Come to the end of an epoch, and of the trial after the last one."""
        self.epoch += 1
        with self.storage.together(self.trial._trial_id):
            self.trial.report(random.random(), self.epoch)
            if self.epoch < EPOCHS:
                self.trial.should_prune()
                return
        attrs = {"seconds": 60.0, "history": [{"loss": 0.5}] * EPOCHS, "provenance": {"device": "cpu"}}
        for key, value in attrs.items():
            self.trial.set_user_attr(key, value)
        self.storage.set_trial_state_values(self.trial._trial_id, TrialState.COMPLETE, [random.random()])
        self.begin(0)

    def beat(self) -> None:
        """Say that the worker lives."""
        self.ledger.heartbeat(self.worker_id, Usage(512.0, 97.0, 9000.0, 80.0))


def play(url: str, name: str, n_workers: int, seconds: float, start: Any, results: Any) -> None:
    """Play some workers; they are somewhere within a trial when the clock starts."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    connections = Connections(url, 60)
    due: list[tuple[float, int, bool, Worker]] = []
    for index in range(n_workers):
        worker = Worker(url, name, connections)
        worker.begin(random.randrange(EPOCHS))
        due += [(random.random() * EPOCH_S, index, True, worker), (random.random() * HEARTBEAT_S, index, False, worker)]
    heapq.heapify(due)
    start.wait()
    began, epochs = time.perf_counter(), 0
    while due[0][0] < seconds:
        now, index, trains, worker = heapq.heappop(due)
        if trains:
            worker.train()
            epochs += 1
        else:
            worker.beat()
        heapq.heappush(due, (now + (EPOCH_S if trains else HEARTBEAT_S), index, trains, worker))
    results.put((time.perf_counter() - began, epochs))
    start.wait()  # until the server's time has been read
    for *_, worker in due:
        worker.storage.flush()
    connections.close()


def server_seconds(server: EmbeddedServer) -> float:
    """Return the CPU time of the server's processes that are running now."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    times = [process.cpu_times() for process in [postmaster, *postmaster.children()]]
    return sum(spent.user + spent.system for spent in times)


def main() -> None:
    """Play all workers and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60, help="of virtual time")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    try:
        with EmbeddedServer(Settings(None, place / "home", place / "data")) as server:
            storage = PostgresStorage(server.url)
            study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "fleet")
            ledger = Ledger(server.url, lease_s=3600, wait_s=60)
            ledger.open_study(study_id, 10**6)
            start, results = context.Barrier(options.processes + 1), context.Queue()
            shares = [(options.workers + n) // options.processes for n in range(options.processes)]
            processes = [
                context.Process(target=play, args=(server.url, "fleet", share, options.seconds, start, results))
                for share in shares
            ]
            for process in processes:
                process.start()
            start.wait()
            before = server_seconds(server)
            came = [results.get(timeout=3600) for _ in processes]
            server_s = server_seconds(server) - before
            start.wait()
            for process in processes:
                process.join()
            n_trials = storage.get_n_trials(study_id)
            storage.remove_session()
            ledger.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    took = max(seconds for seconds, _ in came)
    epochs = sum(epochs for _, epochs in came)
    found = {
        "workers": options.workers, "processes": options.processes, "virtual_s": options.seconds, "trials": n_trials,
        "real_s": round(took, 1), "epochs": epochs, "epochs_per_s": round(epochs / took),
        "head_room": round(options.seconds / took, 2), "server_cores": round(server_s / options.seconds, 3),
    }  # fmt: skip
    print(json.dumps(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
