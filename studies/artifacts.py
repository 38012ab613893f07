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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from optuna.artifacts import ArtifactMeta, Boto3ArtifactStore, FileSystemArtifactStore

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
    mimetype, encoding = mimetypes.guess_type(filename)
    meta = ArtifactMeta(str(uuid.uuid4()), filename, mimetype or "application/octet-stream", encoding)
    store.write(meta.artifact_id, io.BytesIO(content))
    trial.storage.set_trial_system_attr(trial._trial_id, ARTIFACT + meta.artifact_id, json.dumps(asdict(meta)))
    return meta.artifact_id


class DirectoryStore(FileSystemArtifactStore):
    """A store in a directory, of this machine or of several (NFS)."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """See Store."""
        path = self._get_filepath(artifact_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a known name, which `remove` finds; a trial has one writer.
        write_whole(path, content_body.read(), _partial(path))

    def remove(self, artifact_id: str) -> None:
        """See Store."""
        path = self._get_filepath(artifact_id)
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


class BucketStore(Boto3ArtifactStore):
    """A store in an S3 bucket, below a prefix. Who may do so is boto3's business: its variables, files and roles.

    An upload to S3 is there when it is whole, and boto3 has a checksum compared at both ends.
    """

    def __init__(self, bucket: str, parts: list[str]) -> None:
        import boto3
        from botocore.config import Config

        # Short, for a trial waits meanwhile; the pauses between checkpoints grow with the time they take.
        patience = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3})
        with _as_os_error():
            super().__init__(bucket, boto3.client("s3", config=patience))
        self._prefix = "".join(f"{part}/" for part in parts)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """See Store."""
        with _as_os_error():
            return super().open_reader(self._prefix + artifact_id)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """See Store."""
        with _as_os_error():
            super().write(self._prefix + artifact_id, content_body)

    def remove(self, artifact_id: str) -> None:
        """See Store."""
        with _as_os_error():
            super().remove(self._prefix + artifact_id)

    def sizes(self) -> dict[str, int]:
        """See Store."""
        found: dict[str, int] = {}
        with _as_os_error():
            pages: Any = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix):
                found |= {entry["Key"][len(self._prefix) :]: entry["Size"] for entry in page.get("Contents", ())}
        return found


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}{PARTIAL}")


@contextmanager
def _as_os_error() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise OSError(f"S3: {error}") from error
