"""The directory of a team's server: what is kept there, who serves it now, and what clients paste."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from studies.errors import ServesAlready, ServesNothing
from studies.files import write_secret, write_whole
from studies.storage.team.passwords import ROLES, WORKER, passwords

STOP_WITHIN_S = 60.0
ALWAYS = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with


@dataclass(frozen=True)
class Address:
    """Where a team's server is. name: what clients type. pid: of the process that serves, or served last."""

    name: str
    port: int
    pid: int

    def __str__(self) -> str:
        return f"{f'[{self.name}]' if ':' in self.name else self.name}:{self.port}"


class Place:
    """The directory of one team's server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "root.crt"
        self.log = directory / "serve.log"
        self._address = directory / "address.json"
        self._lock = directory / "serve.lock"

    def address(self) -> Address:
        """Return where the server is, or was last. Raises ServesNothing."""
        try:
            return Address(**json.loads(self._address.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # or it holds something else
            raise ServesNothing(what="has run", directory=self.directory) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the one process that serves it. Raises ServesAlready."""
        with self._lock.open("a+") as lock:
            if not _taken(lock):
                where = f", at {self.address()}" if self._address.exists() else ""
                raise ServesAlready(directory=self.directory, where=where, pid=_pid_in(lock))
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def server_pid(self) -> int | None:
        """Return the process that serves it, or is about to; None when there is none."""
        with self._lock.open("a+") as lock:
            return None if _taken(lock) else _pid_in(lock)

    def is_served_by(self, pid: int) -> bool:
        """Whether a process serves it, and clients may come."""
        try:
            return self.address().pid == pid
        except ServesNothing:
            return False

    def announce(self, address: Address) -> None:
        """Keep the address, and for each role a file with its URL, of mode 0600."""
        for role in ROLES:
            write_secret(self.url_file(role), f"{self.url(role, address, quote(str(self.root)))}\n".encode())
        write_whole(self._address, json.dumps(asdict(address)).encode())

    def url_file(self, role: str) -> Path:
        """Return where a role's URL is kept: for this machine, and for programs other than `studies`."""
        return self.directory / f"{role}.url"

    def url(self, role: str, address: Address, root: str) -> str:
        """Return the URL of a role. root: where its user has a copy of the root certificate, quoted for a URL."""
        password = passwords(self.directory / "passwords.json")[role]
        return f"postgresql://{role}:{password}@{address}/studies?sslmode=verify-full&sslrootcert={root}"

    def lines(self) -> str:
        """Return what to type on the machines that use it: the certificate's copy, and a line for each role."""
        address = self.address()
        here = f'export STUDIES_STORAGE="$(cat {shlex.quote(str(self.url_file(WORKER)))})"'
        if address.name in ALWAYS:
            return "\n".join(
                [
                    "# For this machine alone; `--host 0.0.0.0 --name NAME`, as others reach it, serves them too.",
                    *self._exports(address, quote(str(self.root))),
                ]
            )
        copy = f"studies-{address.name.replace(':', '-')}.crt"
        return "\n".join(
            [
                "# Once on each other machine, copy the certificate there, such as with",
                f"scp {str(address).rpartition(':')[0]}:{shlex.quote(str(self.root))} ~/{copy}",
                "# Then paste one of these there; each holds a password.",
                *self._exports(address, f"$HOME/{copy}"),
                "# Here, where it is served",
                here,
            ]
        )

    def _exports(self, address: Address, root: str) -> Iterator[str]:
        for role, what in ROLES.items():
            yield f"# {role}: {what}"
            yield f'export STUDIES_STORAGE="{self.url(role, address, root)}"'

    def stop(self) -> bool:
        """Ask the process that serves to stop, and wait for its end; False when there is none."""
        if (pid := self.server_pid()) is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        while self.server_pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        return True


def _taken(lock: IO[str]) -> bool:
    """Take a lock that goes with the file, and so with the process; False when another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid_in(lock: IO[str]) -> int:
    while True:  # between the lock and the number there is a moment
        lock.seek(0)
        if found := lock.read():
            return int(found)
        time.sleep(0.01)


def name_of(host: str, names: list[str]) -> str:
    """Return what clients type: the first name given, else where it listens, else this machine's name."""
    return (names or [socket.gethostname() if host in EVERYWHERE else host])[0]


def names_of(host: str, names: list[str]) -> list[str]:
    """Return every name and address that the certificate is for."""
    own = [host]
    if host in EVERYWHERE:
        families = (socket.AF_INET, socket.AF_INET6)
        interfaces = psutil.net_if_addrs().values()
        own = [
            entry.address.partition("%")[0] for entries in interfaces for entry in entries if entry.family in families
        ]
    return list(dict.fromkeys([*names, socket.gethostname(), *own, *ALWAYS]))
