"""Starting workers. A launcher is one file here, a class that does what `Launcher` says, and one line in `LAUNCHERS`.

`LAUNCHERS` is in `studies/registry.py`. A user's own needs no line: `studies launch NAME --on mymodule:MyLauncher`. Its
tests are one class: `class TestMine(studies.testing.LauncherSuite): launcher = "mymodule:MyLauncher"`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from studies.registry import LAUNCHERS
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description

PRELOADED = "STUDIES_PRELOAD"  # the variable that names modules to a fork server, separated by commas


@dataclass(frozen=True)
class Exit:
    """A worker that has ended. error: its last words, when it did not end by itself.

    out_of_memory: it was killed as the kernel kills when memory is short.
    """

    host: str
    pid: int
    code: int
    error: str | None
    out_of_memory: bool = False


class Launcher(Protocol):
    """Starts workers and knows when they end."""

    logs: Path

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """Import the objective, check the spec against it and, with progress to tell, prepare its data."""

    def start(self, study: str) -> None:
        """Start one worker on the study of this name, which is the one that a worker takes (`names.exact`)."""

    def running(self) -> int:
        """Return how many workers have not ended."""

    def reap(self) -> list[Exit]:
        """Return the workers that have ended since the last call."""

    def stop(self) -> None:
        """Ask every worker to leave after its epoch."""

    def kill(self) -> None:
        """End every worker now."""

    def close(self) -> None:
        """Let go of what was started for the workers' sake."""


def make_launcher(kind: str, spec: StudySpec, settings: Settings, n_workers: int) -> Launcher:
    """Return the launcher of this kind, imported only now. Raises WrongInput for one that there is not."""
    launcher: Launcher = LAUNCHERS.load(kind)(spec, settings, n_workers)
    return launcher
