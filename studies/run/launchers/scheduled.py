"""Workers that a scheduler starts elsewhere, as Slurm, Kubernetes and Ray do: what their launchers have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from studies.run.launchers import Launcher
from studies.run.launchers.local import LocalLauncher
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description

Found = TypeVar("Found")

LAST_EPOCH_S = 10.0  # for workers to leave by themselves when the launcher fails


class SchedulerFailed(Exception):
    """A command of the scheduler's did not do it, and said why."""


class ScheduledLauncher(Launcher):
    """See `Launcher`. Its `reap` asks the scheduler about the workers, once `_look_at` has come.

    kill_s: how long the scheduler may take to end what it was told to end. closing_s: between two looks while this
    closes.
    """

    kill_s: float
    closing_s: float

    def __init__(self, spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None]) -> None:
        # The data is prepared here; this machine's GPUs say nothing of theirs.
        resources = spec.resources.model_copy(update={"gpus_per_worker": 0})
        self._here = LocalLauncher(spec.model_copy(update={"resources": resources}), settings, n_workers)
        self.logs, self.n_workers = self._here.logs, n_workers
        self._spec, self._settings, self._say = spec, settings, say
        self._look_at = 0.0  # on the monotonic clock
        self._stopped = self._killed = False
        self._answers = True

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """See `Launcher`. Raises ObjectiveRefused."""
        return self._here.describe(progress)

    def stop(self) -> None:
        """See `Launcher`. The next `reap` asks them: this is called by a signal, perhaps in the middle of one."""
        self._stopped, self._look_at = True, 0.0

    def close(self) -> None:
        """See `Launcher`."""
        self.stop()
        self._wait(LAST_EPOCH_S)
        self.kill()
        self._wait(self.kill_s)
        self._here.close()

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.running() and self._can_look() and time.monotonic() < deadline:
            self._look_at = 0.0
            self.reap()
            time.sleep(self.closing_s)

    def _asked(self, who: str, look: Callable[[], Found]) -> Found | None:
        """Return what the scheduler says of the workers; None while it does not answer, which is said once."""
        try:
            seen = look()
        except SchedulerFailed as error:
            if self._answers:
                self._say(f"{error}; workers that run go on, and {who} is asked again.")
            self._answers = False
            return None
        self._answers = True
        return seen

    def _can_look(self) -> bool:
        """Whether the scheduler can be asked at all."""
        return True
