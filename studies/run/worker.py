"""One worker's life: claim a trial, run it, tell how it ended; until the budget is spent or it is asked to stop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from studies import words
from studies.artifacts import artifact_store, attach
from studies.errors import GpuFailed, ObjectiveRefused, OtherCode, StudyDeleted
from studies.logs.places import for_trials
from studies.names import (
    ALONE,
    CODE,
    DETAIL,
    PACKING,
    PAUSED,
    PROVENANCE,
    SECONDS,
    UID,
    Reason,
    State,
    StopReason,
)
from studies.record.diagnose import first_verdict
from studies.record.reading import trial_of
from studies.run import limits, provenance, retention
from studies.run.allocation import keep_freed_memory
from studies.run.checkpoint import Checkpoints
from studies.run.end import Outcome, end, resume
from studies.run.heartbeat import registered
from studies.run.leaving import MARK
from studies.run.objective import FunctionObjective, code_of, facts_of, load_objective
from studies.run.placement import take
from studies.run.program import ProgramObjective
from studies.run.sharing import SharedGpu
from studies.run.signals import Stop
from studies.run.source import fingerprint
from studies.run.stored import checkpoint_store
from studies.run.trial import Course, run_trial
from studies.search import repeats
from studies.search.asha import Asha
from studies.settings import Settings
from studies.spec.description import code_changes
from studies.storage import Storage, Waiting, open_storage
from studies.storage.budget import Budget
from studies.study import budget_of, find, lock_of, n_in_the_end, open_for_trials, space_of, spec_of, typed
from studies.words import one_line

WAIT_FOR_OTHERS_S = 1.0


def work(
    name: str,
    settings: Settings,
    device: str | None,
    stop: Stop,
    say: Callable[[str], None],
    gpu: SharedGpu | None = None,
) -> str:
    """Run trials of the study until there is none left for this worker; return why it left.

    device: None takes as many of this machine's GPUs as the study asks for. say: told one line about each trial as it
    ends. gpu: that others share.
    Raises StudyNotStarted, ObjectiveRefused, GpuFailed, and the storage's errors.
    """
    keep_freed_memory()
    with open_storage(settings, Waiting(stop, say)) as storage:
        worker = _Worker(storage, name, settings, device, stop, say, gpu or SharedGpu())
        with (
            registered(storage.ledger, worker.study_id, worker.device, stop, say) as worker_id,
            _study_is_there(storage, worker.study.study_name),
        ):
            return worker.run(worker_id)


@contextmanager
def _study_is_there(storage: Storage, name: str) -> Iterator[None]:
    """Turn whatever a deleted study does to its workers into one error."""
    try:
        yield
    except (KeyError, StorageInternalError):
        if find(storage, name) is None:
            raise StudyDeleted(name=name) from None
        raise


class _Worker:
    def __init__(
        self,
        storage: Storage,
        name: str,
        settings: Settings,
        device: str | None,
        stop: Stop,
        say: Callable[[str], None],
        gpu: SharedGpu,
    ) -> None:
        self.storage = storage
        self.study = open_for_trials(storage, name)
        self.study_id = self.study._study_id
        self.spec = spec_of(self.study)
        self.stop, self.say, self.gpu = stop, say, gpu
        self.device = device = device or take(self.spec.resources.gpus_per_worker)
        objective = load_objective(self.spec)
        if isinstance(objective, ProgramObjective):
            os.environ.pop(MARK, None)
            objective = objective.logging_to(
                for_trials(settings.logs_of(self.study.study_name), self.study.user_attrs[UID])
            )
        data = objective.prepare(self.spec.dataset, settings.data, settings.directory("prepared"), _quiet)
        self.here = os.open(".", os.O_RDONLY)  # where each trial begins; it leads there whatever becomes of the path
        self.checkpoints = Checkpoints(checkpoint_store(storage, self.study, settings, say), say)
        self.artifacts = artifact_store(settings)
        self.course = Course(
            self.spec, space_of(self.study), objective, data, device, stop, self.checkpoints, gpu.after_epoch,
            alone=partial(storage.ledger.alone, f"asked {self.study_id}"),
        )  # fmt: skip
        # How many trials there are in a space that is tried to its end: what is pruned takes its repeats away, and what
        # a plain function asks for is known once it has asked.
        self.is_found_out = self.spec.repeats > 1 or isinstance(objective, FunctionObjective)
        self.data_facts = facts_of(self.spec.dataset, data, settings)
        own = {"data": self.data_facts["sha256"], "code": self._code()}
        self.provenance = provenance.of_this_process(device) | own

    def _code(self) -> str | None:
        """Return the fingerprint of the objective's code. Raises OtherCode where the last launch had another."""
        code = code_of(self.spec.objective)
        if difference := code_changes(self.study.user_attrs.get(CODE, {}), code):
            raise OtherCode(name=typed(self.storage, self.study.study_name), difference=difference)
        return fingerprint(code)

    def run(self, worker_id: int) -> str:
        while True:
            if self.stop.why:
                return self.stop.why
            budget, trial = self._claim(worker_id)
            if trial is not None:
                self._run(trial)
                self._tidy_up(budget.n_trials)
            elif why := self._nothing_left(budget) and self._nothing_left(self._budget_after_launches()):
                return why
            else:
                # Others still run the last trials. Should one of them die, its trial is ours to continue.
                time.sleep(WAIT_FOR_OTHERS_S)

    def _claim(self, worker_id: int) -> tuple[Budget, optuna.Trial | None]:
        """Take over what dead workers left, then take the next trial, if there is one and no limit forbids it.

        The storage hands out exactly n_trials, also when others claim at the same time.
        """
        budget = budget_of(self.storage, self.study, self.spec)
        if not self.gpu.may_run():
            return budget, None
        for lost in budget.lost:
            if end(self.storage, self.study, lost, Outcome.failed(Reason.LOST), self.spec.limits.max_retries):
                self.say(f"trial {self.storage.optuna.get_trial(lost).number} was lost with its worker")
        if budget.lost:
            budget = budget_of(self.storage, self.study, self.spec)
        budget = self._up_to_date(budget)
        if limits.reached(self.spec, budget):
            return budget, None
        self._resume_paused(budget.n_trials)
        n_trials = budget.n_trials
        if self.is_found_out:
            n_trials = min(n_trials, n_in_the_end(self.study, by_now=True))
        trial_id = self.storage.optuna.claim_trial(self.study_id, n_trials=n_trials, worker_id=worker_id)
        if trial_id is None:
            return budget, None
        # What `Study.ask` does, too: without it the sampler would go on with the trials it saw last time.
        self.study._thread_local.cached_all_trials = None
        return budget, optuna.Trial(self.study, trial_id)

    def _up_to_date(self, budget: Budget) -> Budget:
        """Return the budget with as many trials as there will be by now, and let everybody know."""
        known = budget
        if self.is_found_out:
            known = replace(budget, n_trials=n_in_the_end(self.study))
        n_trials = limits.n_in_the_end(known, isinstance(self.study.pruner, Asha))
        if n_trials != budget.n_trials:
            self.storage.ledger.set_n_trials(self.study_id, n_trials)
        return replace(budget, n_trials=n_trials)

    def _resume_paused(self, n_trials: int) -> None:
        """Queue a paused trial that has come among the best; the next claim takes it before a new one."""
        pruner = self.study.pruner
        paused = pruner.next(self.study, n_trials) if isinstance(pruner, Asha) else None
        if paused is not None and resume(self.storage, self.study, paused):
            self.say(f"trial {paused.number} is resumed")

    def _nothing_left(self, budget: Budget) -> str | None:
        if why := limits.reached(self.spec, budget):
            return why
        if budget.running or budget.done < budget.n_trials:
            return None
        return "the only trial is done" if budget.n_trials == 1 else f"all {budget.n_trials} trials are done"

    def _budget_after_launches(self) -> Budget:
        """Return the budget once no launch is about to change it. Raises StudyDeleted where there is none any more."""
        name = self.study.study_name
        with self.storage.ledger.alone(lock_of(name)):
            budget = budget_of(self.storage, self.study, self.spec)
        if not budget.n_trials:
            raise StudyDeleted(name=name)
        return budget

    def _run(self, trial: optuna.Trial) -> None:
        try:
            outcome = self._outcome(trial)
        except ObjectiveRefused as error:  # every other trial would end like this one
            self._end(trial, Outcome.failed(Reason.EXCEPTION, str(error)))
            raise
        self._end(trial, outcome)
        if self.study._stop_flag:
            self.storage.ledger.request_stop(self.study_id, StopReason.OBJECTIVE)
        if outcome is None:
            return
        if (news := self.gpu.after_trial(outcome.attributes.get(SECONDS, 0.0))) is not None:
            self.say(news)
            host = socket.gethostname()
            self.study.set_user_attr(f"{PACKING}{host} {news.partition(':')[0]}", f"{host}, {news}")
        if outcome.gpu_failed and not isinstance(self.course.objective, ProgramObjective):
            detail = one_line(outcome.detail or "")
            raise GpuFailed(number=trial.number, detail=detail, name=typed(self.storage, self.study.study_name))

    def _outcome(self, trial: optuna.Trial) -> Outcome | None:
        """Run a trial beside those of other workers, or alone where it must."""
        alone = ALONE in trial.user_attrs
        with self.gpu.held(alone, self.stop) as held:
            if not held:
                return Outcome.failed(Reason.STOPPED, self.stop.why)
            outcome = run_trial(trial, self.course)
            os.chdir(self.here)
            shared = not alone and self.gpu.is_shared()
        if outcome is not None and shared and (outcome.gpu_failed or outcome.reason is Reason.OUT_OF_MEMORY):
            outcome.reason = Reason.CROWDED  # alone it may succeed, so the sampler learns nothing yet
        return outcome

    def _end(self, trial: optuna.Trial, outcome: Outcome | None) -> None:
        if outcome is not None:
            if outcome.traceback is not None:
                self._keep_traceback(trial, outcome.traceback)
            outcome.attributes |= {PROVENANCE: self.provenance}
            if outcome.reason is None or not outcome.reason.is_continued:
                outcome.attributes |= self._verdict(trial, outcome)
            if outcome.state == TrialState.COMPLETE:
                repeats.queue(self.study, trial, self.spec.repeats)
        if outcome is None or not end(self.storage, self.study, trial, outcome, self.spec.limits.max_retries):
            self.say(f"trial {trial.number} was taken over by another worker: this one was silent for its whole lease")
            return
        self.say(_line(trial.number, outcome))

    def _keep_traceback(self, trial: optuna.Trial, text: str) -> None:
        try:
            attach(self.artifacts, trial, "traceback.txt", text.encode())
        except OSError as error:
            self.say(f"the traceback of trial {trial.number} is not kept as an artifact: {error}")

    def _tidy_up(self, n_trials: int) -> None:
        """Remove the checkpoints that no trial needs any more, of all workers' trials."""
        stored = self.checkpoints.numbers()
        if not stored:
            return
        trials = self.study.get_trials(deepcopy=False)
        needed = retention.needed(stored, trials, self.spec.directions)
        if isinstance(self.study.pruner, Asha):
            needed |= self.study.pruner.may_resume(trials, self.spec.directions, n_trials)
        for number in stored - needed:
            self.checkpoints.delete(number)

    def _verdict(self, trial: optuna.Trial, outcome: Outcome) -> dict[str, str]:
        ends = trial_of(self.storage.optuna.get_trial(trial._trial_id), self.course.space)
        told = ends.attributes | outcome.attributes | {DETAIL: outcome.detail}
        ends = replace(ends, state=State(outcome.state.name.lower()), reason=outcome.reason, attributes=told)
        ends = ends.following(self.spec.metric) if self.spec.has_several else ends
        return first_verdict(ends, self.spec, self.data_facts).attributes


def _line(number: int, outcome: Outcome) -> str:
    state = words.state("paused" if PAUSED in outcome.attributes else outcome.state.name, outcome.reason)
    value = ""
    if outcome.values is not None:
        named = "value" if len(outcome.values) == 1 else "values"
        value = f", {named} {', '.join(f'{each:.6g}' for each in outcome.values)}"
    detail = "" if outcome.detail is None else f": {one_line(outcome.detail)}"
    after = f" after {outcome.attributes[SECONDS]:.1f} s" if SECONDS in outcome.attributes else ""
    return f"trial {number} {state}{value}{after}{detail}"


def _quiet(what: str, fraction: float) -> None:
    """Progress for nobody: the launcher has shown it already."""


def say_to_stderr(line: str) -> None:
    """Print one line of a worker's log, with the time."""
    # Not through sys.stderr: what it cannot write to a full disk it keeps, and raises for again at the end.
    with suppress(OSError):
        os.write(2, f"{time.strftime('%H:%M:%S')} {line}\n".encode(errors="backslashreplace"))
