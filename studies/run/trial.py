"""One trial's life: suggest, train epoch by epoch, report, and an outcome. `end` has how it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from studies.errors import StudiesError
from studies.metrics import EPOCH_S, TRAIN_LOSS
from studies.names import (
    CONTINUES,
    EPOCH,
    EVIDENCE,
    HISTORY,
    METRICS,
    PAUSED,
    PEAK_MEMORY_MIB,
    REPEATS,
    RUNGS,
    SECONDS,
    SEED,
    Reason,
    is_feasible,
)
from studies.pareto import losses_of
from studies.run import failures, retention
from studies.run.checkpoint import Checkpoint, Checkpoints
from studies.run.end import Outcome
from studies.run.evidence import evidence_of, peak_memory_mib, reset_peak_memory
from studies.run.function import run_function
from studies.run.leaving import only_this_process
from studies.run.objective import FunctionObjective, LoadedObjective, Training, number_of
from studies.run.program import ProgramEnded, ProgramFailed, ProgramObjective, ProgramTraining
from studies.search.asha import Asha
from studies.search.seeded import seed_of
from studies.spec import StudySpec
from studies.spec.domain import Choice, Range
from studies.spec.space import Space
from studies.spec.values import encoded
from studies.storage.postgres import PostgresStorage


@dataclass(frozen=True)
class Course:
    """What the trials of one study on one worker have in common.

    after_epoch: is given the metrics of each. alone: held while a plain function gets a value, by one worker at a time.
    """

    spec: StudySpec
    space: Space
    objective: LoadedObjective
    data: Any
    device: str
    should_stop: Callable[[], str | None]
    checkpoints: Checkpoints
    after_epoch: Callable[[Mapping[str, float]], None] = lambda metrics: None
    alone: Callable[[], AbstractContextManager[object]] = nullcontext


def run_trial(trial: optuna.Trial, course: Course) -> Outcome | None:
    """Run a claimed trial to its outcome; None when another worker has taken it over meanwhile.

    Raises StudiesError for what the storage does, and nothing for what the objective does, `sys.exit()` included.
    """
    seed = trial.user_attrs.get(SEED)
    if seed is None:
        seed = seed_of(course.spec.sampler.seed, trial.number)
        trial.set_user_attr(SEED, seed)
    started = time.monotonic()
    reset_peak_memory(course.device)
    try:
        with only_this_process():
            outcome = _outcome(trial, course, seed)
    except StudiesError:
        raise  # the storage's, not the objective's
    except UpdateFinishedTrialError:
        return None
    except ProgramFailed as error:
        outcome = failures.outcome_of(error)
        if error.was_asked_to_end and (why := course.should_stop()):  # by a signal that reached both
            outcome = Outcome.failed(Reason.STOPPED, why)
    except BaseException as error:  # signals raise nothing in a worker, so whatever comes here is the objective's
        outcome = failures.outcome_of(error)
        # Slurm and systemd send theirs to the objective's processes too, such as a DataLoader's, and it fails without
        # them. Where it would have failed by itself, the trial that continues this one does.
        if outcome.reason is Reason.EXCEPTION and (why := course.should_stop()):
            outcome = Outcome.failed(Reason.STOPPED, why)
    outcome.attributes[SECONDS] = round(time.monotonic() - started, 3)
    if outcome.attributes.get(PEAK_MEMORY_MIB) is None:
        outcome.attributes[PEAK_MEMORY_MIB] = peak_memory_mib(course.device)
    return outcome


def _outcome(trial: optuna.Trial, course: Course, seed: int) -> Outcome:
    if _should_prune(trial):  # in a confirmation that is known before the first epoch
        return Outcome(TrialState.PRUNED)
    if isinstance(course.objective, FunctionObjective):
        return run_function(trial, course, course.objective)
    params = course.space.suggest(partial(_suggest, trial))
    if isinstance(course.objective, ProgramObjective):
        program = course.objective.start(params, course.data, seed=seed, device=course.device, number=trial.number)
        return _ProgramRun(trial, course, program).run()
    return _Run(trial, course, course.objective.start(params, course.data, seed=seed, device=course.device)).run()


class _Run:
    """The epochs of one trial."""

    def __init__(self, trial: optuna.Trial, course: Course, training: Training) -> None:
        self.trial = trial
        self.course = course
        self.training = training
        self.bounds = course.spec.bounds
        self.history: list[dict[str, float]] = []
        self.evidence: dict[str, Any] = {}  # of the best epoch so far
        self.note: str | None = None  # what a completed trial's detail says
        self.unkept: str | None = None  # what it says of a checkpoint that could not be written

    def run(self) -> Outcome:
        if CONTINUES in self.trial.user_attrs:
            self._go_on()
        try:
            return self._epochs()
        except StudiesError:
            # The storage is gone for good. The trial that continues this one starts from here.
            self._checkpoint(must=True)
            raise

    def _epochs(self) -> Outcome:
        limit = self.course.spec.limits.trial_minutes
        spent = sum(metrics.get(EPOCH_S, 0.0) for metrics in self.history)  # before it was paused, stopped or lost
        deadline = time.monotonic() + limit * 60 - spent if limit else math.inf
        for epoch in range(len(self.history) + 1, self.course.spec.max_epochs + 1):
            try:
                metrics = self._epoch()
            except ProgramEnded as ended:
                self.note = str(ended) or self.note
                break
            if broken := self._not_a_number(metrics):
                return self._ended(TrialState.FAIL, Reason.NAN, f"{broken} is {metrics[broken]} in epoch {epoch}")
            self.history.append(metrics)
            if self._best_epoch() == epoch:
                self.evidence = evidence_of(self.training)
            is_last = epoch == self.course.spec.max_epochs
            with _together(self.trial):
                self._report(epoch)
                falls_behind = not is_last and self._falls_behind()
            if is_last:
                break
            if falls_behind and (outcome := self._paused_or_pruned()) is not None:
                return outcome
            why = self.course.should_stop()
            self._checkpoint(must=why is not None)
            if why:
                return self._ended(TrialState.FAIL, Reason.STOPPED, why)
            if time.monotonic() > deadline:
                return self._ended(TrialState.COMPLETE, detail=f"stopped at its limit of {limit:g} minutes")
        return self._ended(TrialState.COMPLETE, detail=self.note)

    def _falls_behind(self) -> bool:
        pruner, trial = self.trial.study.pruner, self.trial
        if REPEATS in trial.user_attrs:
            return False
        if isinstance(pruner, Asha):
            return pruner.pauses(trial.study, trial.storage.get_trial(trial._trial_id))
        return _should_prune(trial)

    def _paused_or_pruned(self) -> Outcome | None:
        """Return how it ends that falls behind; None where it is the best so far and could not be resumed."""
        if not isinstance(self.trial.study.pruner, Asha):
            return self._ended(TrialState.PRUNED)
        if self._checkpoint(must=True):
            outcome = self._ended(TrialState.PRUNED)
            outcome.attributes[PAUSED] = True
            return outcome
        return self._ended(TrialState.PRUNED) if _should_prune(self.trial) else None

    def _epoch(self) -> dict[str, float]:
        """Train one epoch; return its metrics and how long it took, validation included."""
        started = time.monotonic()
        given = self.training.epoch()
        if not isinstance(given, Mapping):
            missing = " (is a `return` missing?)" if given is None else ""
            raise TypeError(f"epoch() returned a {type(given).__name__}; expected its metrics by name{missing}")
        metrics = {name: number_of(value, f"epoch() reports as {name}") for name, value in given.items()}
        metrics = {EPOCH_S: round(time.monotonic() - started, 4)} | metrics
        self.course.after_epoch(metrics)
        return metrics

    def _checkpoint(self, must: bool) -> bool:
        """Write a checkpoint, if one is due or must be; return whether a trial can go on from it."""
        if not must and not self.course.checkpoints.is_due():
            return False
        state = self.training.state_dict()
        why = self.course.checkpoints.save(self.trial.number, Checkpoint(state, self.history, self.evidence))
        self.unkept = f"its checkpoint could not be written: {why}" if why else None
        return why is None and self._goes_on_from(state)

    def _goes_on_from(self, state: Mapping[str, Any]) -> bool:
        return True

    def _go_on(self) -> None:
        """Start where the trial that this one continues had its last checkpoint, or the one before that, if any had."""
        sources = retention.sources(self.trial.number, self.trial.study.get_trials(deepcopy=False))
        checkpoint = self.course.checkpoints.latest(sources)
        if checkpoint is not None:
            self._load(checkpoint)
            for epoch in range(1, len(self.history) + 1):
                self._report(epoch)

    def _load(self, checkpoint: Checkpoint) -> None:
        self.training.load_state_dict(checkpoint.state)
        self.history, self.evidence = checkpoint.history, checkpoint.evidence

    def _report(self, epoch: int) -> None:
        """Report an epoch as Optuna has it. It takes one number: of several metrics none, and they are noted at rungs.

        Not the first of them: Optuna's TPE, in a program that joins the study, raises for a pruned trial that has one.
        """
        trial, values = self.trial, self._values(epoch)
        if len(values) == 1:
            trial.report(values[0], epoch)
            return
        trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, math.nan)
        pruner = trial.study.pruner
        if isinstance(pruner, Asha) and epoch in pruner.rungs:
            trial.set_user_attr(RUNGS, trial.user_attrs.get(RUNGS, {}) | {str(epoch): values})

    def _values(self, epoch: int) -> list[float]:
        """Return the study's metrics of an epoch."""
        return [self.history[epoch - 1][name] for name in self.course.spec.metrics]

    def _not_a_number(self, metrics: Mapping[str, float]) -> str | None:
        for name in (*self.course.spec.metrics, *self.bounds):
            if name not in metrics:
                raise KeyError(f"the objective's epoch reports {sorted(metrics)}, not {name!r}")
        watched = (*self.course.spec.metrics, TRAIN_LOSS)
        return next((name for name in watched if not math.isfinite(metrics.get(name, 0.0))), None)

    def _ended(self, state: TrialState, reason: Reason | None = None, detail: str | None = None) -> Outcome:
        outcome = Outcome(state, reason=reason, detail=detail)
        if self.history:
            best = self._best_epoch()
            outcome.attributes = {EPOCH: best, METRICS: self.history[best - 1], HISTORY: self.history}
            outcome.attributes |= {EVIDENCE: self.evidence} if self.evidence else {}
            outcome.constraints = self._constraints(self.history[best - 1])
            if state == TrialState.COMPLETE:
                outcome.values = self._values(best)
                if is_feasible(outcome.constraints) and retention.may_be_kept(
                    self.trial, outcome.values, self.course.spec
                ):
                    self._checkpoint(must=True)
        if reason is None or reason.is_continued:
            outcome.detail = "; ".join(filter(None, (detail, self.unkept))) or None
        return outcome

    def _constraints(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return {name: bound.excess(metrics[name]) for name, bound in self.bounds.items()}

    def _best_epoch(self) -> int:
        """Return the best epoch that keeps the constraints; the best of all where none does.

        Of several metrics the first decides, and among equal epochs the next.
        """
        epochs = range(1, len(self.history) + 1)
        kept = [epoch for epoch in epochs if is_feasible(self._constraints(self.history[epoch - 1]))]
        return min(kept or epochs, key=lambda epoch: losses_of(self._values(epoch), self.course.spec.directions))


class _ProgramRun(_Run):
    """The epochs of one trial that a program of its own trains."""

    training: ProgramTraining

    def run(self) -> Outcome:
        try:
            outcome = super().run()
        finally:
            self.training.close()
        outcome.attributes[PEAK_MEMORY_MIB] = self.training.memory_mib
        return outcome

    def _goes_on_from(self, state: Mapping[str, Any]) -> bool:
        return "files" in state

    def _load(self, checkpoint: Checkpoint) -> None:
        """Start from it, without the epochs that the program does again."""
        super()._load(checkpoint)
        del self.history[self.training.n_kept :]
        self.note = self.training.note or None


def _should_prune(trial: optuna.Trial) -> bool:
    """Return what `trial.should_prune` does, which refuses where there are several metrics."""
    return trial.study.pruner.prune(trial.study, trial.storage.get_trial(trial._trial_id))


def _together(trial: optuna.Trial) -> AbstractContextManager[None]:
    storage = trial.storage
    return storage.together(trial._trial_id) if isinstance(storage, PostgresStorage) else nullcontext()


def _suggest(trial: optuna.Trial, name: str, domain: Range | Choice) -> Any:
    if isinstance(domain, Choice):
        return trial.suggest_categorical(name, [encoded(choice) for choice in domain.choices])
    if domain.whole:
        step = int(domain.step or 1)
        return trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log, step=step)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log, step=domain.step)
