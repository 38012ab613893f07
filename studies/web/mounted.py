"""A WSGI application inside the server: optuna-dashboard is one, and the server speaks ASGI.

Starlette's own bridge is deprecated, and the one that it recommends keeps a thread for ever where a client leaves in
the middle of an answer. Here each step is a call of its own: the request's body is read first, then each piece of the
answer is asked for when the one before it has been sent.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from starlette.types import Receive, Scope, Send


class Mounted:
    """An ASGI application that passes every request to a WSGI one."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        environ = environ_of(scope, await Request(scope, receive).body())
        answer = _Answer()
        pieces = await run_in_threadpool(answer.start, self._application, environ)
        try:
            piece = await run_in_threadpool(next, pieces, None)  # what a generator says first may be its status
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            while piece is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await run_in_threadpool(next, pieces, None)
            await send({"type": "http.response.body", "body": b""})
        finally:
            await run_in_threadpool(answer.close)


class _Answer:
    """What a WSGI application says: its status and headers through a callback, its body as pieces."""

    status = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def start(self, application: WSGIApplication, environ: dict[str, Any]) -> Iterator[bytes]:
        body = application(environ, self._start_response)
        self.close: Callable[[], object] = getattr(body, "close", lambda: None)
        return iter(body)

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
        self.status = int(status.partition(" ")[0])
        self.headers = tuple((name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers)
        return lambda piece: None  # PEP 3333's old way to write; optuna-dashboard does not use it


def environ_of(scope: Scope, body: bytes) -> dict[str, Any]:
    """Return a request as PEP 3333 has it."""
    server = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin1"),
        "QUERY_STRING": scope["query_string"].decode("latin1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin1").upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value.decode("latin1")
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # a body that came in chunks is whole by now, and has a length
    environ["HTTP_ACCEPT_ENCODING"] = environ.get("HTTP_ACCEPT_ENCODING", "")  # optuna-dashboard fails without it
    return environ
