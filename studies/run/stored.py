"""Checkpoints in the storage itself, for trials that go on where another machine's disk is out of reach.

A store for `Checkpoints`. It keeps each on this machine and, where it is small enough, as a row beside its trial, which
goes with the trial. It reads whichever is there.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from studies.artifacts import Store
from studies.errors import StorageUnreachable
from studies.run.checkpoint import SUFFIX
from studies.storage.ledger import Ledger
from studies.words import data_size

MAX_BYTES = 32 * 2**20


@dataclass
class StoredCheckpoints:
    """See `Store`; an object's name is its trial's number and SUFFIX.

    own: the store of this machine. writes: whether another machine may need what is written here. say: called once, of
    a checkpoint that is too large.
    """

    own: Store
    ledger: Ledger
    study_id: int
    writes: bool
    say: Callable[[str], None]

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """See Store."""
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
        if self.writes and len(content) > MAX_BYTES:
            self.writes = False
            size, limit = data_size(len(content)), data_size(MAX_BYTES)
            self.say(
                f"a checkpoint has {size}, and the storage takes {limit}: a trial that is lost with this machine "
                "starts over elsewhere, unless STUDIES_ARTIFACTS is what all machines share"
            )
        if self.writes:
            with _as_os_error():
                self.ledger.keep_checkpoint(self.study_id, _number(artifact_id), content)

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
