"""A program that runs: started under a supervisor, listened to by a thread, ended with everything it started."""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from studies.logs.log import Log
from studies.program import WAIT
from studies.run import supervisor
from studies.run.reports import POLL_S, Epoch, Journal, Lines, PatternTooSlow, WrittenFile, object_in, reports_in
from studies.spec.program import compiled
from studies.words import signal_name

CHUNK_BYTES = 64 * 1024
MARGIN_S = 10.0  # that a supervisor may take longer than the program's grace


@dataclass(frozen=True)
class Ended:
    """How a program ended. status: as `os.wait` has it; None where it could not be started, or nobody knows.

    error: why it could not be started. tail: the end of its output. memory_mib: the peak of its resident set.
    """

    status: int | None
    error: str | None = None
    tail: str = ""
    memory_mib: float | None = None

    @property
    def code(self) -> int:
        """The exit code; 127 where it could not be started; minus the signal that killed it."""
        return 127 if self.status is None else os.waitstatus_to_exitcode(self.status)


class Pipes:
    """The named pipes through which a program reports and is answered, in a directory of its trial.

    Both are open for reading and writing here, so that neither a program nor this worker ever waits to open one.
    """

    def __init__(self, directory: Path) -> None:
        self.reports, self.answers = directory / "reports", directory / "answers"
        for path in (self.reports, self.answers):
            os.mkfifo(path, 0o600)
        self.reading = os.open(self.reports, os.O_RDWR | os.O_NONBLOCK)
        self._writing = os.open(self.answers, os.O_RDWR | os.O_NONBLOCK)

    def answer(self) -> None:
        """Let a program go on that waits."""
        with suppress(OSError):  # full, of answers that nobody reads
            os.write(self._writing, b"\n")

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reading)
        os.close(self._writing)


@dataclass(frozen=True)
class Run:
    """What to start: a command, where, and with which environment.

    scratch: a directory for it alone, which the supervisor removes. grace_s: from SIGTERM to SIGKILL.
    """

    words: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    scratch: Path
    grace_s: float


class Supervisor(Protocol):
    """A supervisor that runs."""

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it has ended."""

    def kill(self) -> None:
        """Kill it; the program goes with it."""

    def close(self) -> None:
        """Let go of what has ended."""


class Executed(Supervisor):
    """A supervisor that was started as a program of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ends_within(self, timeout_s: float) -> bool:
        """See Supervisor."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self._process.returncode is not None

    def kill(self) -> None:
        """See Supervisor."""
        self._process.kill()

    def close(self) -> None:
        """See Supervisor."""
        self._process.wait()


Start = Callable[[Run, int, int, int], Supervisor]


def executed(run: Run, output: int, lifeline: int, status: int) -> Executed:
    """Start a program under its supervisor. output, lifeline and status: the ends of pipes that these two have."""
    given = [str(lifeline), str(status), str(run.scratch), str(run.grace_s), *run.words]
    return Executed(
        subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(supervisor.__file__)), *given],
            cwd=run.directory,
            env=run.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lifeline, status),
            start_new_session=True,
        )
    )


class Process:
    """One run of a program.

    start: `executed`, or a `Preloader`. pattern: finds reports in its output. written: the file that it reports to.
    `events` has each `Epoch`, and `Ended` as the last; PatternTooSlow is the last that its output says.
    """

    def __init__(
        self,
        run: Run,
        start: Start,
        log: Log,
        pipes: Pipes,
        journal: Journal,
        pattern: str | None = None,
        written: WrittenFile | None = None,
    ) -> None:
        self.events: queue.Queue[Epoch | Ended | PatternTooSlow] = queue.Queue()
        self._grace_s, self._log, self._pipes, self._journal = run.grace_s, log, pipes, journal
        self._pattern = None if pattern is None else compiled(pattern)
        self._written = written
        self._pid: int | None = None
        self._ended: dict[str, Any] | None = None
        self.ended: Ended | None = None
        self._over = threading.Event()
        lifeline, self._lifeline = os.pipe()
        self._status, status = os.pipe()
        self._output, output = os.pipe()
        try:
            self._supervisor = start(run, output, lifeline, status)
        except BaseException as error:  # such as for a directory that is not there
            for descriptor in (self._lifeline, self._status, self._output):
                os.close(descriptor)
            log.close(f"could not be started: {error}")
            raise
        finally:
            for inherited in (lifeline, status, output):
                os.close(inherited)
        self._thread = threading.Thread(target=self._listen, name="program", daemon=True)
        self._thread.start()

    def answer(self) -> None:
        """Let the program go on after a report that it waits with."""
        self._pipes.answer()

    def terminate(self) -> None:
        """Ask the program to end; it is killed where it does not within its grace."""
        if not self._over.is_set():
            with suppress(OSError):
                os.write(self._lifeline, b"T")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the program has ended; return whether it has."""
        return self._over.wait(timeout_s)

    def close(self) -> None:
        """End the program and everything that it started, and remove its scratch directory."""
        self.terminate()
        self.wait(self._grace_s + MARGIN_S)
        if self._ended is None and self._pid is not None:  # something has killed or stopped the supervisor
            with suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)
        os.close(self._lifeline)
        if not self._supervisor.ends_within(MARGIN_S):
            self._supervisor.kill()
        self._supervisor.close()
        self._thread.join()

    def _listen(self) -> None:
        try:
            self._read_all(self._output)
        finally:
            self.ended = self._how()
            self._log.close(described(self.ended))
            for descriptor in (self._output, self._status):
                os.close(descriptor)
            self._over.set()
            self.events.put(self.ended)

    def _read_all(self, output: int) -> None:
        """Read what the program prints and reports until it has ended."""
        sources = {output: (self._heard_output, Lines()), self._pipes.reading: (self._heard_report, Lines())}
        sources[self._status] = (self._heard_status, Lines())
        with selectors.DefaultSelector() as selector:
            for descriptor in sources:
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            while self._ended is None and selector.get_map().get(self._status):
                self._look_at_file()
                for key, _ in selector.select(None if self._written is None else POLL_S):
                    if not self._read(key.fd, *sources[key.fd]):
                        selector.unregister(key.fd)
        for descriptor in (output, self._pipes.reading):  # all writers are dead, so this comes to an end
            while self._read(descriptor, *sources[descriptor]) and not self._is_empty:
                pass
            hear, lines = sources[descriptor]
            hear(b"", lines.end())
        self._look_at_file(ended=True)

    def _read(self, descriptor: int, hear: Any, lines: Lines) -> bool:
        """Read what is there; return False at its end."""
        self._is_empty = False
        try:
            content = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            self._is_empty = True
            return True
        except OSError:
            return False
        hear(content, lines.add(content))
        return bool(content)

    def _heard_output(self, content: bytes, lines: Iterable[str]) -> None:
        self._log.write(content)
        if self._pattern is None:
            return
        try:
            for line in lines:
                for report in reports_in(self._pattern, line):
                    self._tell(report)
        except PatternTooSlow as error:
            self._pattern = None
            self.events.put(error)

    def _heard_report(self, content: bytes, lines: Iterable[str]) -> None:
        for line in lines:
            report = object_in(line)
            if report is None:
                self._log.write(f"[studies] a report is no JSON object: {line[:200]}\n".encode())
            else:
                self._tell(report)

    def _heard_status(self, content: bytes, lines: Iterable[str]) -> None:
        for line in lines:
            told = json.loads(line)
            self._pid = told.get("pid", self._pid)
            if "pid" not in told:
                self._ended = told

    def _look_at_file(self, ended: bool = False) -> None:
        if self._written is not None:
            for row in self._written.rows(ended):
                self._tell(row)

    def _tell(self, report: Mapping[str, Any]) -> None:
        epoch = self._journal.add(report)
        if epoch is not None:
            self.events.put(epoch)
        elif report.get(WAIT) is True:  # nothing to judge
            self.answer()

    def _how(self) -> Ended:
        told = self._ended or {}
        tail = self._log.tail.decode(errors="replace")
        return Ended(told.get("status"), told.get("error"), tail, told.get("memory_mib"))


def described(ended: Ended) -> str:
    """Return how a program ended, as a part of a sentence."""
    if ended.error is not None:
        return f"could not be started: {ended.error}"
    if ended.status is None:
        return "was lost: its supervisor was killed"
    if ended.code < 0:
        return f"was killed by {signal_name(-ended.code)}"
    behind = f" (128 + {name})" if (name := signal_behind(ended.code)) else ""
    return f"exited with {ended.code}{behind}"


def signal_behind(code: int) -> str | None:
    """Return the signal that an exit code of a shell stands for, if it does."""
    return signal_name(code - 128) if code > 128 and code - 128 in set(signal.Signals) else None
