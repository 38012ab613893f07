"""This product's search: its samplers and pruners by a study file, its `run_trial` for each trial.

A trial's epoch hands control back to the simulation (a greenlet), so many trials of one process are at different epochs
at the same virtual time. The storage is Optuna's in memory, where our pruners by rungs ask Optuna's own code: the same
decisions, from the same attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from greenlet import greenlet

from studies.run.checkpoint import Checkpoint
from studies.run.end import Outcome, continuation
from studies.run.trial import Course, run_trial
from studies.search.asha import Asha
from studies.search.pruners import make_pruner
from studies.search.samplers import make_sampler
from studies.spec import StudySpec
from studies.spec.space import Space

from .simulation import Params, Run, Task

METRIC = "value"
MANY = 10**6  # trials: the budget is of epochs


class Ours:
    """A search as a study file describes it."""

    def __init__(
        self, task: Task, seed: int, part: Mapping[str, Mapping[str, Any]], first: Sequence[Params] = ()
    ) -> None:
        """part: what the study file says of `sampler` and `pruner`; the product chooses the rest.

        first: settings that run first, as `--from` takes them from other studies.
        """
        self._objective = _Virtual(task.space)
        spec = StudySpec.model_validate({
            "name": "benchmark", "objective": "benchmark", "metric": METRIC, "n_trials": MANY,
            "direction": direction(task), "max_epochs": task.max_epochs, **part,
            "sampler": {"seed": seed, **part.get("sampler", {})},
        })  # fmt: skip
        space = Space.declared(task.space)
        self._study = optuna.create_study(
            study_name=f"{task.name}-{seed}",  # Hyperband draws a trial's bracket from it
            direction=direction(task),
            sampler=make_sampler(spec, space),
            pruner=make_pruner(spec),
        )
        for params in first:
            self._study.enqueue_trial(dict(params))
        checkpoints: Any = _InMemory()
        self._course = Course(spec, space, self._objective, None, "cpu", lambda: None, checkpoints)

    @property
    def best(self) -> Params:
        """The setting of the best complete trial."""
        return self._study.best_params

    def start(self) -> Run | None:
        """Return the next trial's run."""
        paused = self._study.pruner.next(self._study, MANY) if isinstance(self._study.pruner, Asha) else None
        if paused is not None:
            given = continuation(paused, 0)
            self._study.enqueue_trial(given["params"], user_attrs=given["attributes"])
        trial = self._study.ask()
        life = greenlet(lambda: run_trial(trial, self._course))
        params = life.switch()
        if isinstance(params, Outcome):
            raise ValueError(f"a trial ended before its first epoch: {params.detail or params.state}")
        return Run(params, (trial, life), paused.last_step if paused else 0)

    def report(self, run: Run, value: float) -> bool:
        """Let the trial go on until its next epoch, or to its outcome."""
        trial, life = run.trial
        outcome = life.switch({METRIC: value})
        if not life.dead:
            return True
        if outcome.traceback is not None:
            raise RuntimeError(f"trial {trial.number} raised: {outcome.traceback}")
        for key, attribute in outcome.attributes.items():
            trial.set_user_attr(key, attribute)
        self._study.tell(trial, outcome.values, outcome.state)
        return False


class _Virtual:
    """An objective whose epoch is the simulation's."""

    metrics: Mapping[str, str] = {METRIC: "maximize"}
    datasets: Mapping[str, str] = {}

    def __init__(self, space: Mapping[str, Mapping[str, Any]]) -> None:
        self.space = space

    def prepare(self, *given: Any) -> None:
        """Prepare nothing."""

    def start(self, params: Params, data: Any, *, seed: int, device: str) -> _VirtualTraining:
        """See Objective."""
        return _VirtualTraining(params)


class _VirtualTraining:
    def __init__(self, params: Params) -> None:
        self._params = params
        self._simulation = greenlet.getcurrent().parent

    def epoch(self) -> dict[str, float]:
        """Wait until the simulation has trained it."""
        assert self._simulation is not None
        return self._simulation.switch(self._params)

    def state_dict(self) -> dict[str, Any]:
        """See Training."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Training."""


class _InMemory:
    """Keeps the checkpoints of paused trials: no virtual worker is lost."""

    def __init__(self) -> None:
        self._kept: dict[int, Checkpoint] = {}

    def is_due(self) -> bool:
        """See Checkpoints."""
        return False

    def save(self, number: int, checkpoint: Checkpoint) -> None:
        """See Checkpoints."""
        self._kept[number] = replace(checkpoint, history=list(checkpoint.history))

    def latest(self, numbers: Iterable[int]) -> Checkpoint | None:
        """See Checkpoints."""
        return next((self._kept[number] for number in numbers if number in self._kept), None)


def direction(task: Task) -> str:
    """Return the task's direction in words."""
    return "maximize" if task.maximize else "minimize"
