"""Syne Tune and NePS, each through the interface that it has for programs with workers of their own.

Syne Tune 0.16 has no halving by promotion any more: its ASHA, BOHB and ASHACQR stop trials. NePS chooses Hyperband for
a space with epochs and without priors; PriorBand without priors warns that Hyperband may be better.
"""

from __future__ import annotations

import datetime
import logging
import math
import warnings
from typing import Any

import numpy as np

from .simulation import Run, Task

VALUE, EPOCH = "value", "epoch"


class SyneTune:
    """A scheduler of Syne Tune that works by rungs."""

    def __init__(self, task: Task, seed: int, scheduler: str) -> None:
        """scheduler: its name in `syne_tune.optimizer.baselines`."""
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        from syne_tune.optimizer import baselines

        np.random.seed(seed)  # for what does not follow from `random_seed`
        self._scheduler = getattr(baselines, scheduler)(
            _syne_space(task),
            VALUE,
            time_attr=EPOCH,
            max_t=task.max_epochs,
            do_minimize=not task.maximize,
            random_seed=seed,
        )
        self._n_trials = 0

    def start(self) -> Run:
        """Start the trial that it suggests."""
        from syne_tune.backend.trial_status import Trial

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            suggested = self._scheduler.suggest()
        trial = Trial(self._n_trials, suggested.config, datetime.datetime(2026, 1, 1))
        self._n_trials += 1
        self._scheduler.on_trial_add(trial)
        return Run(suggested.config, trial)

    def report(self, run: Run, value: float) -> bool:
        """Report, and do as it decides. One that diverged has failed."""
        if math.isnan(value):
            self._scheduler.on_trial_error(run.trial)
            return False
        return self._scheduler.on_trial_result(run.trial, {VALUE: value, EPOCH: run.epoch}) == "CONTINUE"


def _syne_space(task: Task) -> dict[str, Any]:
    from syne_tune import config_space

    space = {}
    for name, given in task.space.items():
        whole, log = isinstance(given["low"], int), given.get("log", False)
        kind = ("lograndint" if log else "randint") if whole else ("loguniform" if log else "uniform")
        space[name] = getattr(config_space, kind)(given["low"], given["high"])
    return space


class Neps:
    """An algorithm of NePS that works by rungs and resumes what it paused."""

    def __init__(self, task: Task, seed: int, algorithm: str) -> None:
        """algorithm: its name in `neps.algorithms`."""
        logging.getLogger("neps").setLevel(logging.ERROR)
        import neps
        import torch

        np.random.seed(seed)
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tuner = neps.AskAndTell(getattr(neps.algorithms, algorithm)(_neps_space(task)))
        self._sign = -1.0 if task.maximize else 1.0
        self._runs: dict[str, Run] = {}

    def start(self) -> Run:
        """Start what it asks for, or resume it where its last rung was."""
        trial = self._tuner.ask()
        params = {name: value for name, value in trial.config.items() if name != EPOCH}
        paused = self._runs.pop(trial.metadata.previous_trial_id or "", None)
        run = Run(params, trial, paused.epoch if paused else 0)
        self._runs[trial.id] = run
        return run

    def report(self, run: Run, value: float) -> bool:
        """Tell the value at the rung, and pause there. One that diverged has raised an error."""
        if math.isnan(value):
            self._tuner.tell(run.trial, ArithmeticError("the loss is not a number"))
            return False
        if run.epoch < run.trial.config[EPOCH]:
            return True
        self._tuner.tell(run.trial, {"objective_to_minimize": self._sign * value})
        return False


def _neps_space(task: Task) -> Any:
    import neps

    space: dict[str, Any] = {EPOCH: neps.IntegerFidelity(1, task.max_epochs)}
    for name, given in task.space.items():
        kind = neps.Integer if isinstance(given["low"], int) else neps.Float
        space[name] = kind(given["low"], given["high"], log=given.get("log", False))
    return type("Space", (neps.PipelineSpace,), space)()
