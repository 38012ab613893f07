"""Logging in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from studies.web.access import address_of, cookie_name, is_own_path, set_cookie
from studies.web.forms import checked_form
from studies.web.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request

WRONG = "The name or the password is wrong."


def ask(request: Request) -> Response:
    """Show the form."""
    return _form(request, "", None, 200, request.query_params.get("next", "/"))


async def log_in(request: Request) -> Response:
    """Begin a session, and lead to the page that was asked for."""
    form = await checked_form(request)
    name, password, then = (form.get(key, "") for key in ("name", "password", "next"))
    return await run_in_threadpool(_log_in, request, name.strip(), password, then)


def _log_in(request: Request, name: str, password: str, then: str) -> Response:
    access, address = site_of(request).access, address_of(request)
    if (wait_s := access.throttle.take(address, name)) > 0:
        sentence = f"Too many wrong passwords; try again in {wait_s / 60:.0f} min."
        answer = _form(request, name, sentence, 429, then)
        answer.headers["retry-after"] = str(int(wait_s) + 1)
        return answer
    secret = access.log_in(name, password, address)
    if secret is None:
        return _form(request, name, WRONG, 401, then)
    response = RedirectResponse(then if is_own_path(then) else "/", 303)
    set_cookie(response, request, secret)
    return response


async def log_out(request: Request) -> Response:
    """End the session."""
    await checked_form(request)
    await run_in_threadpool(site_of(request).access.accounts.close_session, request.state.visitor.secret)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie_name(request), secure=request.url.scheme == "https", httponly=True)
    return response


def _form(request: Request, name: str, error: str | None, status: int, then: str) -> Response:
    return site_of(request).page(request, "login.html", status, name=name, error=error, then=then)
