"""The artifact store in an S3 bucket. Importing it imports boto3, where that is installed: a quarter of a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from optuna.artifacts import Boto3ArtifactStore


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


@contextmanager
def _as_os_error() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise OSError(f"S3: {error}") from error
