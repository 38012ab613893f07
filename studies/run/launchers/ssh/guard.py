"""Keeps the embedded server until the last worker of another machine has had its time to leave.

The server cannot see workers elsewhere. A process of this machine uses it for them. It outlives its launcher, even one
that is killed, by as long as workers may take for a last epoch.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

LAST_EPOCH_S = 15.0


class Guard:
    """A process that uses the embedded server until it is released, or this process has died."""

    def __init__(self, settings: Settings) -> None:
        command = [sys.executable, "-P", "-m", __name__, str(settings.home)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)

    def release(self) -> None:
        """End it: every worker has left."""
        with suppress(OSError):
            self._process.communicate(b"\n")


def main() -> None:
    """Be a user of the server until stdin says so or ends."""
    home = Path(sys.argv[1])
    with EmbeddedServer(Settings(None, home, home / "data")):
        if not sys.stdin.buffer.readline():
            time.sleep(LAST_EPOCH_S)


if __name__ == "__main__":
    main()
