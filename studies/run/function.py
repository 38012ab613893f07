"""A plain function's trial: it suggests and reports by itself, and is stopped at its reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from studies.names import REPEATS, Reason
from studies.run.end import Outcome
from studies.run.objective import FunctionObjective, values_of
from studies.search import asked
from studies.storage.postgres import PostgresStorage

if TYPE_CHECKING:
    from studies.run.trial import Course


class _Stopped(BaseException):
    """Raised inside a plain function's trial; a BaseException, so that no `except Exception` of theirs hides it."""


def run_function(trial: optuna.Trial, course: Course, objective: FunctionObjective) -> Outcome:
    """Call the function with the trial, and return how that ends. Raises what the function does."""

    def stop_if_asked() -> None:
        if course.should_stop():
            raise _Stopped

    study = trial.study
    study._thread_local.in_optimize_loop = True  # or Study.stop() would refuse to be called
    study.ask = _refuse_to_ask  # type: ignore[method-assign]
    try:
        returned = objective.function(_alone(_watched(trial, stop_if_asked), course.alone))
    except optuna.TrialPruned:
        return Outcome(TrialState.PRUNED)
    except _Stopped:
        return Outcome.failed(Reason.STOPPED, course.should_stop())
    finally:
        study._thread_local.in_optimize_loop = False
        del study.ask
    values = values_of(returned, course.spec)
    for name, value in zip(course.spec.metrics, values, strict=True):
        if not math.isfinite(value):
            what = f"{value}" if len(values) == 1 else f"{value} as {name}"
            return Outcome.failed(Reason.NAN, f"the objective returned {what}")
    return Outcome(TrialState.COMPLETE, values)


def _refuse_to_ask(*args: Any, **kwargs: Any) -> NoReturn:
    """Stand for `Study.ask` in a function: nobody would run, nor end, the trial that it begins."""
    raise RuntimeError(
        "an objective cannot ask for another trial; study.enqueue_trial() queues one for the next worker"
    )


def _watched(trial: optuna.Trial, check: Callable[[], None]) -> optuna.Trial:
    """Return the trial with a check after each report: a plain function has no other place to be stopped at."""
    report = trial.report

    def report_then_check(value: float, step: int) -> None:
        report(value, step)
        check()

    trial.report = report_then_check  # type: ignore[method-assign]
    if REPEATS in trial.user_attrs:
        trial.should_prune = lambda: False  # type: ignore[method-assign]
    return trial


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
