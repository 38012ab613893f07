"""Training once, or several times, under watch. Runs in a process of its own (see `isolate`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from studies.check.again import evaluate_again
from studies.check.asked import Asked, AskedParams, AskedTrial
from studies.check.generators import counted_draws, seed_generators
from studies.check.initialisers import Initialisers
from studies.check.isolate import Failure, FailureKind, TimeUp, failure_of
from studies.check.losses_seen import Rows
from studies.check.observation import Observation, RowsSeen, Trajectory, Treatment
from studies.check.own_code import OwnCode
from studies.check.watch import Enough, Watch, in_torch
from studies.run.encoding import decoded, encoded
from studies.run.evidence import peak_bytes
from studies.run.kept_files import checkpoints, directory_of, packed, unpack
from studies.run.objective import FunctionObjective, LoadedObjective, Training, values_of
from studies.spec import StudySpec

SILENT_S = 3.0


@dataclass(frozen=True)
class Prepared:
    """What every training of a study starts from: its objective, imported, with its own code, and prepared data."""

    spec: StudySpec
    objective: LoadedObjective
    data: Any
    source: OwnCode


def observe(prepared: Prepared, params: Mapping[str, Any], treatment: Treatment) -> Observation:
    """Give a training of these parameters this treatment, and return what was seen. Never raises for the objective.

    To be called in a process of its own: it reseeds the process's generators and may leave trainings half done.
    """
    found = Observation(dict(params))
    began, cpu_began = peak_bytes(), time.process_time()
    initialisers = Initialisers(prepared.source) if treatment.look else None
    for _ in range(treatment.n_trainings):
        seed_generators(treatment.noise)
        one = _One(prepared, treatment, found)
        one.run(params)
        if found.failure:
            break
    if treatment.n_trainings > 1:
        found.holders = list(_holders(prepared))
    found.cpu_s = time.process_time() - cpu_began
    found.peak_bytes = max(0, peak_bytes() - began)
    _read_watch(found, one.watch)
    if treatment.look:
        found.again = found.again or evaluate_again([], {})
        models = list(one.watch.models.values())
        found.unused = initialisers.unused(models) if initialisers else []
    return found


class _One:
    """One training. What it gives goes into `trajectory` as it happens, so that it is kept however it ends."""

    def __init__(self, prepared: Prepared, treatment: Treatment, found: Observation) -> None:
        self.prepared, self.treatment, self.found = prepared, treatment, found
        self.spec, self.source = prepared.spec, prepared.source
        self.asked = Asked(self.source)
        self.watch = Watch(self.source, time.monotonic() + treatment.seconds, treatment.limits, treatment.look)
        self.trajectory = Trajectory(self.watch.losses)
        found.trajectories.append(self.trajectory)
        self.began = time.monotonic()

    def run(self, params: Mapping[str, Any]) -> None:
        """Train, and note how that ended."""
        try:
            with counted_draws(self.watch.draws, self.source):
                self.train(params)
        except Enough:
            pass
        except TimeUp as error:
            if time.monotonic() - self.watch.alive_at > SILENT_S and not in_torch(error):  # else it is slow
                detail = f"it did nothing that could be seen for {SILENT_S:.0f} s, and did not end"
                self.found.failure = Failure(FailureKind.HUNG, detail, self.source.of_error(error))
        except BaseException as error:
            self.found.failure = failure_of(error, self.source)
        self.found.read |= self.asked.read
        self.found.missing |= self.asked.missing

    def train(self, params: Mapping[str, Any]) -> None:
        if isinstance(self.prepared.objective, FunctionObjective):
            self._call(self.prepared.objective, params)
            return
        training = self._start(params, self.treatment.seed)
        for n_done in range(self.treatment.n_epochs):
            if n_done == self.treatment.resume_after:
                training = self._resumed(params, training)
            self.began = time.monotonic()
            try:
                with self.watch:
                    metrics = training.epoch()
            except Enough:
                self._look_at_test(training)
                raise
            self._epoch({name: float(value) for name, value in metrics.items()})
            if missing := next((name for name in self.spec.metrics if name not in metrics), None):
                raise KeyError(f"epoch() reports {sorted(metrics)}, not the study's metric {missing!r}")
        self.found.whole = True
        if self.treatment.look and callable(getattr(training, "test", None)):
            self.found.tested_twice = self._tested(training), self._tested(training)

    def _start(self, params: Mapping[str, Any], seed: int) -> Training:
        objective, data = self.prepared.objective, self.prepared.data
        with self.watch:
            training = objective.start(AskedParams(params, self.asked), data, seed=seed, device="cpu")
            self.found.start_s = time.monotonic() - self.began
        return training

    def _resumed(self, params: Mapping[str, Any], training: Training) -> Training:
        """Return a training with another seed that has loaded this one's checkpoint, as a worker reads it."""
        self.found.state_at = self.source.of(getattr(type(training), "state_dict", type(training)))
        state = decoded(encoded(training.state_dict()))
        resumed = self._start(params, self.treatment.seed + 1)
        with self.watch:
            resumed.load_state_dict(state)
        return resumed

    def _call(self, objective: FunctionObjective, params: Mapping[str, Any]) -> None:
        """Call a plain function; where it is to resume, call it up to there, and again with the files that it kept."""
        files = None
        if n_epochs := self.treatment.resume_after:
            self.found.state_at = self.source.of(objective.function)
            with suppress(Enough):
                self._call_once(objective, params, n_epochs)
            files = self.found.files
        self._call_once(objective, params, self.treatment.n_epochs, files)

    def _call_once(
        self, objective: FunctionObjective, params: Mapping[str, Any], n_epochs: int, files: bytes | None = None
    ) -> None:
        from optuna import TrialPruned

        def reported(value: float) -> None:
            self._epoch({"value": value})
            if len(self.trajectory.epochs) >= n_epochs:
                self.found.whole = True
                raise Enough

        trial = AskedTrial(params, self.treatment.seed, self.asked, reported)
        if files is not None:
            unpack(files, checkpoints(trial))
        try:
            with self.watch:
                returned = objective.function(trial)
            values = values_of(returned, self.spec)
            self._epoch(
                {"result": values[0]} if len(values) == 1 else dict(zip(self.spec.metrics, values, strict=True))
            )
            self.found.whole = True
        except TrialPruned:
            self.found.whole = True
        finally:
            self.found.suggested = trial.space()
            self.found.params = dict(trial.params)
            self.found.last_step = trial.last_step
            directory = directory_of(trial)
            self.found.files = None if directory is None else packed(directory)

    def _epoch(self, metrics: dict[str, float]) -> None:
        """Note the end of an epoch, and make the first one's evaluation again."""
        self.found.epoch_s.append(time.monotonic() - self.began + self.watch.cut_s)
        self.watch.cut_s = 0.0
        self.trajectory.epochs.append(metrics)
        self.trajectory.ends.append(len(self.trajectory.losses))
        self.found.evaluated = True
        if self.treatment.look and len(self.trajectory.epochs) == 1:
            self._look_again()
        else:
            self.watch.epoch_ended()
        self.began = time.monotonic()

    def _look_at_test(self, training: Any) -> None:
        """See an evaluation although the epoch was too long to reach one: that of the test rows."""
        if self.treatment.look and not self.trajectory.epochs and callable(getattr(training, "test", None)):
            self.watch.go_on(self.treatment.seconds / 2)
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
    found.loss_at = watch.given.loss_at
    found.stepped_s, found.stepped_cpu_s = watch.stepped_s, watch.stepped_cpu_s
    found.n_rows, found.n_classes = watch.n_rows, watch.given.n_classes
    found.labels = {key: np.concatenate(parts) for key, parts in watch.given.labels.items() if parts}
    found.targets = {key: np.concatenate(parts) for key, parts in watch.given.targets.items() if parts}
    trained_on, scored = watch.rows[Rows.TRAINED_ON], watch.rows[Rows.SCORED]
    n_given = watch.n_row_calls[Rows.TRAINED_ON]
    found.rows = RowsSeen(len(trained_on), len(scored), n_both=len(trained_on & scored), n_given=n_given)


def _holders(prepared: Prepared) -> Iterator[tuple[str, str | None]]:
    """Yield what outlives a training and holds a model or an optimizer, with its place."""
    from torch import nn, optim

    objective, source = prepared.objective, prepared.source
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
