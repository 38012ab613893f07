"""`studies storage serve`, as a team's machine runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from studies.settings import Settings
from studies.storage.team.place import Place
from studies.storage.team.server import TeamServer

from .waiting import PATIENCE_S, wait_for


class Served:
    """`studies storage serve` in a directory of its own."""

    def __init__(self, home: Path, port: int = 0) -> None:
        self.home, self.place = home, Place(home / "team")
        self.start(port)

    def start(self, port: int = 0) -> None:
        """Start it, and return once clients may come. port: 0 is a free one."""
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "studies", "storage", "serve", "--port", str(port)],
            env=os.environ | {"STUDIES_HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        wait_for(self._is_there)

    def _is_there(self) -> bool:
        assert self.process.stderr is not None
        assert self.process.poll() is None, self.process.stderr.read()
        return self.place.is_served_by(self.process.pid)

    def kill(self) -> None:
        """Kill the process that serves; the PostgreSQL behind it lives on."""
        self.process.kill()
        self.process.communicate()

    def kill_postgres(self) -> None:
        """Kill the PostgreSQL behind it."""
        server = TeamServer(Settings(None, self.home, self.home), self.place.directory)
        os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def url(self, role: str) -> str:
        """A role's URL, as it is kept on this machine."""
        return self.place.url_file(role).read_text().strip()

    def end(self) -> tuple[str, str]:
        """Stop it in order; what it wrote to stdout and to stderr."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=PATIENCE_S)
