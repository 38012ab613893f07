"""Who asks, and whether they may: decided here for every request, before any page is looked for.

On this machine alone, where there is no user, everybody may do everything, as with any program that a person starts.
Anywhere else, and wherever there are users, only they come in. A viewer may only look: what is no GET needs an editor,
in optuna-dashboard's own API, too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from studies.storage.accounts import Role
from studies.web.passwords import Passwords, Throttle
from studies.words import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from studies.storage.accounts import Accounts

COOKIE = "studies"
SESSION_S = 12 * 3600.0
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
LOOKING = ("GET", "HEAD")
PUBLIC = ("/login", "/healthz")  # asked for without being anybody
ASSETS = "/assets/"
API = "/api/v1"
NOBODY: tuple[str, Role | None] = ("", None)
THIS_MACHINE = "this machine"  # where there are no users
EVERYONES = ("/login", "/logout")  # posted to by viewers, too
MAX_PATH = 4000  # characters; Python converts no number of many digits


@dataclass(frozen=True)
class Visitor:
    """Who asks. secret: what the browser's cookie holds; a form's token is made of it. script: came with a token."""

    name: str
    role: Role | None
    secret: str
    script: bool = False

    @property
    def is_user(self) -> bool:
        """Whether somebody logged in, and so can log out."""
        return self.role is not None and self.name != THIS_MACHINE

    @property
    def may_edit(self) -> bool:
        """Whether they may change anything."""
        return self.role is Role.EDITOR

    @property
    def form_token(self) -> str:
        """What a form must bring back: nobody else's page knows it."""
        return hmac.new(self.secret.encode(), b"form", hashlib.sha256).hexdigest()


class Access:
    """Decides for every request. Safe to share between threads.

    local: only this machine can reach the server, so without users there is no login.
    """

    def __init__(
        self, accounts: Accounts, passwords: Passwords, *, local: bool, say: Callable[[str], object] = lambda line: None
    ) -> None:
        self.accounts = accounts
        self.passwords = passwords
        self.throttle = Throttle()
        self.local = local
        self._needs_login = not local
        self.say = say

    def _has_users(self) -> bool:
        return self.needs_login and self.accounts.exist()

    @property
    def needs_login(self) -> bool:
        """Whether only users come in. Once it is so it stays: when the last user is removed, nobody comes in."""
        self._needs_login = self._needs_login or self.accounts.exist()
        return self._needs_login

    def decide(self, request: Request) -> Visitor | Response:
        """Return who asks, or the answer for somebody who may not."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        path, writes = request.url.path, request.method not in LOOKING
        if path.startswith(ASSETS):  # nothing is asked of the storage for them, so they come while it does not answer
            return Visitor(*NOBODY, secrets.token_urlsafe(32))
        visitor = self.visitor(request)
        if path in PUBLIC:
            return visitor
        if visitor.role is None:
            if not writes and "text/html" in request.headers.get("accept", ""):
                asked = quote(path + (f"?{request.url.query}" if request.url.query else ""), safe="")
                return RedirectResponse(f"/login?next={asked}", 303)
            return refused(request, 401, "Log in first, or send a token: `Authorization: Bearer TOKEN`.")
        if writes and not visitor.may_edit and path not in EVERYONES:
            return refused(request, 403, "A viewer may look and change nothing; an editor may.")
        return visitor

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is wrong by itself, or None."""
        path = request.url.path
        if not path.isprintable():  # no page has such an address, and PostgreSQL no such text
            return refused(request, 400, "This address has a control character in it.")
        if len(path) > MAX_PATH:
            return refused(request, 414, f"This address is too long; expected at most {MAX_PATH:,} characters.")
        if self.local and (hostname := request.url.hostname) not in LOCAL_HOSTS:  # a name that was pointed here
            return refused(
                request, 400, f"This dashboard answers to {' and '.join(LOCAL_HOSTS[:2])}, not to {hostname!r}."
            )
        if request.method not in LOOKING and not is_same_origin(request):
            return refused(request, 403, "This request comes from another site's page.")
        return None

    def visitor(self, request: Request) -> Visitor:
        """Return who asks; the role of nobody that is known is None."""
        secret = request.cookies.get(cookie_name(request), "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            name, role = self.accounts.of_token(token.strip()) or NOBODY
            return Visitor(name, role, secrets.token_urlsafe(32), script=True)
        if not self.needs_login:
            return Visitor(THIS_MACHINE, Role.EDITOR, secret or secrets.token_urlsafe(32))
        name, role = (self.accounts.of_session(secret) if secret else None) or NOBODY
        return Visitor(name, role, secret or secrets.token_urlsafe(32))

    def log_in(self, name: str, password: str, address: str) -> str | None:
        """Return the secret of a new session, or None for a wrong name or password."""
        kept = self.accounts.password_of(name)
        if self.passwords.fits(kept, password):
            self.throttle.forget(address, name)
            self.note(name, address, "logged in")
            return self.accounts.open_session(name, SESSION_S)
        # What is no user's name may be a password, typed into the wrong field.
        self.note(name if kept else "nobody", address, "a wrong password" if kept else "no such user")
        return None

    def note(self, name: str, address: str, action: str) -> None:
        """Keep who did what: on stderr, and in the storage where there are users."""
        name, action = one_line(name)[:80], one_line(action)[:400]
        self.say(f"{name} ({address}): {action}")
        if self._has_users():
            self.accounts.add_audit(name, address, action)


def cookie_name(request: Request) -> str:
    """Return the cookie's name; over TLS one that no other host of the domain can set."""
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def set_cookie(response: Response, request: Request, secret: str) -> None:
    """Let the browser keep a secret, where no script can read it and no other site can send it."""
    response.set_cookie(
        cookie_name(request), secret, max_age=int(SESSION_S), httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )  # fmt: skip


def address_of(request: Request) -> str:
    """Return the address that asks; a named proxy's word for it is taken."""
    return request.client.host if request.client else "unknown"


def is_same_origin(request: Request) -> bool:
    """Whether a page of ours, or no page at all, sent this request: browsers say so, and scripts say nothing."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    own = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return request.headers.get("origin", own) == own


def is_own_path(path: str) -> bool:
    """Whether a path leads to a page of ours, and nowhere else whatever a browser makes of it."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path


def asks_api(request: Request) -> bool:
    """Whether a script asks our API, and so reads JSON."""
    return request.url.path.startswith(API + "/")


def refused(request: Request, status: int, sentence: str) -> Response:
    """Return why something was not done: JSON from the API, else a line."""
    return (
        JSONResponse({"error": sentence}, status) if asks_api(request) else PlainTextResponse(sentence + "\n", status)
    )
