"""A dashboard that is really served, with a study in it, and somebody who asks it as a browser does."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import argon2
import optuna
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from studies.names import REASON
from studies.settings import Settings
from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage
from studies.storage.accounts import Accounts, Role
from studies.study import create_or_join, open_for_workers
from studies.web import acting
from studies.web.access import API, Access
from studies.web.app import OPTUNAS
from studies.web.passwords import Passwords
from studies.web.serve import Where, application, configured

from .reports import HOSTILE, make_spec
from .waiting import PATIENCE_S

DECLARED = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}, "mood": {"choices": ["fine", "bad"], "default": "fine"}}
PASSWORD = "correct horse battery"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # what is tested is not how long it takes


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Browser:
    """Keeps cookies, follows nothing, and says of itself what a browser says."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        sent = {"Accept": "text/html"} | {key.replace("_", "-"): value for key, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie" and (kept := re.match(r'([^=]+)="?([^;"]*)', value)):
                self.cookies[kept[1]] = kept[2]
        connection.close()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def form_token(self, path: str) -> str:
        found = re.search(r'name="form_token" value="(\w+)"', self.get(path).text)
        assert found, path
        return found[1]

    def submit(self, path: str, **fields: str) -> Answer:
        """Load a form's page, fill it in and send it."""
        return self.send(path, form_token=self.form_token(path), **fields)

    def send(self, path: str, headers: Mapping[str, str] | None = None, **fields: str) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{self.port}"}
        return self.ask("POST", path, urlencode(fields), **(sent | dict(headers or {})))

    def log_in(self, name: str, password: str = PASSWORD, then: str = "/") -> Answer:
        return self.submit("/login", name=name, password=password, next=then)


@dataclass
class Dashboard:
    """A dashboard that is served. said: what it told whoever started it."""

    port: int
    access: Access
    said: list[str]
    app: Starlette
    server: uvicorn.Server

    def browser(self) -> Browser:
        return Browser(self.port)

    def add_user(self, name: str, role: Role, password: str = PASSWORD) -> None:
        self.access.accounts.set_user(name, role, self.access.passwords.hash(password))


@contextmanager
def served(storage: Storage, home: Path, *, local: bool, where: Where | None = None) -> Iterator[Dashboard]:
    """Serve the dashboard on a free port. local: as on 127.0.0.1, else as where others can reach it."""
    said: list[str] = []
    access = Access(Accounts(storage), Passwords(QUICK), local=local, say=said.append)
    app = application(storage, Settings(None, home, home), access)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(configured(app, where or Where()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Dashboard(listening.getsockname()[1], access, said, app, server)
        finally:
            app.state.site.leaving = server.should_exit = True
            thread.join()
            app.state.site.close()


@pytest.fixture
def storage(database_url: str, tmp_path: Path) -> Iterator[Storage]:
    with Storage(database_url, Settings(None, tmp_path, tmp_path)) as storage:
        yield storage


@pytest.fixture
def open_house(storage: Storage, tmp_path: Path) -> Iterator[Dashboard]:
    """As on 127.0.0.1, without users."""
    with served(storage, tmp_path, local=True) as dashboard:
        yield dashboard


@pytest.fixture
def dashboard(storage: Storage, tmp_path: Path) -> Iterator[Dashboard]:
    """As where others can reach it, with a user of either role."""
    with served(storage, tmp_path, local=False) as dashboard:
        dashboard.add_user("vera", Role.VIEWER)
        dashboard.add_user("edith", Role.EDITOR)
        yield dashboard


def started(storage: Storage, name: str = "small", n_trials: int = 5) -> optuna.Study:
    """Put a study without trials into the storage."""
    spec = make_spec(name=name, n_trials=n_trials, metric="loss", direction="minimize", description=HOSTILE)
    space = Space.declared(DECLARED)
    with create_or_join(storage, spec, Description(DECLARED, {"name": "none", "sha256": None}, space)) as (study, _):
        open_for_workers(storage, study, spec)
    return study


def failed(study: optuna.Study) -> int:
    """Let a trial fail; return its number."""
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("mood", ["fine", "bad"])
    trial.set_user_attr("seed", 77)
    trial.set_user_attr(REASON, "exception")
    trial.set_user_attr("detail", HOSTILE)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return trial.number


def routes(dashboard: Dashboard, name: str = "small") -> list[tuple[str, str]]:
    """Every path that the application itself says it has, with every method, filled in; but no stream's GET.

    name: of the study, as it stands in an address.
    """
    found = []
    for route, start in _all(dashboard.app.routes):
        path = start + (f"{route.path}/style.css" if isinstance(route, Mount) else route.path)
        for action in acting.ACTIONS if "{action}" in path else [""]:
            filled = path.replace("{name}", name).replace("{action}", action).replace("{number:int}", "0")
            filled = filled.replace("{rest:path}", "studies/1").replace("{log:path}", "trial-0")
            assert "{" not in filled, f"{filled}: say here what stands for it"
            methods = getattr(route, "methods", None) or {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
            found += [(method, filled) for method in methods if (method, filled[-7:]) != ("GET", "/events")]
    return sorted(set(found))


def _all(routes: Iterable[BaseRoute], start: str = "") -> Iterator[tuple[Route | Mount, str]]:
    """Yield every route, those of a mounted router, too, with what its address begins with."""
    for route in routes:
        assert isinstance(route, (Route, Mount))
        if isinstance(route, Mount) and route.routes:
            yield from _all(route.routes, start + route.path)
        else:
            yield route, start


def is_ours(path: str) -> bool:
    """Whether a path is not optuna-dashboard's."""
    return path.startswith((API, "/api/openapi")) or not path.startswith(OPTUNAS)
