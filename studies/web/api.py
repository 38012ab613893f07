"""What scripts ask and do: JSON at `/api/v1`, with a token. `ENDPOINTS` declares each; the OpenAPI description, the
routes and the checks of what is sent are all made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from studies.names import Direction
from studies.record.overview import Overview, StudyState, read_overviews
from studies.web.access import API
from studies.web.acting import ACTIONS, Action
from studies.web.site import Site, site_of

JSON = "application/json"


class Best(BaseModel):
    """The best trial, and its value of the study's metric. Of repeated settings the mean of n_repeats, and their sd."""

    trial: int
    value: float | None
    n_repeats: int
    sd: float | None


class Point(BaseModel):
    """A trial on the Pareto front, and its values by metric."""

    trial: int
    values: dict[str, float]


class Study(BaseModel):
    """How a study stands. trials: by state. n_trials: in the end, where that is known. front: in place of a best trial,
    where there are several metrics. left_s: seconds to the end at this pace, where that is known."""

    name: str
    state: StudyState
    trials: dict[str, int]
    n_trials: int | None
    n_workers: int
    metrics: dict[str, Direction]
    best: Best | None
    front: list[Point] | None
    left_s: float | None


class Done(BaseModel):
    """What happens now."""

    done: str


class Problem(BaseModel):
    """Why nothing was done."""

    error: str


@dataclass(frozen=True)
class Endpoint:
    """One thing that a script may ask or do. do: returns the answer for what was sent, checked as `takes` has it."""

    method: str
    path: str
    summary: str
    gives: Any
    do: Callable[[Request, Mapping[str, Any]], Any]
    takes: type[BaseModel] | None = None


def _studies(request: Request, sent: Mapping[str, Any]) -> list[Study]:
    site = site_of(request)
    return [_study_of(one) for one in read_overviews(site.storage, site.pages)]


def _study(request: Request, sent: Mapping[str, Any]) -> Study:
    return _study_of(site_of(request).study(request.path_params["name"])[1])


def _study_of(one: Overview) -> Study:
    found = one.best
    best = None
    if found is not None:
        n, sd = (1, None) if found.repeated is None else (found.repeated.n, found.repeated.sd)
        best = Best(trial=found.trial, value=found.value, n_repeats=n, sd=sd)
    return Study(
        name=one.name, state=one.state, trials=one.counts, n_trials=one.total, n_workers=one.row.n_workers,
        metrics=one.row.metrics, best=best, front=_front_of(one), left_s=one.left_s,
    )  # fmt: skip


def _front_of(one: Overview) -> list[Point] | None:
    return None if one.front is None else [Point.model_validate(point) for point in one.front.named]


def _acting(action: Action) -> Callable[[Request, Mapping[str, Any]], Done]:
    def act(request: Request, sent: Mapping[str, Any]) -> Done:
        site: Site = site_of(request)
        study, _ = site.study(request.path_params["name"])
        return Done(done=action.carry_out(site, study, {**request.path_params, **sent}))

    return act


def _endpoint_of(name: str, action: Action) -> Endpoint:
    path = f"/studies/{{name}}/{name}" + ("/{number}" if action.takes_trial else "")
    return Endpoint("POST", path, action.what, Done, _acting(action), action.takes)


ENDPOINTS = [
    Endpoint("GET", "/studies", "How every study stands, the newest first", list[Study], _studies),
    Endpoint("GET", "/studies/{name}", "How a study stands", Study, _study),
    *(_endpoint_of(name, action) for name, action in ACTIONS.items()),
]


def routes(middleware: Sequence[Middleware]) -> list[BaseRoute]:
    """Return the endpoints' routes, and their description's. middleware: what bounds a body."""
    own = [
        Route(one.path.replace("{number}", "{number:int}"), _served(one), methods=[one.method], middleware=middleware)
        for one in ENDPOINTS
    ]
    described = Route("/api/openapi.json", lambda request: JSONResponse(description()))
    return [described, Mount(API, Router(own, redirect_slashes=False))]


def _served(endpoint: Endpoint) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        sent = await _checked(endpoint.takes, request) if endpoint.takes else {}
        answer = await run_in_threadpool(endpoint.do, request, sent)
        return Response(TypeAdapter(endpoint.gives).dump_json(answer), media_type=JSON)

    return serve


async def _checked(takes: type[BaseModel], request: Request) -> Mapping[str, Any]:
    """Return what was sent. Raises HTTPException with a sentence that says what is wrong with it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:  # another site's form can send anything else
        raise HTTPException(415, f"The content type is {kind!r}; expected {JSON}.")
    try:
        return takes.model_validate_json(await request.body()).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        expected = ", ".join(takes.model_fields) or "nothing"
        raise HTTPException(400, f"{where}: {first['msg']}; expected JSON with: {expected}.") from None


REFUSED = {
    400: "What was sent is wrong; the sentence says how.",
    401: "No token, or not a valid one.",
    403: "A viewer may change nothing.",
    404: "There is no such study.",
    413: "The body is too large.",
    415: "What was sent is not JSON.",
    503: "The storage does not answer.",
}


def description() -> dict[str, Any]:
    """Return the OpenAPI description of all endpoints."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for one in ENDPOINTS:
        paths.setdefault(API + one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "studies", "version": version("studies")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}, "schemas": schemas},
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return how an endpoint is described; what its models are made of is added to the schemas."""
    kinds = {"name": {"type": "string"}, "number": {"type": "integer", "minimum": 0}}
    names = [part.strip("{}") for part in endpoint.path.split("/") if part.startswith("{")]
    refused = {str(status): (text, Problem) for status, text in REFUSED.items()}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": kinds[name]} for name in names],
        "responses": {
            status: {"description": text, "content": _content(model, schemas)}
            for status, (text, model) in {"200": ("Done.", endpoint.gives), **refused}.items()
        },
    }
    if endpoint.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.takes, schemas)}
    return operation


def _content(model: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    return {JSON: {"schema": schema}}
