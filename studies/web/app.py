"""The dashboard as one ASGI application: our own pages, and optuna-dashboard under the paths that it insists on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from studies.errors import StudiesError
from studies.web import api, entering, forms, logs, looking, metrics
from studies.web.following import Followed
from studies.web.gate import LOGIN, MAX_FORM, MAX_UPLOAD, Gate, Limited, failed
from studies.web.mounted import Mounted
from studies.web.site import Site

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

ASSETS = Path(__file__).with_name("assets")
# What optuna-dashboard's pages ask for, always from the root.
OPTUNAS = ("/dashboard", "/api", "/static", "/artifacts", "/csv", "/favicon.ico")


def application(site: Site, optunas: WSGIApplication) -> Starlette:
    """Return the whole dashboard. optunas: optuna-dashboard."""
    mounted = Mounted(optunas)
    small, large = [Middleware(Limited, n_bytes=MAX_FORM)], [Middleware(Limited, n_bytes=MAX_UPLOAD)]
    actions = "/studies/{name}/{action}"
    routes = [
        Route("/", looking.studies),
        Route("/events", looking.studies_events),
        Route("/studies/{name}", looking.study),
        Route("/studies/{name}/events", looking.study_events),
        Route("/studies/{name}/answer", looking.study_answer),
        Route("/studies/{name}/report", looking.study_report),
        Route("/studies/{name}/logs", logs.logs),
        Route("/studies/{name}/logs/{log:path}/events", logs.log_events),
        Route("/studies/{name}/logs/{log:path}/text", logs.log_text),
        Route("/studies/{name}/logs/{log:path}", logs.log),
        Route(actions, forms.ask, methods=["GET"]),
        Route(actions, forms.act, methods=["POST"], middleware=small),
        Route(actions + "/{number:int}", forms.ask, methods=["GET"]),
        Route(actions + "/{number:int}", forms.act, methods=["POST"], middleware=small),
        Route(LOGIN, entering.ask, methods=["GET"]),
        Route(LOGIN, entering.log_in, methods=["POST"], middleware=small),
        Route("/logout", entering.log_out, methods=["POST"], middleware=small),
        Route("/metrics", metrics.metrics),
        Route("/healthz", metrics.healthz),
        Mount("/assets", StaticFiles(directory=ASSETS)),
        *api.routes(small),
        *(Route(path, mounted, middleware=large) for start in OPTUNAS for path in (start, start + "/{rest:path}")),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, site=site)],
        exception_handlers={StudiesError: failed, HTTPException: failed},
    )
    app.router.redirect_slashes = False
    app.state.site, app.state.followed = site, Followed()
    return app
