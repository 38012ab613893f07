"""Serving: the PostgreSQL, the TLS in front of it, and what happens until somebody stops it."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from studies.errors import CannotListen, StorageUnreachable, WrongInput
from studies.settings import Settings
from studies.storage.team.certificates import Certificates
from studies.storage.team.front import Front, listen
from studies.storage.team.place import Address, Place, name_of, names_of
from studies.storage.team.server import MAX_CONNECTIONS, TeamServer

LOOK_EVERY_S = 2.0
RENEW_EVERY = 1800  # looks

ADVICE = {
    errno.EADDRINUSE: "another program has that port: choose one with --port, such as --port {port}",
    errno.EADDRNOTAVAIL: "give --host an address of this machine, or 0.0.0.0 for all of them",
    errno.EACCES: "choose a port above 1023 with --port",
}


@dataclass(frozen=True)
class Where:
    """Where to serve. names: further host names and addresses that clients may type, the first one in the lines."""

    host: str = "127.0.0.1"
    port: int = 5432
    names: list[str] = field(default_factory=list)


class Serving:
    """One server while it is served. say: called with a line when something happens."""

    def __init__(self, settings: Settings, place: Place, where: Where, say: Callable[[str], object]) -> None:
        self._place = place
        self._where = where
        self._say = say
        self._names = names_of(where.host, where.names)
        self._certificates = Certificates(place.directory)
        self._server = TeamServer(settings, place.directory)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.set_alpn_protocols(["postgresql"])

    def run(self, listeners: Sequence[socket.socket], ready: Callable[[], object]) -> None:
        """Serve until SIGINT or SIGTERM. ready: called when clients may come."""
        self._load_certificate()
        with self._server:
            self._server.set_up()
            asyncio.run(self._serve(listeners, ready))
        self._say("Stopped; what is stored stays.")

    def _load_certificate(self) -> None:
        """Take the certificate, renewed when it is time: for connections from now on."""
        try:
            if self._certificates.ensure(self._names):
                self._say(f"New certificate for {', '.join(self._names)}.")
            self._context.load_cert_chain(self._certificates.server)
        except ValueError as error:
            raise WrongInput(
                reason=f"The certificates in {self._place.directory} cannot be read ({error}); delete server.pem "
                "there, then root.pem if it says the same again, and copy root.crt to every machine after that."
            ) from None

    async def _serve(self, listeners: Sequence[socket.socket], ready: Callable[[], object]) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        front = Front(listeners, self._server.socket, self._context)
        tasks = [asyncio.create_task(front.serve()), asyncio.create_task(self._watch())]
        address = Address(name_of(self._where.host, self._where.names), listeners[0].getsockname()[1], os.getpid())
        self._place.announce(address)
        ready()
        await asyncio.wait([*tasks, stopped := asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.to_thread(self._server.leave)  # in order: every client hears it
        await front.leave()
        for failed in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(failed, Exception):
                raise failed

    async def _watch(self) -> None:
        """Start a killed PostgreSQL again, and renew the certificate of a server that is never stopped."""
        for n_looks in itertools.count(1):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self._server.listens():
                await self._revive()
            if n_looks % RENEW_EVERY == 0:
                self._renew()

    def _renew(self) -> None:
        try:
            self._load_certificate()
        except (OSError, WrongInput) as error:  # it is tried again, and lasts for a month still
            self._say(f"The certificate was not renewed: {error}")

    async def _revive(self) -> None:
        try:
            await asyncio.to_thread(self._server.revive)
            self._say("PostgreSQL was gone and runs again.")
        except StorageUnreachable as error:  # a full disk, perhaps, which passes
            self._say(str(error))


def serve(
    settings: Settings, directory: Path, where: Where, say: Callable[[str], object], ready: Callable[[Place], object]
) -> None:
    """Serve a team's server until SIGINT or SIGTERM; its PostgreSQL stops with it.

    ready: called when clients may come. Raises ServesAlready, CannotListen, EmbeddedServerFailed, WrongInput.
    """
    place = Place(directory)
    with place.alone():
        listeners = _listen(where)
        try:
            _allow_files(2 * MAX_CONNECTIONS + 100)
            Serving(settings, place, where, say).run(listeners, lambda: ready(place))
        finally:
            for listener in listeners:
                listener.close()


def _listen(where: Where) -> list[socket.socket]:
    try:
        return listen(where.host, where.port)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        todo = ADVICE.get(number or 0, "--host takes an address or the name of this machine, --port one of 1 to 65535")
        reason = getattr(error, "strerror", None) or str(error)
        todo = todo.format(port=where.port + 1)
        raise CannotListen(host=where.host, port=where.port, reason=reason, todo=todo) from None


def _allow_files(n: int) -> None:
    """Allow this process so many open files, as far as it may itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        if soft != resource.RLIM_INFINITY and soft < n:
            resource.setrlimit(resource.RLIMIT_NOFILE, (n if hard == resource.RLIM_INFINITY else min(n, hard), hard))
