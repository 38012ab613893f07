"""Ray Tune on this machine: python with_ray.py JOURNAL N_WORKERS N_TRIALS TRIAL_S

Needs nothing but `ray[tune]`. Actors are reused, as Ray advises for short trials.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray import tune

N_REPORTS = 10


def main() -> None:
    """Start a cluster of one node, and run all trials."""
    journal, n_workers, n_trials, trial_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])

    def tell(what: str) -> None:
        with Path(journal).open("a") as file:
            file.write(f"{what} {os.getpid()} {time.monotonic()}\n")

    def objective(config: dict[str, Any]) -> None:
        tell("begin")
        for epoch in range(N_REPORTS):
            time.sleep(trial_s / N_REPORTS)
            if epoch == N_REPORTS - 1:
                tell("end")
            tune.report({"loss": config["x"] + 1 / (epoch + 1)})

    with tempfile.TemporaryDirectory(prefix="sleeping-", ignore_cleanup_errors=True) as place:
        ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False, _temp_dir=place)
        tune.Tuner(
            tune.with_resources(objective, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", num_samples=n_trials, max_concurrent_trials=n_workers, reuse_actors=True
            ),
            run_config=tune.RunConfig(
                storage_path=place, verbose=0, failure_config=tune.FailureConfig(fail_fast="raise")
            ),
        ).fit()
        ray.shutdown()


if __name__ == "__main__":
    main()
