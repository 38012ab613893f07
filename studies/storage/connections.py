"""Connections to the server: as many as are in use at once, which is one in a worker; renewed when they break.

One that was not needed for IDLE_S is closed, so that many at once, as when a class opens the dashboard, leave few.

Nothing is kept on a connection between two statements, so any statement may use any of them, and a pooler in between
may do as it likes. Behind one, a connection outlives a crash of the server.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from optuna.exceptions import StorageInternalError

from studies.errors import (
    LetInNoMore,
    NotSetUp,
    RoleMayNot,
    SharedMemoryFull,
    StorageFull,
    StorageReadOnly,
    StorageUnreachable,
)
from studies.settings import masked
from studies.storage import sql

# Unless the URL says otherwise: notice within half a minute, and so within a lease, that the other side is gone without
# a word. Keepalives do so while an answer is awaited, the user timeout while packets are not acknowledged.
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}

# What passes by itself although the connection stands: others were in the way, or the server's disk is full.
_PASSING = {"40001", "40P01", "53100"}
# What the server says before it closes the connection. When it says nothing, the driver raises its general errors.
_LEAVING = {"57P01", "57P02", "57P03"}
# It takes no writes: another one does after a failover, and a connection anew finds that.
_READ_ONLY = {"25006"}
_GENERAL = (psycopg2.DatabaseError, psycopg2.OperationalError, psycopg2.InterfaceError)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
IDLE_S = 60.0
MAX_CLOCK_OFFSET = timedelta(seconds=10)  # an answer may take as long

# What the server says when it answers but will not let us in; everything else is "unreachable".
_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "takes TLS connections only",
)

T = TypeVar("T")
Rows = list[tuple[Any, ...]]
Statement = tuple[str, Mapping[str, Any]]

# Called between two attempts to reach a server that went away, with why and with the seconds since the first. It may
# bring the server back. What it returns is raised once the time is up, and what it raises ends the waiting.
WhileWaiting = Callable[[StorageUnreachable, float], StorageUnreachable]


_hiding = threading.Lock()
os.register_at_fork(before=_hiding.acquire, after_in_parent=_hiding.release, after_in_child=_hiding.release)


@contextmanager
def without_libpq_variables() -> Iterator[None]:
    """Hide the variables PGHOST, PGPORT, PGOPTIONS, PGSERVICE, ... from libpq while it connects.

    The URL cannot overrule all of them: PGSERVICE, PGTZ and PGDATESTYLE have no parameter. They are hidden from C
    alone: `os.environ`, which an objective may read, keeps them.
    """
    with _hiding:
        hidden = {name: value for name, value in os.environ.items() if name.startswith("PG")}
        for name in hidden:
            os.unsetenv(name)
        try:
            yield
        finally:
            for name, value in hidden.items():
                os.putenv(name, value)


def is_refusal(reason: str) -> bool:
    """Whether a server answered, and does not let this user in. reason: what the driver says of a connection."""
    return any(refusal in reason for refusal in _REFUSALS) and "No such file" not in reason


class Connections:
    """Runs statements, each a transaction of its own, from any thread.

    while_waiting: see `WhileWaiting`.
    environment: whether libpq's variables (PGPASSWORD, PGPASSFILE, PGSSLROOTCERT, ...) add to what the URL says. For
    the embedded server they do not: they mean another server.
    """

    def __init__(
        self,
        url: str,
        wait_s: float,
        while_waiting: WhileWaiting = lambda why, waited_s: why,
        *,
        environment: bool = True,
    ) -> None:
        self.environment = environment
        self._while_waiting = while_waiting
        self.url = re.sub(r"^postgres(ql)?(\+psycopg2)?://", "postgresql://", url)
        self.wait_s = wait_s
        self.n_lost = 0  # connections; what was last written on one may be lost with a crashed server
        self.pooled: bool | None = None  # whether a pooler is in between, once connected
        self._clock_offset = timedelta()  # of the server's, where this machine's is far off
        # With when it was last used. The last one in is taken first. A list's append and pop are safe between threads.
        self._free: list[tuple[psycopg2.extensions.connection, float]] = []

    def run(
        self,
        statement: str | Callable[[], Statement],
        parameters: Mapping[str, Any] | None = None,
        *,
        recover: Callable[[], Rows] | None = None,
        wait_s: float | None = None,
    ) -> Rows:
        """Run a statement and return its rows; when the connection breaks, wait for the server and run it again.

        A broken connection does not tell whether the statement had been carried out. One that must not run twice comes
        with `recover`, which returns its rows if it had. One that depends on what was lost is given as a function.
        """

        def attempt(again: bool) -> Rows:
            if again and recover is not None and (rows := recover()):
                return rows
            return self._run_once(*(statement() if callable(statement) else (statement, parameters or {})))

        return self._patiently(attempt, self.wait_s if wait_s is None else wait_s)

    def _patiently(self, attempt: Callable[[bool], T], wait_s: float) -> T:
        """Return what an attempt returns; when a connection breaks, wait for the server and try again.

        attempt: is given whether it is not the first.
        """
        started = time.monotonic()
        pause, again = _FIRST_PAUSE_S, False
        known: StorageUnreachable | None = None
        while True:
            try:
                return attempt(again)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                why, waited_s = self.unreachable(error), time.monotonic() - started
                if waited_s >= wait_s:
                    raise (known or why) from error
            known = self._while_waiting(why, waited_s)
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads workers, guards nothing
            pause, again = min(2 * pause, _LONGEST_PAUSE_S), True

    def _run_once(self, statement: str, parameters: Mapping[str, Any]) -> Rows:
        connection = self._take()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg2.IntegrityError:
            raise
        except psycopg2.errors.InsufficientPrivilege as error:
            reason = str(error).strip().splitlines()[0]
            raise RoleMayNot(url=masked(self.url), reason=reason) from error
        except psycopg2.Error as error:
            if error.pgcode in _LEAVING | _READ_ONLY or (error.pgcode is None and type(error) in _GENERAL):
                connection.close()
            if connection.closed or error.pgcode in _PASSING:
                raise psycopg2.OperationalError(str(error)) from error
            raise StorageInternalError(str(error).strip()) from error
        finally:
            self._give_back(connection)

    def _take(self) -> psycopg2.extensions.connection:
        try:
            return self._free.pop()[0]
        except IndexError:
            connection = self.connect()
            connection.autocommit = True
            if self.pooled is None:
                self._get_to_know(connection)
            return connection

    def _get_to_know(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.READ_SERVER)
            [(pid, now)] = cursor.fetchall()
        self.pooled = pid != connection.info.backend_pid
        offset = now - datetime.now(UTC)
        self._clock_offset = offset if abs(offset) > MAX_CLOCK_OFFSET else timedelta()

    def now(self) -> datetime:
        """Return the local time; by the server's clock where this machine's is off, for others compute with it."""
        return datetime.now() + self._clock_offset

    def _give_back(self, connection: psycopg2.extensions.connection) -> None:
        if connection.closed:
            # The server went away under all of them: the others would only fail one by one.
            self.n_lost += 1
            self.close()
        else:
            self._free.append((connection, time.monotonic()))
            self._close_idle()

    def _close_idle(self) -> None:
        """Close the one that waits for longest, where others are enough."""
        with suppress(IndexError, psycopg2.Error):  # other threads take and give back meanwhile
            if len(self._free) > 1 and time.monotonic() - self._free[0][1] > IDLE_S:
                self._free.pop(0)[0].close()

    @contextmanager
    def alone(self, what: str) -> Iterator[psycopg2.extensions.cursor]:
        """Hold a lock that only one process at a time holds for `what`; yield its transaction's cursor."""
        with closing(self.lock(what)) as connection, connection.cursor() as cursor:
            yield cursor
            connection.commit()

    def lock(self, what: str) -> psycopg2.extensions.connection:
        """Return a connection in whose transaction a lock is held that only one process at a time holds for `what`.

        The lock goes with the transaction, so it works behind a pooler. Who waits asks again and again, each time in a
        transaction of its own: waiting inside one would keep one of the pooler's connections from the lock's holder.
        """
        connection: psycopg2.extensions.connection | None = None

        def attempt(again: bool) -> psycopg2.extensions.connection | None:
            nonlocal connection
            if again or connection is None:
                connection = self.connect()
            with connection.cursor() as cursor:
                cursor.execute(sql.TRY_LOCK, {"what": what})
                if cursor.fetchone() == (True,):
                    return connection
            connection.rollback()
            return None

        while (holding := self._patiently(attempt, self.wait_s)) is None:
            time.sleep(_FIRST_PAUSE_S * random.uniform(0.5, 1))  # noqa: S311 - spreads workers, guards nothing
        return holding

    @contextmanager
    def may_create(self) -> Iterator[None]:
        """Raise NotSetUp where the server does not let this user create what is missing there."""
        try:
            yield
        except (RoleMayNot, psycopg2.errors.InsufficientPrivilege) as error:
            user = psycopg2.extensions.parse_dsn(self.url).get("user")
            raise NotSetUp(url=masked(self.url), user=user) from error

    def connect(self) -> psycopg2.extensions.connection:
        """Open a connection of the caller's own."""
        given = psycopg2.extensions.parse_dsn(self.url)
        connection: psycopg2.extensions.connection
        with nullcontext() if self.environment else without_libpq_variables():
            connection = psycopg2.connect(**{**_DEFAULTS, **given})
        if not connection.info.host.startswith("/"):  # a Unix socket is never cut
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.NOTICE_SILENCE)
            connection.autocommit = False
        return connection

    def unreachable(self, error: psycopg2.Error) -> StorageUnreachable:
        """Return what to raise when the server is gone."""
        reason = masked((str(error).strip() or "no reason given").splitlines()[0])
        if isinstance(error.__cause__, psycopg2.errors.DiskFull):
            if "shared memory" in reason:
                return SharedMemoryFull(where=f"at {masked(self.url)!r}", reason=reason)
            return StorageFull(where=f"at {masked(self.url)!r}", reason=reason)
        if isinstance(error.__cause__, psycopg2.errors.ReadOnlySqlTransaction):
            return StorageReadOnly(url=masked(self.url), reason=reason)
        refusal = next(filter(is_refusal, str(error).splitlines()), None)  # it may be the second of two addresses
        if refusal is not None and self.environment:
            return LetInNoMore(url=masked(self.url), reason=masked(refusal.strip()))
        return StorageUnreachable(url=masked(self.url), reason=reason)

    def close(self) -> None:
        """Close the connections that nobody is using; the next statement opens one."""
        while self._free:
            with suppress(psycopg2.Error, IndexError):
                self._free.pop()[0].close()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections alone (psycopg2 does not close what another process
        opened)."""
        self._free = []
