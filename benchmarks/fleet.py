"""A thousand workers on one server: 60-second trials of 20 epochs, on a virtual clock against a real database.

    python benchmarks/fleet.py [--workers 1000] [--processes 4] [--seconds 60]

Each process plays its share of the workers: it carries out their operations in the order of their virtual times, as
fast as the server allows. A worker claims a trial, sets three parameters, reports 20 epochs 3 s apart with three
attributes each, asks successive halving after each, sends a heartbeat every 15 s, and ends. Head-room is virtual over
real time: at 2, the server had as much to spare as it used.
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
from optuna.trial import TrialState

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer
from studies.storage.postgres import PostgresStorage

EPOCHS, EPOCH_S, HEARTBEAT_S = 20, 3.0, 15.0


def play(url: str, name: str, n_workers: int, seconds: float, start: Any, results: Any) -> None:
    """Play some workers; they are somewhere within a trial when the clock starts."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = PostgresStorage(url)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(), pruner=pruner)
    due: list[tuple[float, int, int, optuna.Trial]] = []
    for worker in range(n_workers):
        epoch = random.randrange(EPOCHS)
        heapq.heappush(due, (random.random() * EPOCH_S, worker, epoch, begin(study, epoch)))
    start.wait()
    began, operations = time.perf_counter(), 0
    while due[0][0] < seconds:
        now, worker, epoch, trial = heapq.heappop(due)
        trial.report(random.random(), epoch)
        for attr in ("train_loss", "accuracy", "seconds"):
            trial.set_user_attr(f"{attr}_{epoch}", 0.5)
        trial.should_prune()
        operations += 1
        if epoch % int(HEARTBEAT_S / EPOCH_S) == 0:
            storage.record_heartbeat(trial._trial_id)
        if epoch == EPOCHS - 1:
            storage.finish_trial(trial._trial_id, TrialState.COMPLETE, [random.random()])
            epoch, trial = -1, begin(study, 0)
        heapq.heappush(due, (now + EPOCH_S, worker, epoch + 1, trial))
    results.put((time.perf_counter() - began, operations))
    storage.remove_session()


def begin(study: optuna.Study, n_epochs_done: int) -> optuna.Trial:
    """Claim a trial and bring it to an epoch."""
    study._thread_local.cached_all_trials = None  # as `Study.ask` does
    trial_id = study._storage.claim_trial(study._study_id, n_trials=10**6)  # type: ignore[attr-defined]
    trial = optuna.Trial(study, trial_id)
    for name in ("x", "y", "z"):
        trial.suggest_float(name, 0, 1)
    for epoch in range(n_epochs_done):
        trial.report(random.random(), epoch)
    return trial


def main() -> None:
    """Play all workers and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    context = multiprocessing.get_context("forkserver")
    place = Path(tempfile.mkdtemp(prefix="studies-benchmark-"))
    place.chmod(0o755)
    try:
        with EmbeddedServer(Settings(None, place / "home", place / "data")) as server:
            PostgresStorage(server.url).create_new_study([optuna.study.StudyDirection.MINIMIZE], "fleet")
            start, results = context.Barrier(options.processes), context.Queue()
            share = options.workers // options.processes
            processes = [
                context.Process(target=play, args=(server.url, "fleet", share, options.seconds, start, results))
                for _ in range(options.processes)
            ]
            for process in processes:
                process.start()
            came = [results.get(timeout=3600) for _ in processes]
            for process in processes:
                process.join()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    took = max(seconds for seconds, _ in came)
    epochs = sum(operations for _, operations in came)
    print(json.dumps(vars(options) | {
        "real_s": round(took, 1), "epochs": epochs, "epochs_per_s": round(epochs / took),
        "head_room": round(options.seconds / took, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
