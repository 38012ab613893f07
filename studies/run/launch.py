"""A launch: prepare once, create or join the study, and keep its workers going until it is done."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from optuna.trial import TrialState

from studies import names
from studies.errors import (
    UNFINISHED,
    WRONG_INPUT,
    Interrupted,
    NothingTrained,
    ObjectiveRefused,
    StudyDeleted,
    TooManyFailures,
    WorkersDied,
)
from studies.logs.noted import note_study
from studies.names import Reason, StopReason
from studies.record.progress import Progress, read_progress
from studies.run import limits
from studies.run.end import Outcome, end
from studies.run.join import Start, join
from studies.run.launchers import Exit, Launcher, make_launcher
from studies.settings import Settings
from studies.storage import Storage, Waiting, is_there, open_storage
from studies.study import JoinedStudy, budget_of, find, get, is_done, spec_of, started, typed
from studies.words import IMPORTING, plural

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description
    from studies.storage.budget import Budget

POLL_S = 0.25
REFRESH_S = 1.0
RESTARTS_PER_WORKER = 3
KILLED_FOR_MEMORY = "the kernel killed the worker: the machine, or what the worker may use of it, was out of memory"


class View(Protocol):
    """What a person sees of a launch."""

    def preparing(self, what: str, fraction: float) -> None:
        """The data set is being prepared."""

    def update(self, progress: Progress) -> None:
        """The study stands like this now."""

    def say(self, line: str) -> None:
        """Something happened."""

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def launch(
    spec: StudySpec,
    start: Start,
    settings: Settings,
    n_workers: int,
    on: str,
    view: View,
    timeout_s: float = math.inf,
) -> tuple[str, bool]:
    """Run the study to its end; return its name in the storage, and False when it had all its trials already.

    on: where the workers run, as `--on` has it. timeout_s: after that, workers stop after their epoch.
    Raises ObjectiveRefused, what `join` and `Launch.run` do, and the storage's errors.

    >>> from studies.spec import Override, load
    >>> from studies.view import make_view
    >>> spec = load("mnist-target", [Override.parsed(text) for text in ("name=launched", "n_trials=2", "max_epochs=1")])
    >>> with make_view() as view:
    ...     launch(spec, Start(), Settings.from_environment(), 1, "local", view)
    ('launched', True)
    """
    if start == Start() and (name := _has_all_trials(spec, settings)) is not None:
        return name, False
    with prepared(spec, settings, n_workers, on, view, timeout_s) as ready:
        joined = join(ready.storage, spec, ready.described, start, view.say)
        return joined.spec.name, ready.run(joined)


@dataclass(frozen=True)
class Prepared:
    """What a launch needs to join its study, and `run`, which runs the study that it joined; see `Launch.run`."""

    storage: Storage
    described: Description
    run: Callable[[JoinedStudy], bool]


@contextmanager
def prepared(
    spec: StudySpec, settings: Settings, n_workers: int, on: str, view: View, timeout_s: float
) -> Iterator[Prepared]:
    """Prepare the data, describe the objective and open the storage; everything is closed again at the end."""
    with closing(make_launcher(on, spec, settings, n_workers, view.say)) as launcher:
        from studies import artifacts

        artifacts.check(settings)
        view.preparing(IMPORTING, 0.0)
        described = launcher.describe(view.preparing)
        interrupts: list[int] = []
        with open_storage(settings, Waiting(lambda: interrupts, view.say)) as storage:

            def run(joined: JoinedStudy) -> bool:
                return Launch(storage, joined, launcher, view, interrupts, timeout_s).run(launcher.n_workers)

            yield Prepared(storage, described, run)


def _has_all_trials(spec: StudySpec, settings: Settings) -> str | None:
    """Return the name of the study that was created from this very spec and has all its trials, or None.

    It answers within a second or so, since nothing is imported or prepared for it, and the embedded server is not
    started if it has never run. So this does not compare the data set and the objective with those that the study
    was created from, as `join` does: nothing is left that would run on them.
    """
    if not is_there(settings):
        return None
    with open_storage(settings) as storage:
        name = names.newest(spec.name, started(storage))
        if name is None:
            return None
        study = get(storage, names.exact(name))
        same = spec_of(study) == spec.model_copy(update={"name": name})
        return name if same and is_done(study, spec, storage.ledger.budget(study._study_id)) else None


class Launch:
    """Keeps the workers of a study going until it is done.

    interrupts: the signals that asked it to stop; a wait for the storage ends when there is one. timeout_s: after
    that, workers stop after their epoch.
    """

    def __init__(
        self,
        storage: Storage,
        joined: JoinedStudy,
        launcher: Launcher,
        view: View,
        interrupts: list[int],
        timeout_s: float,
    ) -> None:
        self._storage, self._launcher, self._view = storage, launcher, view
        self._study, self._study_id, self._spec = joined.study, joined.study_id, joined.spec
        self._interrupts, self._timeout_s = interrupts, timeout_s
        self._timed_out = False
        self._n_workers = 0
        self._n_died = 0  # since a trial last ended well
        self._n_ended_well = 0
        self._last_error: str | None = None
        self._refused: str | None = None
        self._shown_at = 0.0

    def run(self, n_workers: int) -> bool:
        """Run the study to its end; return False when it has all its trials already.

        Raises how an unfinished study ended: Interrupted, TooManyFailures, NothingTrained, WorkersDied.
        """
        budget = self._storage.ledger.budget(self._study_id)
        if is_done(self._study, self._spec, budget):
            return False
        note_study(self._launcher.logs, self._study.user_attrs[names.UID])
        self._n_workers = min(n_workers, max(budget.n_trials - budget.done, 1))
        with self._listening():
            self._start(self._n_workers)
            self._watch()
        self._conclude()
        return True

    @cached_property
    def _typed(self) -> str:
        return typed(self._storage, self._spec.name)

    def _start(self, n_workers: int) -> None:
        self._launcher.start(names.exact(self._spec.name), n_workers)
        if self._interrupts:  # meanwhile: those that were not there yet have not heard of it
            self._end_workers()

    def _watch(self) -> None:
        """Start a worker for each that dies, and show how the study stands, until no worker is left."""
        deadline = time.monotonic() + self._timeout_s
        while self._launcher.running():
            for ended in self._launcher.reap():
                self._ended(ended)
            self._show()
            if time.monotonic() > deadline and not self._timed_out:
                self._timed_out = True
                self._launcher.stop()
            time.sleep(POLL_S)
        self._end_lost()
        self._shown_at = 0.0
        self._show()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupted(self, number: int, frame: Any) -> None:
        self._interrupts.append(number)
        if len(self._interrupts) == 1:
            self._view.say("Stopping after the current epoch of each worker; press Ctrl-C again to end them now.")
        self._end_workers()

    def _end_workers(self) -> None:
        """Pass on what a person asked for: the first time workers leave after their epoch, then they are killed."""
        if len(self._interrupts) == 1:
            self._launcher.stop()
        else:
            self._launcher.kill()

    def _ended(self, ended: Exit) -> None:
        trial_id = self._storage.ledger.trial_of(self._study_id, ended.host, ended.pid)
        if ended.code == 0 and trial_id is None:
            return
        learnt = ended.out_of_memory and trial_id is not None and self._learn(trial_id)
        self._storage.ledger.declare_dead(self._study_id, ended.host, ended.pid)
        if self._interrupts or self._timed_out:
            return
        if learnt:  # a trial's end, not the worker's fault
            self._view.say(
                f"Worker {ended.worker} was killed for lack of memory, as the sampler knows; another starts."
            )
            self._start(1)
            return
        if ended.code == WRONG_INPUT:  # another worker would say the same
            self._refused = ended.error
            self._launcher.stop()
            return
        if ended.code == UNFINISHED:  # its trial has ended
            self._view.say(f"Worker {ended.pid} left, and another takes its place: {ended.error}")
            self._start(1)
            return
        self._count_death()
        self._last_error = ended.error or "it exited with 0 in the middle of a trial"
        if ended.lost:
            return
        restarts = self._n_died <= RESTARTS_PER_WORKER * self._n_workers
        next_step = "another takes its place" if restarts else "no more are started"
        self._view.say(f"Worker {ended.worker} died ({self._last_error}); {next_step}.")
        if restarts:
            self._start(1)

    def _count_death(self) -> None:
        """Forgive what died before a trial ended well: one setting that crashes its workers ends no study."""
        ended_well = self._count_ended_well()
        self._n_died = 1 if ended_well > self._n_ended_well else self._n_died + 1
        self._n_ended_well = ended_well

    def _count_ended_well(self) -> int:
        """Return how many trials have ended, and not failed."""
        return self._storage.optuna.get_n_trials(self._study_id, (TrialState.COMPLETE, TrialState.PRUNED))

    def _end_lost(self) -> None:
        """End the trials of workers that died, for there may be no other worker to do so."""
        for trial_id in self._storage.ledger.budget(self._study_id).lost:
            self._end(trial_id, Outcome.failed(Reason.LOST))

    def _learn(self, trial_id: int) -> bool:
        """End the trial of a worker that the kernel killed; False when the sampler has nothing to learn from it."""
        if not self._storage.optuna.get_trial(trial_id).params:
            return False
        return self._end(trial_id, Outcome.failed(Reason.OUT_OF_MEMORY, KILLED_FOR_MEMORY))

    def _end(self, trial_id: int, outcome: Outcome) -> bool:
        return end(self._storage, self._study, trial_id, outcome, self._spec.limits.max_retries)

    def _show(self) -> None:
        if time.monotonic() - self._shown_at >= REFRESH_S:
            self._shown_at = time.monotonic()
            spec = self._spec
            progress = read_progress(self._storage, self._study_id, spec.name, spec.metrics, spec.repeats, self._typed)
            self._view.update(progress)

    def _conclude(self) -> None:
        """Raise when the study is unfinished, with why."""
        budget = budget_of(self._storage, self._study, self._spec)
        if find(self._storage, self._spec.name) is None:
            raise StudyDeleted(name=self._spec.name)
        reached, done = limits.reached(self._spec, budget), is_done(self._study, self._spec, budget)
        if self._interrupts or self._timed_out or reached or done:  # it says so itself: nobody has to look
            self._storage.ledger.stop_watching(self._study_id)
        if self._refused is not None:
            raise ObjectiveRefused(reason=self._refused)
        if self._interrupts or (budget.stop == StopReason.PERSON and budget.done < budget.n_trials):
            raise Interrupted(command=self._command, trials=budget.trials)
        if limits.too_many_failures(self._spec.limits, budget):
            n_failed = plural(budget.failures_in_a_row, "trial")
            raise TooManyFailures(command=self._command, trials=n_failed, reason=self._last_failure())
        if done and not self._count_ended_well():
            raise self._nothing_trained(budget.done)
        if done:
            return
        if self._timed_out or reached:
            over = f"the --timeout is over; `studies {self._command}` goes on from here"
            self._view.say(f"Stopped after {budget.trials}: {over if self._timed_out else reached}.")
        elif self._n_died:
            raise self._workers_died(budget)
        else:  # each worker was asked to leave, one by one
            raise Interrupted(command=self._command, trials=budget.trials)

    def _nothing_trained(self, n: int) -> NothingTrained:
        failed = "The only trial failed, and said" if n == 1 else f"All {n} trials failed; the last one said"
        return NothingTrained(command=self._command, failed=failed, reason=self._last_failure(), more=2 * n)

    def _workers_died(self, budget: Budget) -> WorkersDied:
        return WorkersDied(
            died="A worker died" if self._n_died == 1 else f"Workers died {self._n_died} times",
            reason=self._last_error,
            logs=self._launcher.logs,
            command=self._command,
            trials=budget.trials,
        )

    @property
    def _command(self) -> str:
        """What goes on with the study, as a person types it."""
        return names.command(self._typed)

    def _last_failure(self) -> str:
        said = self._storage.ledger.last_failure(self._study_id) or "nothing"
        return said.rstrip(".")  # a sentence goes on with it
