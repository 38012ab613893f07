"""Optuna, used as an Optuna program uses it, and a prototype of what it cannot do: halving that pauses and resumes."""

from __future__ import annotations

import math
import warnings

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from studies.search.distributions import distribution_of
from studies.spec.space import Space

from .ours import direction
from .simulation import Run, Task


def distributions(task: Task) -> dict[str, BaseDistribution]:
    """Return the task's space as Optuna has it."""
    domains = {name: each.domain for name, each in Space.declared(task.space).parameters.items()}
    return {name: distribution_of(domain) for name, domain in domains.items()}  # type: ignore[arg-type]


class Optuna:
    """`study.ask`, `trial.report`, `trial.should_prune`, `study.tell`."""

    def __init__(self, task: Task, seed: int, sampler: BaseSampler, pruner: BasePruner) -> None:
        self._task = task
        self._distributions = distributions(task)
        self._study = optuna.create_study(
            study_name=f"{task.name}-{seed}",  # Hyperband draws a trial's bracket from it
            direction=direction(task),
            sampler=sampler,
            pruner=pruner,
        )

    def start(self) -> Run:
        """Ask for a trial."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GPSampler says that it is experimental
            trial = self._study.ask(self._distributions)
        return Run(trial.params, trial)

    def report(self, run: Run, value: float) -> bool:
        """Report, and end the trial where it diverged, is pruned, or has trained to the end."""
        trial: optuna.Trial = run.trial
        if math.isnan(value):
            self._study.tell(trial, state=TrialState.FAIL)
            return False
        trial.report(value, run.epoch)
        if run.epoch == self._task.max_epochs:
            values = self._study._storage.get_trial(trial._trial_id).intermediate_values.values()
            self._study.tell(trial, (max if self._task.maximize else min)(values))
            return False
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return False
        return True


class PausedHalving:
    """Random settings and asynchronous halving by promotion: what is good at a rung is resumed, the rest stays paused.

    A free worker resumes the best paused run of the highest rung of which one in `factor` may go on, or else trains a
    new random setting to the first rung. Rungs: 1, 3, 9, ... epochs, and all of them.
    """

    def __init__(self, task: Task, seed: int, factor: int = 3) -> None:
        self._sign = 1 if task.maximize else -1
        self._factor = factor
        self._rungs = [factor**k for k in range(math.ceil(math.log(task.max_epochs, factor)))] + [task.max_epochs]
        self._reached: list[list[tuple[float, Run]]] = [[] for _ in self._rungs]
        self._promoted: list[set[Run]] = [set() for _ in self._rungs]
        self._distributions = distributions(task)
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(sampler=self._random)

    def start(self) -> Run:
        """Return the run to resume, or a new one."""
        for rung in reversed(range(len(self._rungs) - 1)):
            ranked = sorted(self._reached[rung], key=lambda each: -each[0])
            for _, run in ranked[: len(ranked) // self._factor]:
                if run not in self._promoted[rung]:
                    self._promoted[rung].add(run)
                    return run
        return Run(self._study.ask(self._distributions).params)

    def report(self, run: Run, value: float) -> bool:
        """Pause it at a rung. One that diverged is at none."""
        if run.epoch not in self._rungs or math.isnan(value):
            return not math.isnan(value)
        self._reached[self._rungs.index(run.epoch)].append((self._sign * value, run))
        return False
