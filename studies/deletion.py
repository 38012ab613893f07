"""A study that goes, with all that was kept for it: trials, curves, checkpoints, artifacts, its confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import optuna

from studies import names
from studies.artifacts import ARTIFACT, DirectoryStore, artifact_store, checkpoints_of, open_store
from studies.errors import StudyInUse
from studies.settings import Settings
from studies.storage import Storage
from studies.study import find, get, lock_of, typed
from studies.words import plural


@dataclass(frozen=True)
class Doomed:
    """What `delete` takes away: the studies, a study before its confirmation, and how many trials they have."""

    studies: list[optuna.Study]
    n_trials: int


def doomed(storage: Storage, name: str) -> Doomed:
    """Return what goes with a study. Raises StudyNotStarted, NotOurs, and StudyInUse where workers run it."""
    study = get(storage, name)
    confirmation = find(storage, names.confirmation(study.study_name))
    studies = [study] if confirmation is None else [study, confirmation]
    for each in studies:
        _refuse_in_use(storage, each)
    return Doomed(studies, sum(len(each.get_trials(deepcopy=False)) for each in studies))


def delete(storage: Storage, settings: Settings, gone: Doomed) -> None:
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
        storage.optuna.delete_study(study._study_id)


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
