"""What stands before every page: who may come in, how much may come, what every answer has, and what went wrong."""

from __future__ import annotations

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from studies.errors import StorageUnreachable, StudiesError, StudyNotStarted, UnknownStudy, WrongInput
from studies.web.access import (
    LOOKING,
    Access,
    Visitor,
    address_of,
    asks_api,
    cookie_name,
    refused,
    set_cookie,
)
from studies.web.site import Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_FORM, MAX_UPLOAD = 2**16, 2**27  # bytes; optuna-dashboard takes files of 128 MiB
LOGIN = "/login"
SENTENCES = {
    404: "There is no page at this address.",
    405: "Nothing of this kind can be done at this address.",
    413: f"That is too large. A form takes {MAX_FORM // 1024} KiB, a file {MAX_UPLOAD // 2**20} MiB.",
}

PAGES = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
POLICY = PAGES + "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
# A file that somebody uploaded may be a page: it runs nothing, and is of no origin.
ARTIFACT_POLICY = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Limited:
    """Refuses a body of more than n_bytes: before it comes where its length is said, else when so much has come."""

    def __init__(self, app: ASGIApp, n_bytes: int) -> None:
        self._app = app
        self._n_bytes = n_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        said, n = Headers(scope=scope).get("content-length", ""), 0
        if said.isdecimal() and int(said) > self._n_bytes:
            raise HTTPException(413)

        async def counted() -> Message:
            nonlocal n
            message = await receive()
            n += len(message.get("body", b""))
            if n > self._n_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class Gate:
    """Lets in who may come in, says who changed what, and puts the headers on every answer that guard a browser."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        scope.setdefault("state", {})
        try:
            decided = await run_in_threadpool(self._site.access.decide, request)
        except StudiesError as error:
            decided = refused(request, status_of(error), str(error))
        answer = _Guarded(request, send, decided if isinstance(decided, Visitor) else None, self._site.access)
        if isinstance(decided, Response):
            await decided(scope, receive, answer.send)
        else:
            request.state.visitor = decided
            await self._answer(scope, receive, answer)

    async def _answer(self, scope: Scope, receive: Receive, answer: _Guarded) -> None:
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:
            if answer.is_begun:
                raise
            await failed(Request(scope), error)(scope, receive, answer.send)


class _Guarded:
    """An answer on its way out."""

    def __init__(self, request: Request, send: Send, visitor: Visitor | None, access: Access) -> None:
        self._request = request
        self._send = send
        self._visitor = visitor
        self._access = access
        self.is_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.is_begun = True
            message["headers"] = [*message.get("headers", [])]
            self._guard(message)
            await self._note(message["status"])
        await self._send(message)

    async def _note(self, status: int) -> None:
        """Keep who changed what, before they are told that it is done."""
        request, visitor = self._request, self._visitor
        if visitor is None or visitor.role is None:  # who is nobody changes nothing
            return
        if request.method in LOOKING or request.url.path == LOGIN:  # which says more itself
            return
        action = f"{request.method} {request.url.path}: {status}"
        await run_in_threadpool(self._access.note, visitor.name, address_of(request), action)

    def _guard(self, message: MutableMapping[str, Any]) -> None:
        request, path = self._request, self._request.url.path
        known = {name.lower().decode("latin1"): value.decode("latin1") for name, value in message["headers"]}
        added = {name: value for name, value in HEADERS.items() if name not in known}
        if path.startswith("/artifacts/"):
            added["content-security-policy"] = ARTIFACT_POLICY
        elif path.startswith("/dashboard") and "content-security-policy" in known:
            own = known["content-security-policy"]
            added["content-security-policy"] = f"{own}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        if "cache-control" not in known:
            added["cache-control"] = "no-cache" if path.startswith(("/static/", "/assets/")) else "no-store"
        if request.url.scheme == "https":
            added["strict-transport-security"] = "max-age=31536000"
        left_out = {*added, "access-control-allow-origin"}
        kept = [(name, value) for name, value in message["headers"] if name.lower().decode("latin1") not in left_out]
        message["headers"] = kept + [(name.encode(), value.encode("latin1")) for name, value in added.items()]
        if known.get("content-type", "").startswith("text/html") and "set-cookie" not in known:
            message["headers"] += self._cookie()

    def _cookie(self) -> list[tuple[bytes, bytes]]:
        """Return the cookie that forms are made with, for a browser that has none."""
        request, visitor = self._request, self._visitor
        if visitor is None or visitor.script or cookie_name(request) in request.cookies:
            return []
        cookie = Response()
        set_cookie(cookie, request, visitor.secret)
        return [(b"set-cookie", cookie.headers["set-cookie"].encode("latin1"))]


def status_of(error: StudiesError) -> int:
    """Return the status of an error's page."""
    if isinstance(error, StudyNotStarted):
        return 404
    if isinstance(error, StorageUnreachable):
        return 503
    return 400 if isinstance(error, WrongInput) else 500


def failed(request: Request, error: Exception) -> Response:
    """Return the answer that says what went wrong: a page, or JSON from the API."""
    site: Site = request.app.state.site
    if isinstance(error, HTTPException):
        status, sentence = error.status_code, str(error.detail)
        if sentence == HTTPStatus(status).phrase:  # nothing was said of it
            sentence = SENTENCES.get(status, sentence)
    elif isinstance(error, UnknownStudy):  # its page has a link to all that are there
        status, sentence = (
            404,
            f"No study is named {error.given['name']!r} in this storage{error.given.get('meant') or '.'}",
        )
    elif isinstance(error, StudiesError):
        status, sentence = status_of(error), str(error)
    else:
        status, sentence = 500, site.broken(error)
    if asks_api(request):
        response = refused(request, status, sentence)
    else:
        response = site.page(request, "error.html", status, sentence=sentence)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response
