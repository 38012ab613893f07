"""Programs that are started by fork, from a process of their worker that has imported what is slow to import."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from studies.errors import ObjectiveRefused
from studies.run import preloader
from studies.run.process import Run, Supervisor

PYTHON = re.compile(r"python(\d(\.\d+)?)?|\{python\}")
FORM = "python SCRIPT or python -m MODULE"


def script_of(words: Sequence[str]) -> tuple[str | None, list[str]] | None:
    """Return the module, or None, and the arguments with the script first, of a command that can be started by fork.

    None where it is none: another program, or Python with options of its own.
    """
    python, *rest = words
    if not PYTHON.fullmatch(Path(python).name) or not rest:
        return None
    if rest[0] == "-m" and len(rest) > 1:
        return rest[1], rest[1:]
    return None if rest[0].startswith("-") else (None, rest)


class Forked(Supervisor):
    """A supervisor that a preloader has forked. gone: a descriptor to read from, which ends with it."""

    def __init__(self, pid: int, gone: int) -> None:
        self._pid, self._gone = pid, gone

    def ends_within(self, timeout_s: float) -> bool:
        """See Supervisor."""
        return bool(select.select([self._gone], [], [], timeout_s)[0])

    def kill(self) -> None:
        """See Supervisor."""
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """See Supervisor."""
        os.close(self._gone)


class Preloader:
    """Starts the programs of one worker. modules: what is imported before, once."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process that has imported everything."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    __del__ = close

    def __call__(self, run: Run, output: int, lifeline: int, status: int) -> Forked:
        """Start a program under its supervisor, as `process.executed` does. Raises ObjectiveRefused."""
        found = script_of(run.words)
        assert found is not None  # `check_program` has seen to that
        module, arguments = found
        script = Path(run.directory, arguments[0])
        first_path = str(run.directory if module else script.resolve().parent)
        message = run.scratch / "run.json"
        message.write_text(
            json.dumps(vars(run) | {"module": module, "arguments": arguments, "first_path": first_path}, default=str)
        )
        gone, gone_end = os.pipe()
        try:
            pid = self._asked(run, first_path, str(message).encode(), [output, lifeline, status, gone_end])
        except BaseException:
            os.close(gone)
            raise
        finally:
            os.close(gone_end)
        return Forked(pid, gone)

    def _asked(self, run: Run, first_path: str, message: bytes, descriptors: list[int]) -> int:
        """Return the pid of the supervisor; a preloader that was killed is started again, once."""
        for _ in range(2):
            if self._socket is None:
                self._socket = self._started(run, first_path)
            with suppress(OSError):
                socket.send_fds(self._socket, [message], descriptors)
                if answer := self._socket.recv(64):
                    return int(answer)
            self.close()
        raise ObjectiveRefused(reason="the process that has imported the modules of preload was killed twice")

    def _started(self, run: Run, first_path: str) -> socket.socket:
        """Start the process, and wait until it has imported everything. Raises ObjectiveRefused where it cannot."""
        python = shutil.which(run.words[0], path=run.environment.get("PATH"))
        if python is None:
            raise ObjectiveRefused(
                reason=f"the program could not be started: {run.words[0]}: no such file or directory"
            )
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [python, str(Path(preloader.__file__)), str(theirs.fileno()), first_path, *self._modules],
                cwd=run.directory,
                env=run.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        with ours.makefile("r", encoding="utf-8") as answers:
            said = json.loads(answers.readline() or '{"error": "it was killed"}')
        if "error" in said:
            ours.close()
            self.close()
            modules = ", ".join(self._modules)
            raise ObjectiveRefused(reason=f"objective.preload cannot import {modules}: {said['error']}")
        return ours
