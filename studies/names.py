"""Every name in the storage: of studies, attributes, states, directions, and reasons to fail.

A study's versions are `NAME`, `NAME@2`, `NAME@3`; the confirmation of one is `NAME-confirm`, `NAME@2-confirm`. What a
person types means the newest version, and `NAME@1` the first; what a person reads is the same (`typed`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from studies.errors import IsConfirmation

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from studies.record.study import TrialRecord

UNLIMITED = 2**31 - 1  # trials, of a study that another limit ends

# Attributes of a study.
SPEC, DECLARED, DATA = "spec", "declared_space", "data"
CODE = "code"  # the sha256 of each file of the objective's code, by path
UID = "uid"  # differs from that of every other study of its name, in other storages too
CONFIRMS = "confirms"  # only of a confirmation: the study, the best of `start_with` as `published`, the fresh seeds
WARM_START = "warm_start"  # other studies' trials that the sampler knows: a list of {study, trials}
GALLERY = "gallery"  # what was last put into the dashboard
PACKING = "packing:"  # begins one for each GPU that workers share: how many, and why

# Attributes of a trial. `TrialRecord` has a field or a property for each that anybody reads back.
SEED = "seed"  # what everything random in it draws from
START_WITH = "start_with"  # which entry of the study file's `start_with` it is
DEFAULT = "default"  # True of the trial with the defaults that the objective declares
QUEUED = "queued"  # who queued it: a mark of one request of a person's
FROM = "from"  # the study, trial and value its parameters were taken from
CONTENDER = "contender"  # in a confirmation: the number of the trial whose parameters it repeats
EPOCH = "epoch"  # the epoch of its value, from 1
METRICS = "metrics"  # all metrics of that epoch
HISTORY = "history"  # all metrics of every epoch: a list
RUNGS = "rungs"  # of several metrics: their values after each epoch at which trials are compared, by epoch
EVIDENCE = "evidence"  # what the training says about its predictions in that epoch
SECONDS = "seconds"  # how long it trained
PEAK_MEMORY_MIB = "peak_memory_mib"
PROVENANCE = "provenance"  # commit, versions, device, host, and the hash of the data
REASON = "reason"  # why it failed, a Reason
DETAIL = "detail"  # the same in words
TRACEBACK = "traceback"  # the end of it; the whole is an artifact
VERDICT, VERDICT_EVIDENCE, VERDICT_ADVICE = "verdict", "verdict_evidence", "verdict_advice"  # see `Verdict`
CONTINUES = "continues"  # the number of the trial that this one continues
CONTINUED_BY = "continued_by"  # the number of the trial that continues this one, which no longer counts
ALONE = "alone"  # True of a trial that must have its GPU to itself
PAUSED = "paused"  # True of a pruned trial whose checkpoint is kept: another may go on where it was
REPEATS = "repeats"  # of a repeat: the number of the first trial with its setting
RETRIES = "retries"  # how often it has been continued for a reason that is retried
INHERITED = (SEED, START_WITH, DEFAULT, FROM, CONTENDER, ALONE, REPEATS)  # by the trial that continues it

ARTIFACT = "artifacts:"  # Optuna's own, a system attribute: how optuna.artifacts links a file
FIXED_PARAMS = "fixed_params"  # Optuna's own, a system attribute: what a queued trial runs with


class State(StrEnum):
    """Where a trial is: Optuna's states, in lower case. `studies.run.end` says how it gets from one to the next."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"


ENDED = (State.COMPLETE, State.PRUNED, State.FAIL)


class Direction(StrEnum):
    """Whether larger or smaller values of a metric are better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @property
    def sign(self) -> int:
        """1 where larger is better, -1 where smaller is: times it, the largest value is the best."""
        return 1 if self is Direction.MAXIMIZE else -1

    def better(self, value: float, than: float) -> bool:
        """Return whether a value is better than another."""
        return self.sign * value > self.sign * than

    def best(self, values: Iterable[float]) -> float:
        """Return the best value; the first of equal ones. Raises ValueError when there is none."""
        return max(values, key=lambda value: self.sign * value)


def may_be_best(trial: FrozenTrial | TrialRecord) -> bool:
    """Return whether a trial can be the best: it is complete, its values are finite, and it is feasible."""
    if trial.state.name != State.COMPLETE.name:
        return False
    return bool(trial.values) and all(map(math.isfinite, trial.values or ())) and is_feasible(trial.constraints)


def is_feasible(constraints: Mapping[str, float]) -> bool:
    """Return whether none of a trial's constraints is violated, that is above 0.

    Only a feasible trial is ever the best one, of whatever is asked; in SQL, `sql_feasible.VIOLATES` says the same.
    """
    return all(value <= 0 for value in constraints.values())


CONFIRMATION = "-confirm"


class Reason(StrEnum):
    """Why a trial failed: the word in the storage, what it means, and whether another trial goes on where it was.

    is_retried: counted, at most `limits.max_retries` times.
    """

    meaning: str
    is_continued: bool
    is_retried: bool

    def __new__(cls, word: str, meaning: str, continued: bool = False, retried: bool = False) -> Reason:
        """Make a member of its word, which is its value, and what it means."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning, member.is_continued, member.is_retried = meaning, continued, retried
        return member

    NAN = "nan", "the metric or the training loss stopped being a number"
    OUT_OF_MEMORY = "out_of_memory", "the memory of the device or of the machine was too small; the sampler learns it"
    CROWDED = "crowded", "memory ran out or the GPU failed while workers shared it; begun again alone", True
    EXCEPTION = "exception", "the objective raised an exception, and would again"
    CONNECTION = "connection", "a connection of the objective's own broke", True, True
    STOPPED = "stopped", "a person or a limit asked the worker to stop", True
    LOST = "lost", "its worker died", True, True


IN_VAIN = frozenset(reason for reason in Reason if reason.is_continued)


def has_tried(attributes: Mapping[str, Any]) -> bool:
    """Return whether a trial with these user attributes tried its setting, and did not leave it to a continuation.

    One that was lost as often as it may be did: its setting kills workers, and would again.
    """
    return attributes.get(REASON) not in IN_VAIN or CONTINUED_BY not in attributes


class StopReason(StrEnum):
    """Why a study was asked to stop before it has all its trials."""

    PERSON = "`studies stop` was typed"
    OBJECTIVE = "the objective called study.stop()"


class NameInFile(str):
    """A study's name that was given as the path of its file. file: as it was given."""

    file: str

    def __new__(cls, name: str, file: str = "") -> NameInFile:
        """Make a name of it."""
        made = super().__new__(cls, name)
        made.file = file
        return made


def version(base: str, number: int) -> str:
    """Return the name in the storage of a study's version; the first has none."""
    return base if number == 1 else f"{base}@{number}"


def parts(name: str) -> tuple[str, int | None]:
    """Return name and version of what was typed or is stored; None where it says no version."""
    found = re.fullmatch(r"(.+)@(\d{1,9})", name)
    return (found[1], int(found[2])) if found else (name, None)


def confirmation(name: str) -> str:
    """Return the name of a study's confirmation."""
    return name + CONFIRMATION


def confirmed(name: str) -> str | None:
    """Return the study that a confirmation belongs to, or None for any other study."""
    return name.removesuffix(CONFIRMATION) if name.endswith(CONFIRMATION) else None


def refuse_confirmation(typed: str, stored: str, command: str) -> None:
    """Raise IsConfirmation where a person typed a confirmation's name, for a command that is for its study."""
    if (study := confirmed(typed)) is not None:
        raise IsConfirmation(name=stored, study=study, command=f"{command} {study}")


def exact(name: str) -> str:
    """Return how a person types the name of a stored study so that it means no other version, now or later."""
    if (study := confirmed(name)) is not None:
        return confirmation(exact(study))
    return name if parts(name)[1] is not None else f"{name}@1"


def stored(typed: str) -> str:
    """Return the name in the storage of what a person typed: NAME@1 is NAME there."""
    if (study := confirmed(typed)) is not None:
        return confirmation(stored(study))
    base, number = parts(typed)
    return base if number is None else version(base, number)


def newest(typed: str, known: Iterable[str]) -> str | None:
    """Return which of the known studies a person means, or None."""
    known = set(known)
    if (study := confirmed(typed)) is not None:
        study = newest(study, known)
        found = None if study is None else confirmation(study)
    else:
        base, number = parts(typed)
        versions = [parts(name)[1] or 1 for name in known if parts(name)[0] == base]
        found = version(base, max(versions, default=1) if number is None else number)
    return found if found in known else None


def typed(name: str, known: Iterable[str]) -> str:
    """Return what a person types, and reads, for one of the known studies: with @1 for a first version of several."""
    return name if newest(name, known) == name else exact(name)


def command(name: str) -> str:
    """Return what to type to go on with a study."""
    study = confirmed(name)
    return f"launch {name}" if study is None else f"confirm {study}"
