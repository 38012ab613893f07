"""What the stand-in for a cluster knows: each object a file, changed under one lock, as others see it at once."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Object = dict[str, Any]
KINDS = ("Job", "Pod", "Secret")


class Objects:
    """Jobs, pods and secrets of one namespace."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for kind in KINDS:
            (directory / kind).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else change anything meanwhile."""
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def all(self, kind: str, **labels: str) -> list[Object]:
        """Return the objects of a kind that have these labels."""
        found = [self.get(kind, path.stem) for path in sorted((self.directory / kind).glob("*.json"))]
        there = [each for each in found if each is not None]
        return [each for each in there if labels.items() <= each["metadata"].get("labels", {}).items()]

    def get(self, kind: str, name: str) -> Object | None:
        with suppress(FileNotFoundError):
            content: Object = json.loads(self._path(kind, name).read_text())
            return content
        return None

    def put(self, content: Object) -> None:
        path = self._path(content["kind"], content["metadata"]["name"])
        path.with_suffix(".new").write_text(json.dumps(content))
        path.with_suffix(".new").replace(path)  # whole, for those who read without the lock

    def remove(self, content: Object) -> None:
        self._path(content["kind"], content["metadata"]["name"]).unlink()

    def log(self, pod: str) -> Path:
        return self.directory / f"{pod}.log"

    def _path(self, kind: str, name: str) -> Path:
        return self.directory / kind / f"{name}.json"
