"""A plain function's trial: it suggests and reports by itself, and is stopped at its reports.

Where it keeps files in `studies.checkpoints(trial)`, they are its checkpoint: a trial is paused in place of pruned, and
one that is continued finds them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from studies.errors import StudiesError
from studies.names import CONTINUES, PAUSED, REPEATS, Reason
from studies.run import retention
from studies.run.checkpoint import Checkpoint
from studies.run.end import Outcome
from studies.run.kept_files import checkpoints, directory_of, packed, remove, unpack
from studies.run.objective import FunctionObjective, values_of
from studies.search import asked
from studies.search.asha import Asha
from studies.storage.postgres import PostgresStorage

if TYPE_CHECKING:
    from studies.run.trial import Course


class _Stopped(BaseException):
    """Raised inside a plain function's trial; a BaseException, so that no `except Exception` of theirs hides it."""


def run_function(trial: optuna.Trial, course: Course, objective: FunctionObjective) -> Outcome:
    """Call the function with the trial, and return how that ends. Raises what the function does."""
    study = trial.study
    study._thread_local.in_optimize_loop = True  # or Study.stop() would refuse to be called
    study.ask = _refuse_to_ask  # type: ignore[method-assign]
    call = _Call(trial, course)
    try:
        returned = objective.function(_alone(trial, course.alone))
        outcome = call.ended(returned)
    except optuna.TrialPruned:
        outcome = call.pruned()
    except _Stopped:
        outcome = Outcome.failed(Reason.STOPPED, course.should_stop())
    finally:
        study._thread_local.in_optimize_loop = False
        del study.ask
        remove(trial)
    if outcome.reason is None or outcome.reason.is_continued:
        outcome.detail = "; ".join(filter(None, (outcome.detail, call.unkept))) or None
    return outcome


class _Call:
    """One call of the function, which takes the place of the trial's `report` and `should_prune`.

    unkept: what is said of a checkpoint that could not be written.
    """

    def __init__(self, trial: optuna.Trial, course: Course) -> None:
        self.trial, self.course = trial, course
        self.unkept: str | None = None
        self._reported: dict[int, float] = {}
        self._before: dict[int, float] = {}  # by the trial that this one continues, as far as its files go
        self._is_paused = False
        self._report, self._should_prune = trial.report, trial.should_prune
        trial.report = self.report  # type: ignore[method-assign]
        trial.should_prune = self.should_prune  # type: ignore[method-assign]
        if CONTINUES in trial.user_attrs:
            self._go_on()

    def report(self, value: float, step: int) -> None:
        """Report as Optuna does, and stop here if this worker is to: a function has no other place to be stopped at."""
        try:
            self._report(value, step)  # first: what is no number it refuses in its own words
            step = int(step)  # numpy's, or 3.0
            self._catch_up(step)
        except StudiesError:  # the storage is gone for good; the trial that continues this one starts from here
            self._keep(must=True)
            raise
        self._reported.setdefault(step, float(value))
        self._is_paused = False
        why = self.course.should_stop()
        self._keep(must=why is not None)
        if why:
            raise _Stopped

    def should_prune(self) -> bool:
        """Return whether the trial ends here, paused where it can go on from its files."""
        trial = self.trial
        if REPEATS in trial.user_attrs:
            return False
        pruner = trial.study.pruner
        if isinstance(pruner, Asha) and directory_of(trial) is not None:
            falls_behind = pruner.pauses(trial.study, trial.storage.get_trial(trial._trial_id))
            self._is_paused = falls_behind and self._keep(must=True)
            if self._is_paused or not falls_behind:
                return falls_behind
        return self._should_prune()

    def pruned(self) -> Outcome:
        """Return how it ends that raised TrialPruned."""
        outcome = Outcome(TrialState.PRUNED)
        if self._is_paused:
            outcome.attributes[PAUSED] = True
        return outcome

    def ended(self, returned: Any) -> Outcome:
        """Return how it ends that returned this."""
        spec = self.course.spec
        values = values_of(returned, spec)
        for name, value in zip(spec.metrics, values, strict=True):
            if not math.isfinite(value):
                what = f"{value}" if len(values) == 1 else f"{value} as {name}"
                return Outcome.failed(Reason.NAN, f"the objective returned {what}")
        self._catch_up(None)
        if directory_of(self.trial) is not None and retention.may_be_kept(self.trial, values, spec):
            self._keep(must=True)
        return Outcome(TrialState.COMPLETE, values)

    def _keep(self, must: bool) -> bool:
        """Write its files as its checkpoint, if one is due or must be; return whether a trial can go on from it."""
        directory, kept = directory_of(self.trial), self.course.checkpoints
        if directory is None or not (must or kept.is_due()) or (files := packed(directory)) is None:
            return False
        history = [{"step": step, "value": value} for step, value in self._reported.items()]
        why = kept.save(self.trial.number, Checkpoint({"files": files}, history))
        self.unkept = f"its checkpoint could not be written: {why}" if why else None
        return why is None

    def _go_on(self) -> None:
        """Give it the files of the trial that it continues, or of the one before that, if any had some."""
        sources = retention.sources(self.trial.number, self.trial.study.get_trials(deepcopy=False))
        checkpoint = self.course.checkpoints.latest(sources)
        if checkpoint is not None:
            unpack(checkpoint.state["files"], checkpoints(self.trial))
            self._before = {int(each["step"]): each["value"] for each in checkpoint.history}

    def _catch_up(self, step: int | None) -> None:
        """Report what is not done again: everything before the first step that it reports, or all where it has none."""
        before, self._before = self._before, {}
        for earlier, value in before.items():
            if step is None or earlier < step:
                self._report(value, earlier)
                self._reported[earlier] = value


def _refuse_to_ask(*args: Any, **kwargs: Any) -> NoReturn:
    """Stand for `Study.ask` in a function: nobody would run, nor end, the trial that it begins."""
    raise RuntimeError(
        "an objective cannot ask for another trial; study.enqueue_trial() queues one for the next worker"
    )


def _alone(trial: optuna.Trial, alone: Callable[[], AbstractContextManager[object]]) -> optuna.Trial:
    """Return the trial with a lock around what may be tried twice: two workers that ask at a time would not see it."""
    suggest, storage = trial._suggest, trial.storage

    def suggest_alone(name: str, distribution: BaseDistribution) -> Any:
        if asked.values_of(distribution) is None or asked.is_endless(trial.study.get_trials(deepcopy=False)):
            return suggest(name, distribution)
        with alone():
            value = suggest(name, distribution)
            if isinstance(storage, PostgresStorage):
                storage.flush()
        return value

    trial._suggest = suggest_alone  # type: ignore[method-assign]
    return trial
