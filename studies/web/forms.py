"""The page of an action: what it will do, a form, one button; and what a form may bring."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from studies.errors import StudiesError
from studies.web.acting import ACTIONS, Action
from studies.web.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_FIELDS = 500
MAX_FIELD = 4000  # characters: no name, password or value is longer, and Python converts no number of many digits


def ask(request: Request) -> Response:
    """Show what an action will do, with its form."""
    return _form(request, {}, None, 200)


async def act(request: Request) -> Response:
    """Carry an action out, and lead back to the study."""
    form = await checked_form(request)
    given = {key: value.strip() for key, value in form.items()}
    return await run_in_threadpool(_carry_out, request, given)


def _carry_out(request: Request, given: Mapping[str, str]) -> Response:
    site, action = site_of(request), _action(request)
    study, _ = site.study(request.path_params["name"])
    number = str(request.path_params.get("number", ""))
    try:
        action.carry_out(site, study, {**given, "number": number})
    except StudiesError as error:
        return _form(request, given, str(error), 400)
    home = "/" if action.ends else f"/studies/{quote(study.study_name)}"
    return RedirectResponse(f"{home}?done={request.path_params['action']}", 303)


def _form(request: Request, given: Mapping[str, str], error: str | None, status: int) -> Response:
    site, action = site_of(request), _action(request)
    study, overview = site.study(request.path_params["name"])
    fields = action.fields(study, overview)
    filled = {field.name: given.get(field.name, field.value) for field in fields}
    return site.page(
        request, "action.html", status, action=action, overview=overview, note=action.note(site, study), fields=fields,
        filled=filled, error=error, number=request.path_params.get("number"),
    )  # fmt: skip


def _action(request: Request) -> Action:
    action = ACTIONS.get(request.path_params["action"])
    if action is None or action.takes_trial != ("number" in request.path_params):
        raise HTTPException(404)
    return action


async def checked_form(request: Request) -> dict[str, str]:
    """Return what a form of ours brought; 403 for one that another site's page sent."""
    body = (await request.body()).decode(errors="replace")
    try:
        form = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise HTTPException(400, f"A form has at most {MAX_FIELDS} fields.") from None
    if any(len(value) > MAX_FIELD for value in form.values()):
        raise HTTPException(400, f"A field of a form takes at most {MAX_FIELD:,} characters.")
    if "\0" in "".join((*form, *form.values())):  # PostgreSQL has no such text
        raise HTTPException(400, "A form has no control characters.")
    visitor, token = request.state.visitor, form.get("form_token", "")
    if not hmac.compare_digest(token.encode(), visitor.form_token.encode()):
        raise HTTPException(403, "This form is too old, or was not made here; go back, load its page again and repeat.")
    return form
