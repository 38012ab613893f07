"""A command of `studies` that is typed from Python: in a process of its own, its messages shown as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence

from studies.errors import CommandFailed
from studies.settings import Settings


def run(settings: Settings, words: Sequence[str], fine: Collection[int], called: Mapping[str, str]) -> str:
    """Run a command, and return what it printed.

    fine: exit codes that are no failure where something was printed. called: what the caller's arguments are, of which
    the command speaks as its options. Raises CommandFailed.
    """
    given = {"STUDIES_HOME": settings.home, "STUDIES_STORAGE": settings.storage}
    environment = os.environ | {key: str(value) for key, value in given.items() if value}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "studies", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",  # what a library prints there may be in any encoding
            start_new_session=True,  # one Ctrl-C is one, not one from the terminal and one from here
        )
        try:
            last = _shown(process, called)
        finally:
            code = process.wait()
            if process.stderr is not None:
                process.stderr.close()
        printed.seek(0)
        answer = printed.read()
    if code and not (code in fine and answer):
        raise CommandFailed(command=words[0], code=code, said=last.removeprefix("studies: "))
    return answer


def _shown(process: subprocess.Popen[str], called: Mapping[str, str]) -> str:
    """Show a command's messages as they come, and return the last one."""
    last = ""
    try:
        for line in process.stderr or ():
            for option, argument in called.items():
                line = line.replace(f"{option}: ", f"{argument}: ")
            last = line.strip() or last
            print(line, end="", file=sys.stderr)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        print(*(process.stderr or ()), sep="", end="", file=sys.stderr)
        raise
    return last


def options(**given: object) -> list[str]:
    """Return arguments as options of a command, but for those that are None."""
    words = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None)
    return [word for option in words for word in option]


def flags(**given: bool) -> list[str]:
    """Return those that are true as flags of a command."""
    return [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
