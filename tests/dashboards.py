"""A dashboard that is really served, and somebody who asks it as a browser does."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import argon2
import uvicorn

from studies.settings import Settings
from studies.storage import Storage
from studies.storage.accounts import Accounts, Role
from studies.web.access import Access
from studies.web.passwords import Passwords
from studies.web.serve import application

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
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

    def send(self, path: str, **fields: str) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{self.port}"}
        return self.ask("POST", path, urlencode(fields), **headers)

    def log_in(self, name: str, password: str = PASSWORD, then: str = "/") -> Answer:
        return self.submit("/login", name=name, password=password, next=then)


@dataclass
class Dashboard:
    """A dashboard that is served. said: what it told whoever started it."""

    port: int
    access: Access
    said: list[str]
    app: object

    def browser(self) -> Browser:
        return Browser(self.port)

    def add_user(self, name: str, role: Role, password: str = PASSWORD) -> None:
        self.access.accounts.set_user(name, role, self.access.passwords.hash(password))


@contextmanager
def served(storage: Storage, home: Path, *, local: bool) -> Iterator[Dashboard]:
    """Serve the dashboard on a free port. local: as on 127.0.0.1, else as where others can reach it."""
    said: list[str] = []
    access = Access(Accounts(storage), Passwords(QUICK), local=local, say=said.append)
    app = application(storage, Settings(None, home, home), access)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Dashboard(listening.getsockname()[1], access, said, app)
        finally:
            server.should_exit = True
            thread.join()
            app.state.site.close()
