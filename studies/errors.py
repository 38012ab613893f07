"""Every error a user can meet.

One base class. The docstring of a class is its message: what was given, what was expected, what to type next.
`exit_code` is what the command line exits with.
"""

from __future__ import annotations

import errno
import inspect
import os
from typing import Any, ClassVar

DONE, FAILED, WRONG_INPUT, STORAGE_UNREACHABLE, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_CODES = {
    DONE: "done",
    FAILED: "failed",
    WRONG_INPUT: "wrong input",
    STORAGE_UNREACHABLE: "storage unreachable",
    UNFINISHED: "a worker died and the study is unfinished",
    INTERRUPTED: "interrupted",
}


class StudiesError(Exception):
    """The study service could not do what was asked."""

    exit_code: ClassVar[int] = FAILED

    def __init__(self, **given: Any) -> None:
        self.given = given
        template = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(template.format(**given))

    def __reduce__(self) -> tuple[Any, ...]:
        # The message is made of keyword arguments, which the default pickling of exceptions drops.
        return _rebuild, (type(self), self.given)


def _rebuild(kind: type[StudiesError], given: dict[str, Any]) -> StudiesError:
    return kind(**given)


class WrongInput(StudiesError):
    """{reason}"""

    exit_code = WRONG_INPUT


class RowsUnanswered(StudiesError):
    """{n} {rows} could not be answered; the column `error` says why, and --strict stops at the first."""


class WrongSpec(WrongInput):
    """{where}: {reason}"""


class SpecChanged(WrongInput):
    """Study {name!r} is already in the storage with another {what} ({difference}); put it back, or add --new-version
    to the same command, which begins {next}."""


class CodeChanged(SpecChanged):
    """The code of study {name!r} has changed since its last launch ({difference}): add --same-code to the same command
    if it gives the same values as before, or --new-version to begin {next}."""


class OtherCode(WrongInput):
    """This machine has other code than study {name!r} was last launched with ({difference}); copy that code here, or,
    if both give the same values, type `studies launch {name} --same-code` here first."""


class StudyNotStarted(WrongInput):
    """Study {name!r} has no trial in this storage yet; `studies launch {launch}` starts it."""  # its name or its file


class UnknownStudy(StudyNotStarted):
    """No study is named {name!r}, in the catalog or in this storage (`studies list` shows every study, and
    `studies launch FILE.yaml` starts one of your own){near}"""  # `meant`: the nearest names alone, where there are any


class StudyDeleted(WrongInput):
    """Study {name!r} was deleted from the storage while its workers ran, and its trials with it;
    `studies launch {name}` starts it anew."""


class StudyInUse(WrongInput):
    """Study {name!r} has {workers} running; `studies stop {typed}` asks them to leave, then type the same again."""


class StudyIsThere(WrongInput):
    """Study {name!r} is in the storage at {url!r} already; delete it there first, with
    `studies delete {name} --storage URL`."""


class NotOurs(StudyNotStarted):
    """Study {name!r} in this storage was created by another Optuna program, not by `studies`: `studies status` and
    `studies dashboard` show it, and a study of your own needs another name."""


class NoSuchVersion(StudyNotStarted):
    """Study {name!r} has no version {number} in this storage; the newest is {newest!r}, `studies list` shows all."""


class NotConfirmed(StudyNotStarted):
    """Study {name!r} has no confirmation in this storage yet; `studies confirm {name}` starts it."""


class IsConfirmation(WrongInput):
    """{name!r} is the confirmation of study {study!r}, not a study of its own; `studies {command}` is what you want."""


class NothingToConfirm(WrongInput):
    """Study {name!r} has nothing to confirm yet, for {why} ({states}); `studies report {name}` says more."""


class NothingToStartFrom(WrongInput):
    """Study {name!r} has nothing to start from, for {why} ({states}); `studies report {name}` says more."""


class DataChanged(WrongInput):
    """Study {name!r} was trained with other {what} than is there now ({difference}); put it back and type
    `studies confirm {name}` again, or, if only code differs that gives the same values, `studies launch {name}
    --same-code` first."""


class NobodyCameThrough(StudiesError):
    """No contender of study {name!r} came through all seeds ({reason}); fix it, then `studies confirm {name}`
    continues."""


class NothingToExport(WrongInput):
    """Study {name!r} has nothing to export or to train yet, for {why} ({states}); `studies report {name}` says more."""


class ChooseFromFront(WrongInput):
    """Study {name!r} has no single best trial, but a Pareto front: {points}; choose one, such as --pick '{pick}' or
    --trial {trial}."""


class BestNotWritten(StudiesError):
    """{file} cannot be written in this directory ({reason}), but nothing is lost, it is all in the storage; `studies
    export {name} -o FILE` writes it to a place of your choice."""


class MlflowFailed(StudiesError):
    """Study {name!r} was not logged whole to MLflow at {uri!r} ({reason}); start that server or correct the address,
    and type the same again: what is there already is not written twice."""


class ObjectiveRefused(WrongInput):
    """{reason}"""


class MachinesNotReady(WrongInput):
    """Workers cannot run on {hosts}, so nothing was started; fix what is said above, or leave {them} out of --on."""


class ModelRefused(WrongInput):
    """{path} cannot be used as a model: {reason}; `studies train NAME -o DIR` writes one."""


class DirectoryTaken(WrongInput):
    """{path} {reason}; choose another directory with -o{or_else}."""


class SpecRefused(ObjectiveRefused):
    """{reason}"""  # `path` leads to the key of the study file that does not fit the objective


class SpaceRefused(SpecRefused):
    """{reason}"""


class NotFetched(StudiesError):
    """{name} was not fetched: {reason}; {todo}."""


class WrongStorageUrl(WrongInput):
    """The storage {url!r} is not usable: {reason}; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or a
    file that holds it, in STUDIES_STORAGE or --storage, or neither for the embedded server."""


class StorageRefused(WrongInput):
    """The server at {url!r} refused: {reason}; check the user, password and database in STUDIES_STORAGE; for
    a team's server, `studies storage serve --show` prints the whole line on the machine that serves."""


class TargetRefused(WrongInput):
    """The storage {url!r}, which --to names, is not usable: {reason}; expected
    postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or a file that holds it."""


class RoleMayNot(WrongInput):
    """The server at {url!r} does not let this user do that ({reason}); use the line for another role in
    STUDIES_STORAGE: `studies storage serve --show` prints all three on the machine that serves."""


class NotSetUp(RoleMayNot):
    """The server at {url!r} was set up by another release of studies, and its user {user!r} may not add what this one
    needs; install this release on the machine that serves and start `studies storage serve` there again, or type
    `studies list` once with the owner's line."""


class ServesAlready(WrongInput):
    """The team's server in {directory} runs already{where} (process {pid}); `studies storage serve --show`
    prints the lines to paste, `studies storage down --team` stops it."""


class ServesNothing(WrongInput):
    """No team's server {what} in {directory}; `studies storage serve` starts one, and --directory names another."""


class CannotListen(WrongInput):
    """Cannot listen at {host} port {port} ({reason}); {todo}."""


class ClockBehind(WrongInput):
    """This machine's clock says {now}, which is before {file} was made; set the clock, or, if it is right, delete that
    file, type the same again, and copy the new one to every machine."""


class CertificateRefused(WrongInput):
    """The certificate of the server at {url!r} was not accepted ({reason}); {todo}."""


class NoSuchUser(WrongInput):
    """The dashboard has no user named {name!r}; `studies dashboard user list` shows all, `studies dashboard user add
    NAME --role viewer` adds one."""


class BackupRefused(WrongInput):
    """{path} cannot be restored: {reason}; expected a file that `studies storage backup FILE` wrote."""


class StorageNotEmpty(WrongInput):
    """The storage at {url!r} has studies already, and a backup goes only into an empty one; give --storage a new
    database, or STUDIES_HOME a new directory for an embedded server."""


class StorageUnreachable(StudiesError):
    """No PostgreSQL server answers at {url!r} ({reason}); start it, or unset STUDIES_STORAGE for the embedded
    server."""

    exit_code = STORAGE_UNREACHABLE


class TargetUnreachable(StorageUnreachable):
    """No PostgreSQL server answers at {url!r}, which --to names ({reason}); start it, or correct the address."""


class LetInNoMore(StorageUnreachable):
    """The server at {url!r} lets this user in no more ({reason}); if its password was changed, set STUDIES_STORAGE to
    the new line, which `studies storage serve --show` prints on the machine that serves, and type the same command
    again: what was stored is there."""


class StorageFull(StorageUnreachable):
    """The disk of the PostgreSQL server {where} is full ({reason}); make room on it, then the same command goes on
    from there."""


class StorageReadOnly(StorageUnreachable):
    """The PostgreSQL server at {url!r} takes no writes ({reason}): it is a standby, or was set so, as providers do when
    its disk is full; end that, or set STUDIES_STORAGE to the server that takes them, then the same command goes on."""


class SharedMemoryFull(StorageUnreachable):
    """The PostgreSQL server {where} ran out of shared memory ({reason}); give its /dev/shm more room (`docker run
    --shm-size 1g`), then the same command goes on from there."""


class UserWithoutName(WrongInput):
    """User id {uid} has no entry in /etc/passwd, and PostgreSQL creates no database for such a user; add one (as root,
    or in the image: `echo studies:x:{uid}:0::/tmp:/bin/sh >> /etc/passwd`), or set STUDIES_STORAGE to a server that
    runs elsewhere."""


class EmbeddedServerFailed(StorageUnreachable):
    """The embedded PostgreSQL server did not start in {place} ({reason}); its log is {log}."""


class OtherPostgres(StorageUnreachable):
    """What is stored in {place} was written by PostgreSQL {written}, and this installation brings {brought}, which
    cannot read it; type `studies storage backup all.backup` with the installation that wrote it, move {place} away, and
    type `studies storage restore all.backup` with this one."""


class SystemShort(StudiesError):
    """This system gives no more {what} ({reason}); {todo}, then type the same."""


class HomeNotWritable(WrongInput):
    """Cannot write to {path} ({reason}); set STUDIES_HOME to a directory that this user can write to."""


class ArtifactsNotUsable(WrongInput):
    """The artifact store {where!r} is not usable: {reason}; expected a directory that this user can write to, or
    s3://BUCKET/PREFIX with what boto3 needs in its own variables, in STUDIES_ARTIFACTS."""


class GpuFailed(StudiesError):
    """The GPU failed in trial {number} ({detail}), and this process can use it no more; `studies worker {name}` starts
    another."""

    exit_code = UNFINISHED


class WorkersDied(StudiesError):
    """{died} and the study is unfinished ({trials}): {reason}; the logs are in
    {logs}; `studies {command}` goes on from here."""

    exit_code = UNFINISHED


class TooManyFailures(StudiesError):
    """{trials} failed in a row, so the study stopped; the last one said: {reason}. Fix it, then
    `studies {command}` continues."""


class NothingTrained(StudiesError):
    """{failed}: {reason}. Fix it, then `studies {command} --trials {more}`
    runs as many again."""


class CommandFailed(StudiesError):
    """`studies {command}` exited with code {code}: {said}"""


class TrainingFailed(StudiesError):
    """{metric} became {value} in epoch {epoch} of {n_epochs}, so nothing was written; try another --seed, or a trial
    with a lower learning rate."""


class ProgramNotTrained(StudiesError):
    """The training ended early, so nothing was written: {reason}."""


class TrainingInterrupted(StudiesError):
    """Stopped after {done}; nothing was written, and the same command starts over."""

    exit_code = INTERRUPTED


class Interrupted(StudiesError):
    """Stopped after {trials}; `studies {command}` goes on from here."""

    exit_code = INTERRUPTED


class CommandInterrupted(StudiesError):
    """The command was interrupted, and no file is half-written; type the same to run it again."""

    exit_code = INTERRUPTED


_PROCESSES = ("processes or threads", "end other programs, or raise `ulimit -u` or the container's limit of processes")
_FILES = ("open files", "raise `ulimit -n`")
_DISK = ("room on the disk", "make room there")
_MEMORY = ("memory", "end other programs, or raise `ulimit -v` or the container's limit of memory")
_SHORTAGES = {
    os.strerror(errno.EAGAIN): _PROCESSES,
    "can't start new thread": _PROCESSES,
    os.strerror(errno.EMFILE): _FILES,
    os.strerror(errno.ENFILE): _FILES,
    "insufficient file descriptors": _FILES,
    os.strerror(errno.ENOSPC): _DISK,
    os.strerror(errno.EDQUOT): _DISK,
    os.strerror(errno.ENOMEM): _MEMORY,
    "MemoryError": _MEMORY,
    "failed to map segment": _MEMORY,  # of a library that is loaded
}


def shortage_in(said: str) -> SystemShort | None:
    """Return the error for what the system has too little of, by its own words in a message; None where it has not."""
    found = next((_SHORTAGES[words] for words in _SHORTAGES if words in said), None)
    return found and SystemShort(what=found[0], reason=said, todo=found[1])
