"""A study with all that is kept for it: trials, checkpoints, artifacts, its confirmation; logs, when it is deleted."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.artifacts.exceptions import ArtifactNotFound

from studies import names
from studies.artifacts import DirectoryStore, Store, artifact_store, checkpoints_of, open_store
from studies.errors import StudyInUse
from studies.logs.removal import remove_logs
from studies.names import ARTIFACT, PROVENANCE, SPEC, UID
from studies.settings import Settings
from studies.storage import Storage
from studies.storage.copy import Copy, copy_rows
from studies.study import find, get, lock_of, new_uid, started, typed
from studies.words import plural


@dataclass(frozen=True)
class Whole:
    """The studies, a study before its confirmation, and how many trials they have.

    hosts: the other machines that ran some of them. checkpoints, logs: the names of the directories where trials keep
    theirs on the machine that runs them; logs are of programs alone.
    """

    studies: list[optuna.Study]
    n_trials: int
    hosts: list[str]
    checkpoints: list[str]
    logs: list[str]

    def left_here(self, settings: Settings) -> str | None:
        """Return the sentence about logs on this machine that another user has written, or None."""
        own = [settings.home / "logs" / each.study_name for each in self.studies]
        found = [path for place in own if place.is_dir() for path in (place, *filter(Path.is_dir, place.iterdir()))]
        kept = [str(path) for path in found if not os.access(path, os.W_OK)]
        return f"Still here, for another user has written them: the logs in {', '.join(kept)}." if kept else None

    def left_elsewhere(self, settings: Settings) -> str | None:
        """Return what other machines keep when it is deleted here, as a sentence; None where that is nothing."""
        kept = [*(self.checkpoints if settings.artifacts is None else ()), *self.logs]
        if not kept or not self.hosts:
            return None
        places = " and ".join(f"~/.local/share/studies/{place}" for place in kept)
        return f"What its trials kept on {' and '.join(self.hosts)} stays there: {places}."


def whole(storage: Storage, name: str) -> Whole:
    """Return what belongs to a study. Raises StudyNotStarted, NotOurs, and StudyInUse where workers run it."""
    found = whole_of(storage, get(storage, name))
    for each in found.studies:
        _refuse_in_use(storage, each)
    return found


def whole_of(storage: Storage, study: optuna.Study) -> Whole:
    """Return what belongs to a study, also while workers run it."""
    confirmation = find(storage, names.confirmation(study.study_name))
    studies = [study] if confirmation is None else [study, confirmation]
    trials = [trial for each in studies for trial in each.get_trials(deepcopy=False)]
    known = [trial.user_attrs.get(PROVENANCE) for trial in trials]  # any program may set an attribute to anything
    hosts = {str(facts["host"]) for facts in known if isinstance(facts, dict) and facts.get("host")}
    checkpoints = [f"checkpoints/{checkpoints_of(each)}" for each in studies]
    is_program = isinstance(study.user_attrs[SPEC]["objective"], dict)
    logs = [f"logs/{each.study_name}" for each in studies] if is_program else []
    return Whole(
        studies, n_trials=len(trials), hosts=sorted(hosts - {socket.gethostname()}), checkpoints=checkpoints, logs=logs
    )


def delete(storage: Storage, settings: Settings, gone: Whole) -> None:
    """Delete the studies. Killed in the middle, the first is there still, and can be deleted again.

    Raises StudyInUse, RoleMayNot for a role that may not, and OSError where the artifact store fails.
    """
    for study in reversed(gone.studies):
        _delete(storage, settings, study)


def _delete(storage: Storage, settings: Settings, study: optuna.Study) -> None:
    with storage.ledger.alone(lock_of(study.study_name)):  # no launch joins it meanwhile
        _refuse_in_use(storage, study)
        storage.ledger.forget(study._study_id)  # before the files: who may not do this may not do anything
        artifacts = artifact_store(settings)
        for artifact in _artifacts_of(storage, study):
            artifacts.remove(artifact)
        checkpoints = open_store(settings, "checkpoints", checkpoints_of(study))
        for checkpoint in checkpoints.sizes():
            checkpoints.remove(checkpoint)
        if isinstance(checkpoints, DirectoryStore) and checkpoints.directory.is_dir():
            checkpoints.directory.rmdir()
        others = set(started(storage)) - {study.study_name}
        remove_logs(settings.home, study.study_name, study.user_attrs[UID], others)
        storage.optuna.delete_study(study._study_id)


def copy(source: Storage, target: Storage, settings: Settings, copied: Whole) -> None:
    """Copy the studies into another storage, all or none. What is in the artifact store is copied within it.

    Raises StudyInUse, StudyIsThere, RoleMayNot, and OSError where the artifact store fails.
    """
    copies: list[Copy] = []
    written: list[tuple[Store, str]] = []
    with ExitStack() as locks:
        for study in copied.studies:
            locks.enter_context(source.ledger.alone(lock_of(study.study_name)))  # no launch joins it meanwhile
            _refuse_in_use(source, study)
            artifacts = {artifact: str(uuid.uuid4()) for artifact in _artifacts_of(source, study)}
            copies.append(Copy(study.study_name, new_uid(), artifacts))
        try:
            for study, own in zip(copied.studies, copies, strict=True):
                _copy_files(settings, study, own, written)
            copy_rows(source.connections(), target.connections(), copies)
        except BaseException:
            for store, name in written:
                store.remove(name)
            raise


def _copy_files(settings: Settings, study: optuna.Study, own: Copy, written: list[tuple[Store, str]]) -> None:
    """Copy a study's files under the names of its copy. written: what is written is put here, before it is."""
    artifacts = artifact_store(settings)
    checkpoints = open_store(settings, "checkpoints", checkpoints_of(study))
    copies = open_store(settings, "checkpoints", f"{own.name}-{own.uid}")
    files = [(artifacts, old, artifacts, new) for old, new in own.artifacts.items()]
    files += [(checkpoints, name, copies, name) for name in checkpoints.sizes()]
    for here, old, there, new in files:
        with suppress(ArtifactNotFound), here.open_reader(old) as content:  # it may be on another machine
            written.append((there, new))
            there.write(new, content)


def _refuse_in_use(storage: Storage, study: optuna.Study) -> None:
    n_workers = sum(worker.alive for worker in storage.ledger.workers(study._study_id))
    if n_workers:
        name = study.study_name
        raise StudyInUse(name=name, workers=plural(n_workers, "worker"), typed=typed(storage, name))


def _artifacts_of(storage: Storage, study: optuna.Study) -> Iterator[str]:
    """Yield the artifacts of a study and of its trials, by the names that their store has for them."""
    trials = study.get_trials(deepcopy=False)
    for attributes in (storage.optuna.get_study_system_attrs(study._study_id), *(each.system_attrs for each in trials)):
        yield from (key.removeprefix(ARTIFACT) for key in attributes if key.startswith(ARTIFACT))
