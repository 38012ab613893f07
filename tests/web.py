"""A real HTTP server for tests of downloads, which can do what servers do on a bad day."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MEGABYTE = 1_000_000


@dataclass
class Site:
    """What is served, and how. files: path -> content. cut_after: bytes of a body, after which the connection ends.

    slow_s: between the megabytes of a body. asked: path and Range header of each request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    tags: bool = True
    kind: str = "application/octet-stream"
    cut_after: int | None = None
    n_cuts: int = 10**9
    slow_s: float = 0.0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a Site on a free port of this machine."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append((self.path, wanted))
            if self.path in site.moved:
                self.send_response(302)
                self.send_header("Location", site.moved[self.path])
                self.end_headers()
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hash(content)}"'
            same = self.headers.get("If-Range") in (None, tag)
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.ranges and same else None
            if first is not None and first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200 if first is None else 206)
            if first is not None:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            if site.tags:
                self.send_header("ETag", tag)
            self.send_header("Content-Type", site.kind)
            body = content[first or 0 :]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.cut_after is not None and site.n_cuts > 0:
                site.n_cuts -= 1
                body = body[: site.cut_after]
            with suppress(ConnectionError):  # who asked may have gone
                for begin in range(0, len(body), MEGABYTE):
                    self.wfile.write(body[begin : begin + MEGABYTE])
                    time.sleep(site.slow_s)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
