"""Checkpoints in the storage itself, for trials that go on where another machine's disk is out of reach.

A store for `Checkpoints`. It keeps each on this machine and, where it is small enough, as a row beside its trial, which
goes with the trial. It reads whichever is there.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import optuna

from studies.artifacts import Store, checkpoints_of, open_store
from studies.errors import StorageUnreachable
from studies.run.checkpoint import SUFFIX
from studies.settings import Settings
from studies.storage import Storage
from studies.storage.ledger import Ledger
from studies.words import data_size

MAX_BYTES, MAX_STUDY_BYTES = 32 * 2**20, 2**30


def checkpoint_store(storage: Storage, study: optuna.Study, settings: Settings, say: Callable[[str], None]) -> Store:
    """Return the store of a study's checkpoints: STUDIES_ARTIFACTS, or this machine and the storage."""
    store = open_store(settings, "checkpoints", checkpoints_of(study))  # two storages may have one study's name
    if settings.artifacts is not None:
        return store
    # With a server that others reach, they may have to go on from what is written here.
    return StoredCheckpoints(store, storage.ledger, study._study_id, settings.storage is not None, say)


@dataclass
class StoredCheckpoints:
    """See `Store`; an object's name is its trial's number and SUFFIX.

    own: the store of this machine. writes: whether another machine may need what is written here. say: called once, of
    a checkpoint that the storage does not take.
    """

    own: Store
    ledger: Ledger
    study_id: int
    writes: bool
    say: Callable[[str], None]
    _said: bool = field(default=False, repr=False)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """See Store."""
        from optuna.artifacts.exceptions import ArtifactNotFound  # with boto3: only where a trial goes on

        try:
            return self.own.open_reader(artifact_id)
        except ArtifactNotFound:
            with _as_os_error():
                content = self.ledger.checkpoint(self.study_id, _number(artifact_id))
            if content is None:
                raise
            return io.BytesIO(content)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """See Store."""
        content = content_body.read()
        self.own.write(artifact_id, io.BytesIO(content))
        if self.writes:
            with _as_os_error():
                self._store(_number(artifact_id), content)

    def _store(self, number: int, content: bytes) -> None:
        size, limit = data_size(len(content)), data_size(MAX_BYTES)
        if len(content) > MAX_BYTES:
            why = f"it has {size}, and the storage takes {limit}"
        elif not self.ledger.keep_checkpoint(self.study_id, number, content, limit=MAX_STUDY_BYTES):
            why = f"those of the study together have {data_size(MAX_STUDY_BYTES)}, which is all that the storage takes"
        else:
            return
        if not self._said:
            self._said = True
            self.say(
                f"the checkpoint of trial {number} is on this machine alone, for {why}; set STUDIES_ARTIFACTS to a "
                "directory that all machines share, or a trial that is lost starts over elsewhere"
            )

    def remove(self, artifact_id: str) -> None:
        """See Store."""
        self.own.remove(artifact_id)
        with _as_os_error():
            self.ledger.remove_checkpoint(self.study_id, _number(artifact_id))

    def sizes(self) -> dict[str, int]:
        """See Store."""
        with _as_os_error():
            stored = self.ledger.checkpoint_sizes(self.study_id)
        return {f"{number}{SUFFIX}": n_bytes for number, n_bytes in stored.items()} | self.own.sizes()


def _number(name: str) -> int:
    return int(name.removesuffix(SUFFIX))


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except StorageUnreachable as error:
        raise OSError(str(error)) from error
