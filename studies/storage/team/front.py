"""TLS in front of a PostgreSQL that has none: takes connections on a port, passes on what is inside to a Unix socket.

PostgreSQL's clients ask for TLS with a message of their own before they begin (SSLRequest). Nothing else is understood
here but how a connection begins; what follows is passed on as it is. Passwords are the server's matter: SCRAM runs
between it and the client.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# How a client begins: the length of its message, and one of these codes or the version of the protocol.
BEGINNING = struct.Struct("!II")
CANCEL, TLS, GSS = 80877102, 80877103, 80877104
MAX_BEGINNING = 10_000  # bytes, PostgreSQL's own limit

BEGIN_WITHIN_S = 30.0
FAREWELL_S = 1.0  # what TLS waits for a client's goodbye, which a client that sleeps does not say
LEAVE_WITHIN_S = 5.0
AT_ONCE_BYTES = 1 << 16

PLAIN = ("28000", "this server takes TLS connections only; add sslmode=verify-full to the address")
STARTING = ("57P03", "the database system is starting up")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Front:
    """Passes connections on, from `serve` until it is cancelled.

    listeners: listening sockets. behind: PostgreSQL's Unix socket. context: with the server's certificate; it may be
    given another one at any time.
    """

    def __init__(self, listeners: Sequence[socket.socket], behind: Path, context: ssl.SSLContext) -> None:
        self._listeners = listeners
        self._behind = behind
        self._context = context
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take connections."""
        async with asyncio.TaskGroup() as tasks:
            for listener in self._listeners:
                listener.setblocking(False)
                tasks.create_task(self._accept(listener))

    async def leave(self) -> None:
        """Give the connections that are open a moment to end: the server behind has said goodbye to each."""
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=LEAVE_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # out of file descriptors, perhaps, which passes
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._quietly(self._connection(client)))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _quietly(self, connection: Coroutine[Any, Any, None]) -> None:
        """A client that leaves, is slow, or speaks something else is no event: its own side tells it."""
        with suppress(OSError, EOFError, TimeoutError):
            await connection

    async def _connection(self, client: socket.socket) -> None:
        try:
            notice_silence(client)
            async with asyncio.timeout(BEGIN_WITHIN_S):
                outside = await self._encrypted(client) if await self._wants_tls(client) else None
        except BaseException:
            client.close()
            raise
        if outside is None:
            client.close()
            return
        try:
            inside = await asyncio.open_unix_connection(str(self._behind), limit=AT_ONCE_BYTES)
        except OSError:
            outside[1].write(refusal(*STARTING))
        else:
            await asyncio.gather(_pass(outside[0], inside[1]), _pass(inside[0], outside[1]))
            await inside[1].wait_closed()
        outside[1].close()
        await outside[1].wait_closed()

    async def _wants_tls(self, client: socket.socket) -> bool:
        """Hear how a client begins, byte by byte as it must: what it sends after SSLRequest belongs to TLS."""
        loop = asyncio.get_running_loop()
        while True:
            length, code = BEGINNING.unpack(beginning := await _exactly(client, BEGINNING.size))
            if code == TLS:
                await loop.sock_sendall(client, b"S")
                return True
            if code == GSS:
                await loop.sock_sendall(client, b"N")
                continue
            rest = await _exactly(client, min(max(length - BEGINNING.size, 0), MAX_BEGINNING))
            if code == CANCEL:  # older clients send it in the clear; it holds a secret of its own and no password
                _, inside = await asyncio.open_unix_connection(str(self._behind))
                inside.write(beginning + rest)
                await inside.drain()
                inside.close()
            else:
                await loop.sock_sendall(client, refusal(*PLAIN))
            return False

    async def _encrypted(self, client: socket.socket) -> Streams:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=AT_ONCE_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, client, ssl=self._context, ssl_shutdown_timeout=FAREWELL_S
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on until either side ends, then end the other."""
    try:
        while data := await reader.read(AT_ONCE_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _exactly(client: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        more = await asyncio.get_running_loop().sock_recv(client, n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def refusal(code: str, message: str) -> bytes:
    """Return PostgreSQL's message that ends a connection: an SQLSTATE and a sentence."""
    fields = b"".join(
        f"{kind}{text}\0".encode() for kind, text in zip("SVCM", ("FATAL", "FATAL", code, message), strict=True)
    )
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"


def notice_silence(client: socket.socket) -> None:
    """Notice within half a minute that the other side is gone without a word, as `connections` does on its side."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, name):  # macOS has other names
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at every address of a host; `::` is every address of this machine, of IPv4 too.

    port: 0 takes a free one. Raises OSError, OverflowError.
    """
    made: list[socket.socket] = []
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, address in dict.fromkeys((family, address) for family, *_, address in found):
            made.append(listener := socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
            listener.bind((address[0], made[0].getsockname()[1] if len(made) > 1 else port, *address[2:]))
            listener.listen(128)
    except BaseException:
        for listener in made:
            listener.close()
        raise
    return made
