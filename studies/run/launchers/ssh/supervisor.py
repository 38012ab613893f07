"""What stays on a machine when its connection is cut: a `LocalLauncher`, its workers, and their certain end.

    python -P -m studies.run.launchers.ssh.supervisor < GIVEN

It listens at a Unix socket in the launch's directory. The launcher says which state it wants (`Wanted`), again and
again; silence for longer than `grace_s`, or `close`, ends every process of this launch on this machine, and the
directory with them.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil

from studies.errors import StudiesError
from studies.run.launchers.local import LocalLauncher
from studies.run.launchers.ssh.remote import CONTROL
from studies.run.launchers.ssh.wanted import Wanted
from studies.settings import Settings
from studies.spec import StudySpec

POLL_S = 0.2
SEND_S = 5.0  # a launcher that takes nothing for longer has gone
CHUNK_BYTES = 32 * 1024


class Supervisor:
    """One launch's workers on this machine. given: see `machine.Machine`, which sends it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._directory = Path(given["directory"])
        settings = replace(Settings.from_environment(), **given["settings"])
        self._launcher = LocalLauncher(StudySpec.model_validate(given["spec"]), settings, given["n_workers"])
        self._grace_s = float(given["grace_s"])
        self._wanted, self._done = Wanted(), Wanted()
        self._exits: list[dict[str, Any]] = []
        self._connection: socket.socket | None = None
        self._received = b""
        self._sent: dict[str, int] = {}  # bytes, by log
        self._heard_at = time.monotonic()
        self._sending = threading.Lock()  # `describe` speaks from a thread of its own
        self._closing = False

    def run(self) -> None:
        """Do what the launcher says, until it is silent for too long or closes."""
        with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as ready:
            listening.bind(str(self._directory / CONTROL))
            listening.listen()
            ready.register(listening, selectors.EVENT_READ)
            while not self._closing and time.monotonic() - self._heard_at < self._grace_s:
                for key, _ in ready.select(POLL_S):
                    if key.fileobj is listening:
                        self._connect(listening.accept()[0], ready)
                    elif not self._receive():
                        self._disconnect(ready)
                self._reap()
                self._send_logs()
        self._end()

    def close(self) -> None:
        """End at the next opportunity."""
        self._closing = True

    # --- the launcher -----------------------------------------------------------------------------------------------

    def _connect(self, connection: socket.socket, ready: selectors.BaseSelector) -> None:
        self._disconnect(ready)
        connection.settimeout(SEND_S)
        self._connection, self._received = connection, b""
        ready.register(connection, selectors.EVENT_READ)

    def _disconnect(self, ready: selectors.BaseSelector) -> None:
        if self._connection is not None:
            ready.unregister(self._connection)
            self._connection.close()
            self._connection = None

    def _receive(self) -> bool:
        """Take what has arrived; False at the connection's end."""
        if self._connection is None:
            return True
        try:
            content = self._connection.recv(CHUNK_BYTES)
        except OSError:
            content = b""
        *lines, self._received = (self._received + content).split(b"\n")
        for line in lines:
            self._heard_at = time.monotonic()
            self._hear(json.loads(line))
        return bool(content)

    def _hear(self, message: dict[str, Any]) -> None:
        if "describe" in message:
            threading.Thread(target=self._describe, args=(message["describe"],), daemon=True).start()
        elif "wanted" in message:
            wanted, known = Wanted(**message["wanted"]), self._wanted
            self._wanted = wanted
            if wanted.n_connections > known.n_connections:  # say again what was on its way
                self._sent = dict(wanted.logs)
                self._tell(pids=self._launcher.pids, host=socket.gethostname())
                for exit_ in self._exits[wanted.n_exits :]:
                    self._tell(exit=exit_)
            self._reach()
        elif "close" in message:
            self._closing = True

    def _tell(self, **message: Any) -> None:
        if self._connection is not None:
            try:
                with self._sending:
                    self._connection.sendall(json.dumps(message, default=str).encode() + b"\n")
            except OSError:  # the select loop sees its end, too
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    # --- workers ----------------------------------------------------------------------------------------------------

    def _reach(self) -> None:
        """Come to the state that is wanted."""
        wanted, done = self._wanted, self._done
        if wanted.n_kills > done.n_kills:
            self._launcher.kill()
        if wanted.n_stops > done.n_stops:
            self._launcher.stop()
        if (n_more := wanted.n_started - done.n_started) > 0:
            self._launcher.start(wanted.study, n_more)
            self._tell(pids=self._launcher.pids, host=socket.gethostname())
        self._done = wanted

    def _reap(self) -> None:
        for exit_ in self._launcher.reap():
            self._exits.append(asdict(exit_))
            self._tell(exit=asdict(exit_))

    def _describe(self, prepare: bool) -> None:
        def progress(what: str, fraction: float) -> None:
            self._tell(progress=[what, fraction])

        try:
            described = self._launcher.describe(progress if prepare else None)
        except StudiesError as error:
            self._tell(error=type(error).__name__, given=error.given)
        else:
            self._tell(described={"declared": described.declared, "data": described.data, "code": described.code})

    def _send_logs(self) -> bool:
        """Send a piece of each log that has grown; whether there was any."""
        grown = False
        for log in sorted(self._launcher.logs.glob("worker-*.log")):
            sent = self._sent.get(log.name, 0)
            if self._connection is not None and log.stat().st_size > sent:
                with log.open("rb") as file:
                    file.seek(sent)
                    content = file.read(CHUNK_BYTES)
                self._tell(log=log.name, at=sent, text=content.decode("latin-1"))  # a character for each byte
                self._sent[log.name] = sent + len(content)
                grown = True
        return grown

    def _end(self) -> None:
        """Let the workers leave, end every process, and remove the directory; then only this process is left."""
        self._launcher.close()
        deadline = time.monotonic() + SEND_S
        while self._send_logs() and time.monotonic() < deadline:
            pass
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


def main() -> None:
    """Supervise until the end; never wait for what was started."""
    given = json.loads(sys.stdin.buffer.read())
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    supervisor = Supervisor(given)
    signal.signal(signal.SIGTERM, lambda number, frame: supervisor.close())
    supervisor.run()
    os._exit(0)


if __name__ == "__main__":
    main()
