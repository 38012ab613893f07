"""The shared PostgreSQL: opening it, wherever it is.

postgres     Optuna's storage on Optuna's own tables; `studies`, `starting`, `writing` and `reading` are its parts
sql          their statements; `functions` those of the hot path, in the server, and `calls` what calls each
rows         between Optuna's rows and Optuna's objects
memory       what a process remembers of one study; `own` its own trial, `remembered` all studies, `rungs` the rungs
writes       several writes to a trial in one statement; `lingering` holds them, `ends` which ends a crash may undo
ledger       what Optuna has no table for, in `sql_ledger`: workers, budget, what was asked; `budget` counts
pages        what the dashboard reads, in `sql_pages`; `accounts` its users, in `sql_accounts`
connections  to the server, renewed when they break; `trust` says why a certificate was not accepted
tables       Optuna's tables and what is beside them, created; `sql_feasible` is a part of several statements
backup copy  a whole storage as a file, in `sql_backup`; a study in another storage, in `sql_copy`
embedded     the server from a wheel, for the processes that are its `users`
cluster      how it is made, started and stopped, and why it does not start; `account` is the user it runs as
team         a team's own server; `sql_team` says who may do what there

A worker keeps up to three connections: the storage's, one more while a timer sends what lingers, and the ledger's. For
more workers than the server has connections put PgBouncer in transaction mode in between, with `default_pool_size` of 4
or more, and give STUDIES_STORAGE its address; nothing else changes. `sslmode`, `sslrootcert` and whatever else libpq
knows belong into the URL.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import psycopg2

from studies.errors import StorageRefused, StorageUnreachable, WrongStorageUrl
from studies.settings import Settings, masked
from studies.storage import trust
from studies.storage.connections import Connections, is_refusal
from studies.storage.embedded import HOME, EmbeddedServer
from studies.storage.ledger import Ledger

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
ESCAPES = "in a user or a password write @ as %40, : as %3A, / as %2F, # as %23, % as %25"
AMBIGUOUS = re.compile(r"://[^@?]*[/#@][^@?]*@")  # parameters may hold what they like
CONNECT_TIMEOUT_S = 10
LEAVING_WAIT_S = 3.0  # enough for a connection that broke, and well within the 10 s that `docker stop` gives
SAY_EVERY_S = 60.0


@dataclass(frozen=True)
class Waiting:
    """What a process does while it waits for a server that went away.

    leaving: whether it was asked to leave; then it waits for LEAVING_WAIT_S at most. say: called with one line when it
    has waited for longer than a moment, and again every SAY_EVERY_S.
    """

    leaving: Callable[[], object] = lambda: None
    say: Callable[[str], object] = lambda line: None


class Storage:
    """An open storage: `optuna` is what Optuna works with, `ledger` holds what Optuna has no table for.

    A context manager: leaving it closes the connections and, for its last user, stops the embedded server.
    options: what `connections.Connections` to its server are made with, besides the URL.
    """

    def __init__(
        self, url: str, settings: Settings, server: EmbeddedServer | None = None, waiting: Waiting | None = None
    ) -> None:
        from studies.storage.postgres import PostgresStorage

        self.url = url
        self.server = server
        self._waiting = waiting or Waiting()
        self._wait_s = settings.storage_wait_s
        self._said_at = -math.inf  # on the monotonic clock
        self.options: dict[str, Any] = {
            "wait_s": self._wait_s,
            "while_waiting": self._while_waiting,
            "environment": server is None,
        }
        self.optuna = PostgresStorage(url, **self.options)
        self.ledger = Ledger(url, lease_s=settings.lease_s, **self.options)

    def _while_waiting(self, why: StorageUnreachable, waited_s: float) -> StorageUnreachable:
        """See `connections.WhileWaiting`."""
        if waited_s >= LEAVING_WAIT_S and self._waiting.leaving():
            raise why
        if self.server is not None:
            try:
                self.server.revive()
            except StorageUnreachable as error:  # its disk is full, perhaps, which may pass
                why = error
        if waited_s >= LEAVING_WAIT_S and time.monotonic() > self._said_at + SAY_EVERY_S:
            self._said_at = time.monotonic()
            self._waiting.say(f"{why} Waiting for up to {self._wait_s - waited_s:.0f} s.")
        return why

    def connections(self) -> Connections:
        """Return connections of the caller's own to the same server."""
        return Connections(self.url, **self.options)

    def close(self, gone: bool = False) -> None:
        """Close the connections, and leave the embedded server. gone: send nothing more, for nobody answers."""
        if gone:
            self.optuna.drop_connections()
        else:
            self.optuna.remove_session()
        self.ledger.close()
        if self.server is not None:
            self.server.leave()

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(gone=isinstance(error, StorageUnreachable))


def open_storage(settings: Settings, waiting: Waiting | None = None) -> Storage:
    """Open the server that the settings name, or the embedded one.

    waiting: what happens while the server is away; default: nothing but waiting.

    Raises WrongStorageUrl, CertificateRefused, StorageRefused, StorageUnreachable, EmbeddedServerFailed,
    HomeNotWritable.
    """
    if settings.storage is not None:
        return Storage(checked_url(settings.storage), settings, waiting=waiting)
    server = EmbeddedServer(settings)
    server.join()
    try:
        return Storage(server.url, settings, server, waiting)
    except BaseException:
        server.leave()
        raise


def is_there(settings: Settings) -> bool:
    """Whether there is a storage that could hold a study: a server's URL, or an embedded server that has run before."""
    return settings.storage is not None or ((settings.home / HOME).is_dir() and EmbeddedServer(settings).exists)


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Keep the embedded server running inside, if it has run before, however often the storage is opened and closed."""
    if settings.storage is not None or not is_there(settings):
        yield
    else:
        with EmbeddedServer(settings):
            yield


def checked_url(url: str) -> str:
    """Return the URL in libpq's form, after a connection through it has succeeded."""
    shown = masked(url)
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES or "://" not in url:
        raise WrongStorageUrl(url=shown, reason=f"its scheme is {scheme!r}" if "://" in url else "it has no scheme")
    url = "postgresql://" + url.partition("://")[2]
    try:
        _ = urlsplit(url).port
        psycopg2.connect(url, connect_timeout=CONNECT_TIMEOUT_S).close()
    except (psycopg2.ProgrammingError, ValueError, UnicodeError):
        raise WrongStorageUrl(url=shown, reason=f"it is not a URL that PostgreSQL understands; {ESCAPES}") from None
    except psycopg2.OperationalError as error:
        if AMBIGUOUS.search(url):
            raise WrongStorageUrl(
                url=shown, reason=f"its user or password has an @, / or # as it stands; {ESCAPES}"
            ) from None
        told = (line for line in str(error).splitlines() if not line.startswith("\t"))  # a question to an administrator
        reason = masked(" ".join(" ".join(told).split()))
        if (untrusted := trust.refused(url, reason)) is not None:
            raise untrusted from None
        if is_refusal(reason):
            raise StorageRefused(url=shown, reason=reason) from None
        raise StorageUnreachable(url=shown, reason=reason) from None
    return url


def url_of(parameters: Mapping[str, Any]) -> str:
    """Return the URL with these parameters of libpq, which takes a + in it as it stands, not as a space."""
    return f"postgresql://?{urlencode(parameters, quote_via=quote)}"
