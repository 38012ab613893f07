"""What a study keeps beside its database: checkpoints, and the files that optuna-dashboard shows with a trial.

They live below STUDIES_HOME, or where STUDIES_ARTIFACTS says: a directory that several machines share, or
s3://BUCKET/PREFIX. Both are artifact stores as Optuna has them (`open_reader`, `write`, `remove`) that can also be
listed, and both keep one promise more: an object is the old one or the whole new one, even if a writer is killed.

Whatever a store cannot do it tells with an OSError, or with Optuna's ArtifactNotFound.
"""

from __future__ import annotations

import io
import json
import mimetypes
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from studies.errors import ArtifactsNotUsable
from studies.files import write_whole
from studies.names import ARTIFACT, UID
from studies.settings import Settings, masked

if TYPE_CHECKING:
    import optuna

BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]+)(?:/(.*))?")
PARTIAL = ".partial"


class Store(Protocol):
    """An Optuna artifact store that can be listed."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return the object, to read; ArtifactNotFound when there is none."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write the object, wholly or not at all."""

    def remove(self, artifact_id: str) -> None:
        """Remove the object, if it is there."""

    def sizes(self) -> dict[str, int]:
        """Return every object's size in bytes, what was left half-written included."""


def open_store(settings: Settings, *parts: str) -> Store:
    """Return the part of the settings' artifact store that is named by `parts`. Raises ArtifactsNotUsable."""
    where = settings.artifacts
    if where is None or "://" not in where:
        root = settings.home if where is None else Path(where).expanduser().absolute()
        return DirectoryStore(root.joinpath(*parts))
    bucket = BUCKET.fullmatch(where)
    if bucket is None:
        raise ArtifactsNotUsable(where=masked(where), reason="it names neither a directory nor a bucket")
    from studies.bucket import BucketStore

    try:
        return BucketStore(bucket[1], [*filter(None, (bucket[2] or "").split("/")), *parts])
    except ImportError:
        reason = "boto3 is not installed (`pip install 'studies[s3]'`)"
        raise ArtifactsNotUsable(where=where, reason=reason) from None


def artifact_store(settings: Settings) -> Store:
    """Return the store of what optuna-dashboard shows with trials and studies. Raises ArtifactsNotUsable."""
    return open_store(settings, "artifacts")


def checkpoints_of(study: optuna.Study) -> str:
    """Return the name of the place, below `checkpoints`, where a study's trials keep theirs."""
    return f"{study.study_name}-{study.user_attrs[UID]}"


def check(settings: Settings) -> None:
    """Raise ArtifactsNotUsable now for what would cost every trial its checkpoints later; a full disk may pass."""
    if settings.artifacts is None:
        return
    store = open_store(settings)
    try:
        if isinstance(store, DirectoryStore):
            store.directory.mkdir(parents=True, exist_ok=True)
            if not os.access(store.directory, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied")
        else:
            probe = f"probe-{uuid.uuid4()}"
            store.write(probe, io.BytesIO(b"studies"))
            store.remove(probe)
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else str(error)
        raise ArtifactsNotUsable(where=masked(settings.artifacts), reason=reason) from None


def attach(store: Store, trial: optuna.Trial, filename: str, content: bytes) -> str:
    """Keep a file that the dashboard shows with the trial; return its id. Raises OSError.

    Unlike `optuna.artifacts.upload_artifact` it writes first and links then: no link leads nowhere.
    """
    artifact_id = str(uuid.uuid4())
    store.write(artifact_id, io.BytesIO(content))
    trial.storage.set_trial_system_attr(trial._trial_id, ARTIFACT + artifact_id, link(artifact_id, filename))
    return artifact_id


def link(artifact_id: str, filename: str) -> str:
    """Return the value of the system attribute by which Optuna finds an artifact, of a study or of a trial."""
    mimetype, encoding = mimetypes.guess_type(filename)
    about = {"artifact_id": artifact_id, "filename": filename}
    return json.dumps(about | {"mimetype": mimetype or "application/octet-stream", "encoding": encoding})


class DirectoryStore:
    """A store in a directory, of this machine or of several (NFS).

    Not one of Optuna's: to import `optuna.artifacts` is to import boto3, where that is installed.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """See Store."""
        try:
            return self._path(artifact_id).open("rb")
        except FileNotFoundError:
            from optuna.artifacts.exceptions import ArtifactNotFound

            raise ArtifactNotFound(f"there is no {artifact_id}") from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """See Store."""
        path = self._path(artifact_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a known name, which `remove` finds; a trial has one writer.
        write_whole(path, content_body.read(), _partial(path))

    def remove(self, artifact_id: str) -> None:
        """See Store."""
        path = self._path(artifact_id)
        for file in (path, _partial(path)):
            file.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """See Store."""
        found: dict[str, int] = {}
        for path in self.directory.rglob("*"):
            # A writer that was killed leaves its partial file, which is removed with the object it was to become.
            whole = path.with_name(path.name[1:].removesuffix(PARTIAL)) if path.name.endswith(PARTIAL) else path
            try:
                size = path.stat().st_size if path.is_file() else None
            except FileNotFoundError:  # removed by another worker just now
                continue
            if size is not None:
                name = whole.relative_to(self.directory).as_posix()
                found[name] = found.get(name, 0) + size
        return found

    def _path(self, artifact_id: str) -> Path:
        path = self.directory / artifact_id
        if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(self.directory)):
            raise ValueError(f"{artifact_id!r} leads out of the store")
        return path


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}{PARTIAL}")
