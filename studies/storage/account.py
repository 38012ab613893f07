"""The user that the embedded server runs as, and what that user can reach.

PostgreSQL refuses to run as root. For root the server runs as `nobody`, and what it needs is put where `nobody` can
reach it without any existing folder's permissions being changed: in the home when it is reachable, else below
/var/lib/studies.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

ROOT_PLACE = Path("/var/lib/studies")


class Account:
    """This user, or `nobody` for root. Runs commands and makes directories as it."""

    def __init__(self) -> None:
        self._nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    @property
    def has_name(self) -> bool:
        """Whether the user has an entry in /etc/passwd; `docker run --user 12345` gives one that has not."""
        try:
            return self._nobody is not None or bool(pwd.getpwuid(os.geteuid()))
        except KeyError:
            return False

    def place_for(self, home: Path) -> Path:
        """Return where the server of a home may live."""
        if self._nobody is None or self.reaches(home):
            return home
        # Content of a root-only home: named after it, so that two homes never share a server.
        return ROOT_PLACE / hashlib.sha256(str(home).encode()).hexdigest()[:12]

    def reaches(self, path: Path) -> bool:
        """Whether it can enter a directory or run a program."""
        return self.run("test", "-x", str(path)).returncode == 0

    def reachable(self, installed: Path) -> Path:
        """Return a folder with `bin/postgres`, or a copy of it where it cannot reach that."""
        if self.reaches(installed / "bin" / "postgres"):
            return installed
        copy = ROOT_PLACE / installed.name
        if not copy.exists():
            ROOT_PLACE.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=ROOT_PLACE))
            shutil.copytree(installed, partial / installed.name)
            with suppress(FileExistsError, OSError):  # another process was faster
                (partial / installed.name).rename(copy)
            shutil.rmtree(partial)
        return copy

    def make_directory(self, path: Path) -> None:
        """Make a directory that is this user's."""
        path.mkdir(parents=True, exist_ok=True, mode=0o755 if self._nobody and path.parent == ROOT_PLACE else 0o700)
        if self._nobody and path.stat().st_uid != self._nobody.pw_uid:
            os.chown(path, self._nobody.pw_uid, self._nobody.pw_gid)

    def run(self, *command: str, input: str | None = None, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
        """Run a command with next to no environment; its output is in `stderr`."""
        # Output goes to a file: the server inherits it, and reading a pipe would wait for the server's end.
        # pg_ctl and initdb pass paths through a shell, where a $ in one would be lost: they get relative ones.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=cwd,
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                user=self._nobody.pw_uid if self._nobody else None,
                group=self._nobody.pw_gid if self._nobody else None,
                extra_groups=[] if self._nobody else None,
                check=False,
            )
            output.seek(0)
            done.stderr = output.read()
        return done
