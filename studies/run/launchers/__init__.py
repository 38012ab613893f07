"""Starting workers. A launcher is one file here, a class that does what `Launcher` says, and one line in `LAUNCHERS`.

`LAUNCHERS` is in `studies/registry.py`. A user's own needs no line: `studies launch NAME --on mymodule:MyLauncher`. Its
tests are one class: `class TestMine(studies.testing.LauncherSuite): launcher = "mymodule:MyLauncher"`.

`local` starts processes of this machine, in which `child` runs, and `ssh` those of others; `scheduled` has what Slurm,
Kubernetes and Ray share.

Each is made of a spec, the settings and the number of workers. It may take two more by name: `where`, what follows its
own name in `--on ssh:gpu1,gpu2:4`, and `say`, to be called at any time with a line for the person who launched it. Its
class may have two functions more: `dry_run(spec, settings, n_workers, say)`, the text that `launch --dry-run` prints,
and `get_ready(spec, n_workers)`, which is called as early as possible.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from studies.errors import WrongInput
from studies.registry import LAUNCHERS
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.spec import StudySpec
    from studies.spec.description import Description

MOST_WORKERS = 1000  # of one launch; more are a slip, and more connections than a PostgreSQL takes
PRELOADED = "STUDIES_PRELOAD"  # the variable that names modules to a fork server, separated by commas


@dataclass(frozen=True)
class Exit:
    """A worker that has ended. error: its last words, when it did not end by itself.

    out_of_memory: it was killed as the kernel kills when memory is short. lost: its machine is gone, which the launcher
    has said; it starts others itself.
    """

    host: str
    pid: int
    code: int
    error: str | None
    out_of_memory: bool = False
    lost: bool = False

    @property
    def worker(self) -> str:
        """What to call it: its process, with its host where that is another machine."""
        return str(self.pid) if self.host == socket.gethostname() else f"{self.pid} on {self.host}"


class Launcher(Protocol):
    """Starts workers and knows when they end. n_workers: how many a launch starts at first."""

    logs: Path
    n_workers: int

    def describe(self, progress: Callable[[str, float], None] | None) -> Description:
        """Import the objective, check the spec against it and, with progress to tell, prepare its data."""

    def start(self, study: str, n_workers: int) -> None:
        """Start workers on the study of this name, which is the one that a worker takes (`names.exact`)."""

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


def parted(on: str) -> tuple[str, str]:
    """Return the launcher's name in what `--on` says, and what follows it; nothing follows a user's own."""
    name, _, where = on.partition(":")
    return (name, where) if name in LAUNCHERS else (on, "")


def dry_run(on: str, spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None]) -> str:
    """Return what a launcher would give to its cluster. Raises WrongInput for one that writes nothing down.

    say: called with what a real launch would need besides.
    """
    name, _ = parted(on)
    show: Callable[..., str] | None = getattr(LAUNCHERS.load(name), "dry_run", None)
    if show is None:
        raise WrongInput(reason=f"--dry-run is for --on kubernetes, and --on is {on}; leave one of them out.")
    return show(spec, settings, n_workers, say)


def get_ready(on: str, spec: StudySpec, n_workers: int) -> None:
    """Let a launcher begin with what takes long, where it can, before it is known whether there is anything to run."""
    begin: Callable[[StudySpec, int], object] | None = getattr(LAUNCHERS.load(parted(on)[0]), "get_ready", None)
    if begin is not None:
        begin(spec, n_workers)


def make_launcher(
    on: str, spec: StudySpec, settings: Settings, n_workers: int, say: Callable[[str], None] = lambda line: None
) -> Launcher:
    """Return the launcher that `--on` names, imported only now. Raises WrongInput for one that there is not."""
    name, where = parted(on)
    make = LAUNCHERS.load(name)
    takes = inspect.signature(make).parameters
    if where and "where" not in takes:
        raise WrongInput(reason=f"--on is {on!r}; nothing follows {name}, so type --on {name}")
    given = {"where": where, "say": say}
    launcher: Launcher = make(spec, settings, n_workers, **{key: given[key] for key in given if key in takes})
    return launcher
