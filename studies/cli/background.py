"""A command that goes on when the terminal is closed: `--detach`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from studies.cli.options import say
from studies.settings import Settings


def detach(name: str, command: str, settings: Settings) -> None:
    """Start what was typed again, in the background and without `--detach`, and say how to follow it.

    name: the study whose trials it runs. command: the word it begins with.
    """
    log = settings.logs_of(name) / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}.log"
    pid = spawn(log, settings)
    say(f"{name} runs in the background (process {pid}, log {log}).", err=True)
    say(f"`studies watch {name}` follows it, `studies stop {name}` ends it.", err=True)


def spawn(log: Path, settings: Settings) -> int:
    """Start what was typed again, in the background and without `--detach`, and return its process id."""
    # A storage URL in argv may hold a password, and argv is for everybody to see: it goes by the environment.
    words = [sys.executable, "-m", "studies", *(word for word in sys.argv[1:] if word != "--detach")]
    environment = os.environ | ({"STUDIES_STORAGE": settings.storage} if settings.storage else {})
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(sys.executable, _without_storage(words), environment, file_actions=streams, setsid=True)


def _without_storage(command: list[str]) -> list[str]:
    kept: list[str] = []
    for word in command:
        if kept and kept[-1] == "--storage":
            kept.pop()
        elif not word.startswith("--storage="):
            kept.append(word)
    return kept
