"""Plain Optuna with its RDBStorage: python with_optuna.py JOURNAL N_WORKERS N_TRIALS TRIAL_S URL

The workers are forked from one process that has imported everything, which costs less than to start each by itself.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import uuid
from pathlib import Path

import optuna
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

N_REPORTS = 10


def work(journal: str, study: str, n_trials: int, trial_s: float, url: str) -> None:
    """Be one worker."""

    def objective(trial: optuna.Trial) -> float:
        tell(journal, "begin")
        x = trial.suggest_float("x", 0.0, 1.0)
        for epoch in range(N_REPORTS):
            time.sleep(trial_s / N_REPORTS)
            if epoch == N_REPORTS - 1:
                tell(journal, "end")
            trial.report(x + 1 / (epoch + 1), epoch)
            trial.should_prune()
        return x

    loaded = optuna.load_study(
        study_name=study,
        storage=storage(url),
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )
    enough = MaxTrialsCallback(n_trials, states=(TrialState.COMPLETE, TrialState.RUNNING))
    loaded.optimize(objective, callbacks=[enough])


def storage(url: str) -> optuna.storages.RDBStorage:
    """Return Optuna's own storage, as it is by default: without a heartbeat, so that no dead worker is noticed."""
    return optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg2://"))


def tell(journal: str, what: str) -> None:
    """Write a line of the journal."""
    with Path(journal).open("a") as file:
        file.write(f"{what} {os.getpid()} {time.monotonic()}\n")


def main() -> None:
    """Create a study, and run its workers."""
    journal, n_workers, n_trials, trial_s, url = sys.argv[1:]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = f"sleeping-{uuid.uuid4()}"
    made = storage(url)
    optuna.create_study(study_name=name, storage=made)
    made.remove_session()
    made.engine.dispose()  # no connection may be shared by forked processes
    context = multiprocessing.get_context("fork")
    given = (journal, name, int(n_trials), float(trial_s), url)
    workers = [context.Process(target=work, args=given) for _ in range(int(n_workers))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
