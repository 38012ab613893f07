"""The dashboard on a bad day: clients that are slow, large or hostile, a storage that is gone, studies that vanish."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import psycopg2
import pytest
from optuna_dashboard import get_note
from starlette.requests import Request
from starlette.routing import Route

from studies import whole
from studies.artifacts import DirectoryStore, attach
from studies.settings import Settings
from studies.storage import Storage
from studies.storage.accounts import Role
from studies.study import get
from studies.web import patience, site
from studies.web.gate import MAX_FORM
from studies.web.passwords import MAX_TRIES
from studies.web.serve import Where

from ..conftest import execute
from ..dashboards import PASSWORD, Dashboard, failed, is_ours, routes, served, started
from ..reports import HOSTILE
from ..waiting import PATIENCE_S, wait_for

ODD_NAMES = ("a%00b", "a%0ab", "%ff%fe", "..%2f..%2fetc", "%2e%2e", "9" * 5000, "%F0%9F%92%A5", "'%22;--", "@", "%25")


class Stream:
    """Server-sent events, one after the other."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def event(self) -> str:
        """Return the next event's lines; nothing once the stream has ended."""
        lines = []
        while (line := self._answer.readline().decode()) not in ("\n", ""):
            lines.append(line)
        return "".join(lines)

    def until(self, text: str) -> str:
        """Return the first event that has this text."""
        while (event := self.event()) and text not in event:
            pass
        assert event, f"the stream ended without: {text}"
        return event


@contextmanager
def followed(dashboard: Dashboard, path: str, cookies: dict[str, str] | None = None) -> Iterator[Stream]:
    with closing(http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=PATIENCE_S)) as connection:
        sent = {"Cookie": "; ".join(f"{key}={value}" for key, value in (cookies or {}).items())} if cookies else {}
        connection.request("GET", path, headers=sent)
        with connection.getresponse() as answer:
            yield Stream(answer)


# --- clients ----------------------------------------------------------------------------------------------------------


def test_no_route_breaks_at_an_odd_name_or_method(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    edith = dashboard.browser()
    edith.log_in("edith")
    same = {"Origin": f"http://127.0.0.1:{dashboard.port}"}
    asked = {one for one in routes(dashboard) if is_ours(one[1])}
    for name in ODD_NAMES:
        start = f"/studies/{name}"
        others = (f"/studies/small/retry/{name}", f"/login?next={name}", f"/?done={name}")
        paths = (start, f"/api/v1{start}", f"{start}/logs/{name}", *others)
        asked |= {*(("GET", path) for path in paths), ("HEAD", f"{start}/events"), ("POST", f"{start}/stop")}
    for method, path in sorted(asked):
        status = edith.ask(method, path, None if method in ("GET", "HEAD") else "", **same).status
        assert status < 500, (method, path, status)
    assert not [line for line in dashboard.said if "Traceback" in line]


def test_slow_clients_lose_their_place_and_hold_up_nobody(
    open_house: Dashboard, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "REQUEST_S", 1.0)
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    body = head + b"Content-Length: 9\r\n\r\nname="
    with ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(("127.0.0.1", open_house.port))) for _ in range(30)]
        for n, client in enumerate(clients):
            client.sendall((b"", head, body)[n % 3])
        assert open_house.browser().get("/").status == 200
        for client in clients:
            client.settimeout(PATIENCE_S)
            while ends(client):
                pass


def ends(client: socket.socket) -> bytes:
    """Return what comes next; nothing once the other side has closed."""
    try:
        return client.recv(2**16)
    except ConnectionResetError:
        return b""


def test_a_client_that_reads_nothing_loses_its_place(open_house: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "READING_S", 1.0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE_S)
        client.connect(("127.0.0.1", open_house.port))
        asked = b"GET /static/bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(asked * 3)  # more than what systems keep for somebody who does not read
        size = int(re.search(rb"content-length: (\d+)", client.recv(2**12), re.I)[1])  # type: ignore[index]
        wait_for(lambda: not open_house.server.server_state.connections)  # the server has given up
        n = 0
        while piece := ends(client):
            n += len(piece)
        assert n < 2 * size


def test_every_form_refuses_a_body_that_is_too_large(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    edith = dashboard.browser()
    edith.log_in("edith")
    same = {"Origin": f"http://127.0.0.1:{dashboard.port}"}
    seen = set()
    for method, path in routes(dashboard):
        if method == "POST" and is_ours(path) and not path.startswith("/assets/"):
            answer = edith.ask(method, path, "x" * (MAX_FORM + 1), Content_Type="application/json", **same)
            assert answer.status == 413, path
            assert "A form takes 64 KiB" in answer.text
            seen.add(path)
    assert {"/login", "/logout", "/studies/small/queue", "/api/v1/studies/small/queue"} <= seen
    with closing(http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=PATIENCE_S)) as connection:
        pieces = iter([b"x" * 2**14] * 5)
        connection.request("POST", "/login", pieces, {"Transfer-Encoding": "chunked"} | same, encode_chunked=True)
        assert connection.getresponse().status == 413


def test_optuna_dashboard_takes_a_body_that_comes_in_chunks(storage: Storage, open_house: Dashboard) -> None:
    path, pieces = f"/api/studies/{started(storage)._study_id}/note", iter([b'{"body": "seen", ', b'"version": 1}'])
    with closing(http.client.HTTPConnection("127.0.0.1", open_house.port, timeout=60)) as connection:
        connection.request("PUT", path, pieces, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 204
    assert get_note(get(storage, "small")) == "seen"


def test_another_hosts_name_leads_to_no_page(open_house: Dashboard) -> None:
    for method, path in routes(open_house):
        assert open_house.browser().ask(method, path, Host="evil.example").status == 400, (method, path)


def test_only_a_named_proxys_word_is_taken(storage: Storage, tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    with served(storage, tmp_path, local=False) as plain:
        plain.add_user("vera", Role.VIEWER)
        answer = plain.browser().get("/login", **forwarded)
        assert re.match(r"studies=", answer.headers["set-cookie"])
        assert "strict-transport-security" not in answer.headers
        tries = plain.browser()
        given = {"form_token": tries.form_token("/login"), "name": "vera", "password": "wrong password"}
        for n in range(MAX_TRIES["address"] + 1):
            last = tries.send("/login", headers={"X-Forwarded-For": f"203.0.113.{n}"}, **given)
        assert last.status == 429  # all of them came from one address
    with served(storage, tmp_path, local=False, where=Where(proxies=("127.0.0.1",))) as behind:
        answer = behind.browser().get("/login", **forwarded)
        assert re.match(r"__Host-studies=\S+; HttpOnly; .*Path=/; SameSite=lax; Secure", answer.headers["set-cookie"])
        assert answer.headers["strict-transport-security"]
        browser = behind.browser()
        headers = forwarded | {"Origin": f"https://127.0.0.1:{behind.port}"}
        token = re.search(r'form_token" value="(\w+)"', browser.get("/login", **forwarded).text)[1]  # type: ignore[index]
        assert browser.send("/login", headers=headers, form_token=token, name="vera", password=PASSWORD).status == 303
        assert behind.access.accounts.audit(1)[0].address == "203.0.113.7"


# --- texts and files --------------------------------------------------------------------------------------------------


def test_nothing_that_anybody_may_name_is_markup_on_any_page(storage: Storage, dashboard: Dashboard) -> None:
    study = started(storage)
    failed(study)
    name = HOSTILE[9:80]
    dashboard.add_user(name, Role.EDITOR)
    storage.ledger.enter(study._study_id, HOSTILE)
    execute(storage.url, f"UPDATE studies.workers SET host = '{HOSTILE}'")
    storage.ledger.request_stop(study._study_id, HOSTILE)
    browser = dashboard.browser()
    assert browser.log_in(name).status == 303
    shown = 0
    for method, path in routes(dashboard):
        if method == "GET" and is_ours(path):
            page = browser.get(path).text
            assert not re.search(r"<img|<script>alert|</script><script>", page), path
            shown += "&lt;img src=x onerror" in page
    assert shown >= 5
    with followed(dashboard, "/studies/small/events", browser.cookies) as stream:
        assert "<img" not in stream.event()


def test_no_artifacts_name_leads_to_another_file(storage: Storage, open_house: Dashboard, tmp_path: Path) -> None:
    study = started(storage)
    trial = study.ask()
    attach(DirectoryStore(tmp_path / "artifacts"), trial, "../../outside.txt", b"text")  # a name is never a path
    storage.optuna.flush()
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    browser, where = open_house.browser(), f"{study._study_id}/{trial._trial_id}"
    names = ("../secret.txt", "..%2fsecret.txt", "%2e%2e%2fsecret.txt", "..%252fsecret.txt", "....//secret.txt",
             "..%5csecret.txt", str(secret), str(secret).replace("/", "%2f"), "%00", ".")  # fmt: skip
    for name in names:
        for start in (f"/artifacts/{where}", f"/artifacts/{study._study_id}"):
            answer = browser.get(f"{start}/{name}")
            assert answer.status != 200, name
            assert "nobody's business" not in answer.text
        for start in (f"/api/artifacts/{where}", f"/api/artifacts/{study._study_id}"):
            browser.ask("DELETE", f"{start}/{name}", "{}", Content_Type="application/json")
    assert secret.read_text() == "nobody's business"
    assert {file.parent for file in tmp_path.rglob("*") if file.is_file() and file != secret} == {
        tmp_path / "artifacts"
    }


def test_assets_are_asked_for_once(open_house: Dashboard) -> None:
    browser = open_house.browser()
    for name in ("style.css", "htmx.min.js", "connection.js", "favicon.svg"):
        tag = browser.get(f"/assets/{name}").headers["etag"]
        again = browser.get(f"/assets/{name}", If_None_Match=tag)
        assert (again.status, again.text) == (304, "")
    assert 'href="/assets/favicon.svg"' in browser.get("/").text


# --- what a page says when something is wrong -------------------------------------------------------------------------


def test_an_error_has_a_page(open_house: Dashboard) -> None:
    browser, same = open_house.browser(), {"Origin": f"http://127.0.0.1:{open_house.port}"}
    assert "There is no page at this address." in browser.get("/nowhere").text
    refused = browser.ask("PUT", "/studies/small", **same)
    assert (refused.status, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
    assert "Nothing of this kind" in refused.text
    assert browser.ask("HEAD", "/nowhere").status == 404
    assert browser.ask("HEAD", "/events").headers["content-type"].startswith("text/event-stream")

    def broken(request: Request) -> None:
        raise ZeroDivisionError("postgresql://team:s3cret@db.example/studies")

    open_house.app.router.routes.insert(0, Route("/broken", broken))
    answer = browser.get("/broken")
    assert answer.status == 500
    assert "The dashboard has a mistake (ZeroDivisionError)" in answer.text
    assert "s3cret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    [said] = [line for line in open_house.said if "ZeroDivisionError" in line]
    assert "in broken" in said
    assert "s3cret" not in said


def test_no_secret_is_said_or_kept(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    browser = dashboard.browser()
    browser.log_in(PASSWORD, "edith")  # the one in the place of the other
    browser.log_in("edith")
    browser.submit("/studies/small/stop")
    token = dashboard.access.accounts.add_token("edith", "ci")
    script = dashboard.browser()
    resume = ("POST", "/api/v1/studies/small/resume", "{}")
    assert script.ask(*resume, Content_Type="application/json", Authorization=f"Bearer {token}").status == 200
    assert script.ask(*resume, Content_Type="application/json", Authorization="Bearer not a token").status == 401
    lines = "\n".join(dashboard.said + [str(act) for act in dashboard.access.accounts.audit(100)])
    assert "nobody (127.0.0.1): no such user" in lines
    assert "POST /studies/small/stop: 303" in lines
    for secret in (PASSWORD, token, "not a token", *browser.cookies.values()):
        assert secret
        assert secret not in lines


def test_a_study_that_is_deleted_while_its_page_is_open(storage: Storage, open_house: Dashboard) -> None:
    started(storage)
    with followed(open_house, "/studies/small/events") as stream:
        assert "0/5 trials" in stream.event()
        whole.delete(storage, open_house.app.state.site.settings, whole.whole(storage, "small"))
        assert "No study is named &#39;small&#39;" in stream.event()
        assert stream.event() == "event: gone\ndata: gone\n"
        assert stream.event() == ""
    assert open_house.browser().get("/studies/small").status == 404


def test_a_study_that_is_deleted_between_two_reads_is_not_there(
    storage: Storage, open_house: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(storage)

    def then_deleted(*given: Any) -> optuna.Study:
        found = get(*given)
        storage.optuna.delete_study(found._study_id)
        return found

    monkeypatch.setattr(site, "get", then_deleted)
    assert open_house.browser().get("/studies/small").status == 404


def test_a_user_who_is_removed_while_a_page_is_open(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    vera = dashboard.browser()
    vera.log_in("vera")
    with followed(dashboard, "/studies/small/events", vera.cookies) as stream:
        assert "0/5 trials" in stream.event()
        dashboard.access.accounts.remove_user("vera")
        assert "You are logged out." in stream.event()
        assert stream.event() == "event: gone\ndata: gone\n"
        assert stream.event() == ""


def test_a_storage_that_is_gone_while_a_page_is_open(database_url: str, tmp_path: Path) -> None:
    settings = replace(Settings(None, tmp_path, tmp_path), storage_wait_s=0.5)
    name = re.search(r"/(test_\w+)", database_url)[1]  # type: ignore[index]
    elsewhere = database_url.replace(name, "studies")
    with Storage(database_url, settings) as storage, served(storage, tmp_path, local=True) as dashboard:
        started(storage)
        browser = dashboard.browser()
        with followed(dashboard, "/studies/small/events") as stream:
            assert "0/5 trials" in stream.event()
            execute(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            try:
                cut_off(elsewhere, name)
                gone = stream.until("is not up to date")
                assert "0/5 trials" in gone  # what was known is still there
                assert browser.get("/").status == 503
                assert browser.get("/healthz").status == 503
                assert browser.get("/assets/style.css").status == 200
            finally:
                execute(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert "0/5 trials" in stream.event()
        assert browser.get("/healthz").status == 200


def cut_off(url: str, database: str) -> None:
    """End every connection to a database."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
