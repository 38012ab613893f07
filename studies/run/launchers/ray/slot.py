"""What runs on a node of a Ray cluster: an actor with one worker, started as every launcher starts its own.

The actor takes the place that Ray schedules. The worker is a process of its own below it: Ray ends actors without
warning, and a worker whose launcher has died finishes its epoch, saves a checkpoint and leaves.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studies.run.launchers import Exit
from studies.run.launchers.local import LocalLauncher
from studies.settings import Settings
from studies.spec import StudySpec

LOG_BYTES = 2**20  # of a log, in one look, while the worker runs


@dataclass(frozen=True)
class Given:
    """What an actor needs. code: the files of the working directory, a tar. settings: those that a node cannot know."""

    study: str
    spec: dict[str, Any]
    settings: dict[str, Any] = field(repr=False)
    code: bytes = field(repr=False)


@dataclass(frozen=True)
class Look:
    """How a worker is. node: Ray's id of it. log: what it has printed since the last look. ended: once it has."""

    node: str
    host: str
    pid: int
    log: bytes = field(repr=False)
    ended: Exit | None


class Slot:
    """Made into an actor by its launcher; see `Given`."""

    def __init__(self, given: Given) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="studies-ray-"))
        with tarfile.open(fileobj=io.BytesIO(given.code)) as archive:
            archive.extractall(self._directory, filter="data")
        os.chdir(self._directory)
        # A process that is forked from a server would import Ray's own main module again.
        vars(sys.modules["__main__"]).pop("__file__", None)
        settings = replace(Settings.from_environment(), **given.settings)
        self._launcher = LocalLauncher(StudySpec.model_validate(given.spec), settings, 1, directory=self._directory)
        self._launcher.start(given.study, 1)
        [self._pid] = self._launcher.pids.values()
        self._log, self._n_read = self._launcher.logs / "worker-0.log", 0
        self._ended: Exit | None = None

    def look(self) -> Look:
        """Return how the worker is."""
        import ray

        self._ended = next(iter(self._launcher.reap()), self._ended)
        node: str = ray.get_runtime_context().get_node_id()
        return Look(node, socket.gethostname(), self._pid, self._read(), self._ended)

    def stop(self) -> None:
        """Ask the worker to leave after its epoch."""
        self._launcher.stop()

    def kill(self) -> None:
        """End the worker now."""
        self._launcher.kill()

    def close(self) -> None:
        """Let go of everything; the worker has ended, or has its last epoch's time."""
        self._launcher.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _read(self) -> bytes:
        if not self._log.exists():
            return b""
        with self._log.open("rb") as file:
            file.seek(self._n_read)
            content = file.read(LOG_BYTES if self._ended is None else -1)
        self._n_read += len(content)
        return content
