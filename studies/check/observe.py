"""One training, or two, watched: what they did, as plain data. Runs in a process of its own (see `isolate`)."""

from __future__ import annotations

import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from studies.check.again import EvaluationAgain, evaluate_again
from studies.check.asked import Asked, AskedParams, AskedTrial
from studies.check.initialisers import Initialisers
from studies.check.isolate import Failure, FailureKind, TimeUp, failure_of
from studies.check.source import Source
from studies.check.watch import Enough, Limits, Seen, Watch, in_torch, replaced
from studies.run.checkpoint import decoded, encoded
from studies.run.objective import FunctionObjective, LoadedObjective, Training
from studies.spec import StudySpec
from studies.spec.space import Space

SEED = 7
SILENT_S = 3.0
NO_LIMITS = Limits()
DRAWS: tuple[tuple[str, ModuleType, tuple[str, ...]], ...] = (
    ("numpy", np.random, (
        "rand", "randn", "randint", "random", "random_sample", "choice", "shuffle", "permutation", "normal", "uniform",
    )),
    ("random", random, (
        "random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform", "gauss",
    )),
    ("system", np.random, ("default_rng",)),
    ("system", random, ("_urandom",)),
    ("system", os, ("urandom",)),
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What to do to a training. n_epochs: whole ones. seconds: end in the middle after so long, or by `limits`.

    n_trainings: one after another in one process. noise: what the process's own generators are seeded with, by name.
    look: also watch the data and make the evaluation again. resume_after: after so many whole epochs, if any number,
    another training goes on from this one's checkpoint.
    """

    n_epochs: int = 1
    seconds: float = 5.0
    limits: Limits = NO_LIMITS
    n_trainings: int = 1
    seed: int = SEED
    noise: Mapping[str, int] = field(default_factory=dict)
    look: bool = False
    resume_after: int | None = None


@dataclass
class Trajectory:
    """What a training came by: the loss at each backward, and the metrics of each whole epoch.

    ends: how many losses there were at the end of each epoch.
    """

    losses: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.losses or self.epochs)

    def differs(self, other: Trajectory, ignored: frozenset[str] = frozenset()) -> bool:
        """Whether they part, as far as both go. ignored: metrics that never repeat, such as speeds."""
        if self.parts_at_a_loss(other):
            return True
        return any(
            _apart(before.get(name), after.get(name))
            for before, after in zip(self.epochs, other.epochs, strict=False)
            for name in (before.keys() | after.keys()) - ignored
        )

    def parts_at_a_loss(self, other: Trajectory) -> bool:
        """Whether they differ in training already, not only in what was scored."""
        return any(_apart(a, b) for a, b in zip(self.losses, other.losses, strict=False))

    def parting(self, other: Trajectory, ignored: frozenset[str] = frozenset()) -> tuple[str, str]:
        """Return the first loss or metric in which they differ, as words: this one's, and the other's."""
        for step, (loss, theirs) in enumerate(zip(self.losses, other.losses, strict=False), start=1):
            if _apart(loss, theirs):
                return f"a loss of {loss:.6g} at step {step}", f"a loss of {theirs:.6g} at step {step}"
        for number, (epoch, their) in enumerate(zip(self.epochs, other.epochs, strict=False), start=1):
            for name in sorted((epoch.keys() | their.keys()) - ignored):
                if _apart(epoch.get(name), their.get(name)):
                    values = (epoch.get(name), their.get(name))
                    one, two = (f"no {name}" if each is None else f"{name} {each:.6g}" for each in values)
                    return f"{one} in epoch {number}", f"{two} in epoch {number}"
        return "nothing", "nothing"


@dataclass
class Observation:
    """What was seen of a training, or of several in one process.

    whole: it came to the end of its epochs. evaluated: it came to the end of an evaluation. failure: what the objective
    did wrong itself. start_s, epoch_s: durations; an epoch's as long as it would have been without cutting loaders
    short. stepped_s, stepped_cpu_s: from the first backward to the last, by the clock and of the CPU; n_rows: of the
    losses between them. cpu_s: of the CPU in all. peak_bytes: what it took beyond the process it was forked from.
    unused: initialisers of the model's that nobody called, with their places. holders: globals that hold a model or an
    optimizer after several trainings. state_at: where a training that was gone on from says what its state is.
    """

    params: dict[str, Any] = field(default_factory=dict)
    trajectories: list[Trajectory] = field(default_factory=list)
    whole: bool = False
    evaluated: bool = False
    failure: Failure | None = None
    start_s: float = 0.0
    epoch_s: list[float] = field(default_factory=list)
    stepped_s: float = 0.0
    stepped_cpu_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    read: dict[str, str | None] = field(default_factory=dict)
    missing: dict[str, tuple[str | None, bool]] = field(default_factory=dict)
    suggested: Space = field(default_factory=lambda: Space({}))
    seen: list[Seen] = field(default_factory=list)
    draws: dict[str, str | None] = field(default_factory=dict)
    loss_at: str | None = None
    n_rows: int = 0
    n_classes: int = 0
    labels: dict[bool, Any] = field(default_factory=dict)
    targets: dict[bool, Any] = field(default_factory=dict)
    both_sides: tuple[int, int, int, int] = (0, 0, 0, 0)
    again: EvaluationAgain | None = None
    unused: list[tuple[str, str | None]] = field(default_factory=list)
    holders: list[tuple[str, str | None]] = field(default_factory=list)
    state_at: str | None = None
    tested_twice: tuple[dict[str, float], dict[str, float]] | None = None

    @property
    def trajectory(self) -> Trajectory:
        """Of the first training."""
        return self.trajectories[0] if self.trajectories else Trajectory()

    @property
    def misses_a_parameter(self) -> bool:
        """Whether it failed for want of a parameter."""
        wanted = any(not has_default for _, has_default in self.missing.values())
        return wanted and self.failure is not None and self.failure.error == KeyError.__name__

    @property
    def n_steps(self) -> int:
        """How many backwards it did."""
        return len(self.trajectory.losses)


def observe(
    objective: LoadedObjective, data: Any, spec: StudySpec, source: Source, params: Mapping[str, Any], plan: Plan
) -> Observation:
    """Do what the plan says with these parameters, and return what was seen. Never raises for what the objective does.

    To be called in a process of its own: it reseeds the process's generators and may leave trainings half done.
    """
    found = Observation(dict(params))
    began, cpu_began = _most_resident(), time.process_time()
    initialisers = Initialisers(source) if plan.look else None
    for _ in range(plan.n_trainings):
        seed_generators(plan.noise)
        asked = Asked(source)
        watch = Watch(source, time.monotonic() + plan.seconds, plan.limits, plan.look)
        one = _One(objective, data, spec, source, plan, watch, asked, found)
        found.trajectories.append(one.trajectory)
        try:
            with counted_draws(watch.draws, source):
                one.train(params)
        except Enough:
            pass
        except TimeUp as error:
            if time.monotonic() - watch.alive_at > SILENT_S and not in_torch(error):  # else it is slow
                detail = f"it did nothing that could be seen for {SILENT_S:.0f} s, and did not end"
                found.failure = Failure(FailureKind.HUNG, detail, source.of_error(error))
        except BaseException as error:
            found.failure = failure_of(error, source)
        found.read |= asked.read
        found.missing |= asked.missing
        if found.failure:
            break
    if plan.n_trainings > 1:
        found.holders = list(_holders(objective, source))
    found.cpu_s = time.process_time() - cpu_began
    found.peak_bytes = max(0, _most_resident() - began)
    _read_watch(found, watch)
    if plan.look:
        found.again = found.again or evaluate_again([], {})
        models = list(watch.models.values())
        found.unused = initialisers.unused(models) if initialisers else []
    return found


class _One:
    """One training. What it comes by goes into `trajectory` as it happens, and so survives its end."""

    def __init__(
        self,
        objective: LoadedObjective,
        data: Any,
        spec: StudySpec,
        source: Source,
        plan: Plan,
        watch: Watch,
        asked: Asked,
        found: Observation,
    ) -> None:
        self.objective, self.data, self.spec, self.source = objective, data, spec, source
        self.plan, self.watch, self.asked, self.found = plan, watch, asked, found
        self.trajectory = Trajectory(watch.losses)
        self.began = time.monotonic()

    def train(self, params: Mapping[str, Any]) -> None:
        if isinstance(self.objective, FunctionObjective):
            self._call(self.objective, params)
            return
        training = self._start(params, self.plan.seed)
        for n_done in range(self.plan.n_epochs):
            if n_done == self.plan.resume_after:
                training = self._resumed(params, training)
            self.began = time.monotonic()
            try:
                with self.watch:
                    metrics = training.epoch()
            except Enough:
                self._look_at_test(training)
                raise
            self._epoch({name: float(value) for name, value in metrics.items()})
            if self.spec.metric not in metrics:
                raise KeyError(f"epoch() reports {sorted(metrics)}, not the study's metric {self.spec.metric!r}")
        self.found.whole = True
        if self.plan.look and callable(getattr(training, "test", None)):
            self.found.tested_twice = self._tested(training), self._tested(training)

    def _start(self, params: Mapping[str, Any], seed: int) -> Training:
        with self.watch:
            training = self.objective.start(AskedParams(params, self.asked), self.data, seed=seed, device="cpu")
            self.found.start_s = time.monotonic() - self.began
        return training

    def _resumed(self, params: Mapping[str, Any], training: Training) -> Training:
        """Return a training that was begun under another seed and given this one's checkpoint, as a worker reads it."""
        self.found.state_at = self.source.of(getattr(type(training), "state_dict", type(training)))
        state = decoded(encoded(training.state_dict()))
        resumed = self._start(params, self.plan.seed + 1)
        with self.watch:
            resumed.load_state_dict(state)
        return resumed

    def _call(self, objective: FunctionObjective, params: Mapping[str, Any]) -> None:
        from optuna import TrialPruned

        def reported(value: float) -> None:
            self._epoch({"value": value})
            if len(self.trajectory.epochs) >= self.plan.n_epochs:
                self.found.whole = True
                raise Enough

        trial = AskedTrial(params, self.plan.seed, self.asked, reported)
        try:
            with self.watch:
                value = float(objective.function(trial))
            self._epoch({"result": value})
            self.found.whole = True
        except TrialPruned:
            self.found.whole = True
        finally:
            self.found.suggested = trial.space()
            self.found.params = dict(trial.params)

    def _epoch(self, metrics: dict[str, float]) -> None:
        """Note the end of an epoch, and make the first one's evaluation again."""
        self.found.epoch_s.append(time.monotonic() - self.began + self.watch.cut_s)
        self.watch.cut_s = 0.0
        self.trajectory.epochs.append(metrics)
        self.trajectory.ends.append(len(self.trajectory.losses))
        self.found.evaluated = True
        if self.plan.look and len(self.trajectory.epochs) == 1:
            self._look_again()
        else:
            self.watch.epoch_ended()
        self.began = time.monotonic()

    def _look_at_test(self, training: Any) -> None:
        """See an evaluation though the epoch was too long to come to one: that of the test rows."""
        if self.plan.look and not self.trajectory.epochs and callable(getattr(training, "test", None)):
            self.watch.go_on(self.plan.seconds / 2)
            self._tested(training)
            self.found.evaluated = True
            self._look_again()

    def _look_again(self) -> None:
        self.watch.epoch_ended()
        with self.watch.paused():
            self.found.again = evaluate_again(self.watch.evaluation, self.watch.widths)

    def _tested(self, training: Any) -> dict[str, float]:
        with self.watch:
            return {name: float(value) for name, value in training.test().items()}


def _read_watch(found: Observation, watch: Watch) -> None:
    """Take from a watch what can travel to another process."""
    found.seen = list(watch.seen.values())
    found.draws = watch.draws
    found.loss_at = watch.loss_at
    found.stepped_s, found.stepped_cpu_s = watch.stepped_s, watch.stepped_cpu_s
    found.n_rows, found.n_classes = watch.n_rows, watch.n_classes
    found.labels = {key: np.concatenate(parts) for key, parts in watch.labels.items() if parts}
    found.targets = {key: np.concatenate(parts) for key, parts in watch.targets.items() if parts}
    trained, scored = watch.rows[True], watch.rows[False]
    found.both_sides = len(trained & scored), len(scored), len(trained), watch.n_row_calls[True]


def seed_generators(noise: Mapping[str, int]) -> None:
    """Seed the process's own generators, each with its number in `noise`, or with 0."""
    import torch

    torch.manual_seed(noise.get("torch", 0))
    np.random.seed(noise.get("numpy", 0))
    random.seed(noise.get("random", 0))


@contextmanager
def counted_draws(draws: dict[str, str | None], source: Source) -> Iterator[None]:
    """Note in `draws` where numbers are first drawn from numpy's and Python's own generators."""

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def draw(*args: Any, **kwargs: Any) -> Any:
            seeded = function.__name__ == "default_rng" and (args or kwargs)
            if not seeded and name not in draws and (where := source.here()):
                draws[name] = where
            return function(*args, **kwargs)

        return draw

    with ExitStack() as stack:
        for name, module, functions in DRAWS:
            for function in functions:
                stack.enter_context(replaced(module, function, noting(name, getattr(module, function))))
        yield


def _holders(objective: Any, source: Source) -> Iterator[tuple[str, str | None]]:
    """Yield what outlives a training and holds a model or an optimizer, with its place."""
    from torch import nn, optim

    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or not source.is_own(file):
            continue
        for key, value in vars(module).items():
            if isinstance(value, (nn.Module, optim.Optimizer)):
                yield f"{name}.{key} is a global {type(value).__name__}", source.of_global(file, key)
    for key, value in vars(objective).items():
        if isinstance(value, (nn.Module, optim.Optimizer)):
            yield f"the objective keeps a {type(value).__name__} in {key}", source.of(type(objective))


def _apart(left: float | None, right: float | None) -> bool:
    """Whether two values differ; two that are no numbers do not."""
    return left != right and not (left is not None and right is not None and left != left and right != right)


def _most_resident() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
