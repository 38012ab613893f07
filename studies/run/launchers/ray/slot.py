"""What runs on a node of a Ray cluster: an actor with one worker, started as every launcher starts its own.

The actor takes the place that Ray schedules, and outlives the launcher's connection to the cluster. The worker is a
process of its own below it: Ray ends actors without warning, and a worker whose launcher has died finishes its epoch,
saves a checkpoint and leaves.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
import tarfile
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from studies.run.launchers import Exit
from studies.run.launchers.local import LocalLauncher
from studies.settings import Settings
from studies.spec import StudySpec

LOG_BYTES = 2**20  # of a log, in one look, while the worker runs
WATCH_S = 1.0


@dataclass(frozen=True)
class Given:
    """What an actor needs. code: the files of the working directory, a tar. settings: those that a node cannot know.

    grace_s: how long the worker lives without a launcher that looks at it.
    """

    study: str
    spec: dict[str, Any]
    settings: dict[str, Any] = field(repr=False)
    code: bytes = field(repr=False)
    grace_s: float


class Do(Enum):
    """What the launcher wants of a worker. It says so with every look, since any may be lost."""

    RUN = "run"
    STOP = "stop"  # leave after its epoch
    KILL = "kill"  # end now
    CLOSE = "close"  # it has ended: let go of its place


@dataclass(frozen=True)
class Look:
    """How a worker is. node: Ray's id of it. log: what it has printed beyond `n_read`. ended: once it has."""

    node: str
    host: str
    pid: int
    log: bytes = field(repr=False)
    ended: Exit | None


class Slot:
    """Made into an actor by its launcher; see `Given`. Two threads meet under `_lock`: Ray's, and one that watches."""

    def __init__(self, given: Given) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="studies-ray-"))
        with tarfile.open(fileobj=io.BytesIO(given.code)) as archive:
            archive.extraction_filter = lambda entry, _: entry  # it is one's own, and a link may lead anywhere
            archive.extractall(self._directory)  # noqa: S202
        os.chdir(self._directory)
        # A process that is forked from a server would import Ray's own main module again.
        vars(sys.modules["__main__"]).pop("__file__", None)
        settings = replace(Settings.from_environment(), **given.settings)
        self._launcher = LocalLauncher(StudySpec.model_validate(given.spec), settings, 1, directory=self._directory)
        self._launcher.start(given.study, 1)
        [self._pid] = self._launcher.pids.values()
        self._log = self._launcher.logs / "worker-0.log"
        self._ended: Exit | None = None
        self._lock = threading.Lock()
        self._grace_s, self._heard_at, self._is_alone = given.grace_s, time.monotonic(), False
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def look(self, n_read: int, do: Do) -> Look:
        """Do what the launcher wants, and return how the worker is. n_read: bytes of its log that the launcher has."""
        import ray

        with self._lock:
            if self._is_alone:
                raise RuntimeError(f"it heard nothing of its launch for {self._grace_s:.0f} s, and leaves")
            self._heard_at = time.monotonic()
            if do is Do.CLOSE:
                self._close()
                ray.actor.exit_actor()
            if do is Do.STOP:
                self._launcher.stop()
            if do is Do.KILL:
                self._launcher.kill()
            self._ended = next(iter(self._launcher.reap()), self._ended)
            node: str = ray.get_runtime_context().get_node_id()
            return Look(node, socket.gethostname(), self._pid, self._read(n_read), self._ended)

    def leave(self) -> None:
        """The launch is over: let the worker finish its epoch, then end."""
        with self._lock:
            self._is_alone = True

    def _watch(self) -> None:
        """End the worker, and this process, when no launcher has looked for too long."""
        while not self._is_alone:
            time.sleep(WATCH_S)
            with self._lock:
                self._is_alone = self._is_alone or time.monotonic() - self._heard_at > self._grace_s
        self._launcher.stop()
        deadline = time.monotonic() + self._grace_s
        while self._launcher.running() and time.monotonic() < deadline:
            self._launcher.reap()
            time.sleep(WATCH_S)
        self._close()
        os._exit(0)

    def _close(self) -> None:
        self._launcher.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _read(self, n_read: int) -> bytes:
        if not self._log.exists():
            return b""
        with self._log.open("rb") as file:
            file.seek(n_read)
            return file.read(LOG_BYTES if self._ended is None else -1)
