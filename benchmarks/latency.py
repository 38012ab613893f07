"""A slow network to a PostgreSQL server: a proxy between two Unix sockets that delays what passes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg2.extensions

SOCKET = ".s.PGSQL.5432"


@contextlib.contextmanager
def delayed(url: str, latency_ms: float, place: Path) -> Iterator[str]:
    """Yield the URL of a proxy that adds this to every round trip, or the URL itself."""
    if not latency_ms:
        yield url
        return
    directory = Path(tempfile.mkdtemp(dir=place))
    proxy = multiprocessing.get_context("forkserver").Process(
        target=run_proxy, args=(url, str(directory), latency_ms / 2000)
    )
    proxy.start()
    while not (directory / SOCKET).exists():
        time.sleep(0.02)
    try:
        yield f"{url.split('?')[0]}?host={quote(str(directory), safe='/')}"
    finally:
        proxy.terminate()
        proxy.join()


def run_proxy(url: str, directory: str, delay_s: float) -> None:
    """Forward connections, each way so much later."""
    host = psycopg2.extensions.parse_dsn(url)["host"]

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await reader.read(1 << 16):
            loop.call_later(delay_s, writer.write, chunk)
        loop.call_later(delay_s, writer.close)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(f"{host}/{SOCKET}")
        await asyncio.gather(forward(reader, server_writer), forward(server_reader, writer), return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_unix_server(serve, f"{directory}/{SOCKET}")
        await server.serve_forever()

    asyncio.run(main())
