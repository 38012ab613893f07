"""The dashboard: who comes in, and what nobody gets it to do; over real connections."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from studies.artifacts import DirectoryStore, attach
from studies.cli import dashboard as dashboard_cli
from studies.errors import WrongInput
from studies.storage import Storage
from studies.storage.accounts import Role
from studies.study import find, get
from studies.web.access import API
from studies.web.passwords import MAX_TRIES, WINDOW_S, Throttle

from ..conftest import rows_of
from ..dashboards import PASSWORD, Browser, Dashboard, failed, routes, started

# --- who comes in -----------------------------------------------------------------------------------------------------


PUBLIC = {"/login", "/healthz", "/assets/style.css"}


def test_every_route_asks_who_comes(storage: Storage, dashboard: Dashboard) -> None:
    study = started(storage)
    failed(study)
    nobody, vera, edith = (dashboard.browser() for _ in range(3))
    assert vera.log_in("vera").status == edith.log_in("edith").status == 303
    before = rows_of(storage.url, "SELECT * FROM trials ORDER BY 1")
    found = routes(dashboard)
    assert {"/", "/metrics", "/studies/small/delete", "/api/studies/1", "/artifacts"} <= {path for _, path in found}
    same = {"Origin": f"http://127.0.0.1:{dashboard.port}"}
    for method, path in found:
        looks = method in ("GET", "HEAD")
        refused = nobody.ask(method, path, **({} if looks else same))
        if path not in PUBLIC:
            assert refused.status == (303 if looks else 401), (method, path)
            assert nobody.ask(method, path, Accept="application/json").status == 401
        if path in PUBLIC or path == "/logout":
            continue
        status = vera.ask(method, path, **({} if looks else same)).status
        assert (status == 403) is not looks, (method, path, status)
        assert looks or edith.ask(method, path, Origin="http://evil.example").status == 403
        if "/studies/small/" in path and not looks:  # an editor, but no form of ours, and no script's JSON
            assert edith.ask(method, path, **same).status == (415 if path.startswith(API) else 403), (method, path)
    assert rows_of(storage.url, "SELECT * FROM trials ORDER BY 1") == before
    assert edith.get("/studies/small/queue").status == 200


def test_a_viewer_writes_nothing_through_optunas_own_api_either(storage: Storage, dashboard: Dashboard) -> None:
    study = started(storage)
    vera, edith = dashboard.browser(), dashboard.browser()
    vera.log_in("vera")
    edith.log_in("edith")
    path = f"/api/studies/{study._study_id}"
    assert vera.get(path).status == 200
    assert vera.ask("DELETE", path).status == 403
    assert dashboard.browser().ask("DELETE", path).status == 401
    assert edith.ask("DELETE", path, Origin="http://elsewhere.example").status == 403
    assert edith.ask("DELETE", path, Sec_Fetch_Site="cross-site").status == 403
    assert find(storage, "small") is not None
    assert edith.ask("DELETE", path, "{}", Content_Type="application/json").status == 204
    assert find(storage, "small") is None
    acts = [(act.user, act.action) for act in dashboard.access.accounts.audit(20)]
    assert ("edith", f"DELETE {path}: 204") in acts
    assert any(line == f"edith (127.0.0.1): DELETE {path}: 204" for line in dashboard.said)


def test_a_form_of_another_page_is_refused(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    edith, other = dashboard.browser(), dashboard.browser()
    edith.log_in("edith")
    other.log_in("edith")
    token = other.form_token("/studies/small/stop")  # of another session, even of the same user
    assert edith.send("/studies/small/stop", form_token=token).status == 403
    assert edith.send("/studies/small/stop").status == 403
    own = edith.form_token("/studies/small/stop")
    for origin in ("null", "http://[", "http://evil.example", f"https://127.0.0.1:{dashboard.port}"):
        assert edith.send("/studies/small/stop", {"Origin": origin}, form_token=own).status == 403, origin
    assert storage.ledger.budget(get(storage, "small")._study_id).stop is None
    assert edith.submit("/studies/small/stop").status == 303
    assert storage.ledger.budget(get(storage, "small")._study_id).stop is not None
    assert dashboard.browser().send("/login", name="edith", password=PASSWORD).status == 403


def test_logging_in_leads_to_the_page_that_was_asked_for_and_to_no_other_site(dashboard: Dashboard) -> None:
    assert dashboard.browser().get("/studies/x?y=1").headers["location"] == "/login?next=%2Fstudies%2Fx%3Fy%3D1"
    for then, leads_to in {
        "/metrics?x=1": "/metrics?x=1",
        "https://evil.example/": "/",
        "//evil.example/": "/",
        "/\\evil.example": "/",
        "\\\\evil.example": "/",
        "/\t/evil.example": "/",
        "javascript:alert(1)": "/",
        "": "/",
    }.items():
        assert dashboard.browser().log_in("vera", then=then).headers["location"] == leads_to, then


def test_a_session_begins_anew_and_ends_with_its_user(dashboard: Dashboard) -> None:
    browser = dashboard.browser()
    browser.get("/login")
    planted = dict(browser.cookies)
    answer = browser.log_in("vera")
    assert browser.cookies != planted  # one that somebody planted is no session
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert browser.get("/").status == 200
    assert Browser(dashboard.port, planted).get("/").status == 303
    other = dashboard.browser()
    other.log_in("vera")
    kept = dict(other.cookies)
    other.send("/logout", form_token=other.form_token("/"))
    assert Browser(dashboard.port, kept).get("/").status == 303  # ended at the server, and not in the browser alone
    assert browser.get("/").status == 200
    assert dashboard.access.accounts.remove_user("vera")
    assert browser.get("/").status == 303


def test_another_password_or_role_ends_sessions_and_tokens(dashboard: Dashboard) -> None:
    browser = dashboard.browser()
    browser.log_in("edith")
    token = dashboard.access.accounts.add_token("edith", "ci")
    dashboard.add_user("edith", Role.VIEWER, "another password")
    assert browser.get("/").status == 303
    assert browser.get("/metrics", Authorization=f"Bearer {token}").status == 303
    assert browser.log_in("edith").status == 401
    assert browser.log_in("edith", "another password").status == 303


def test_when_the_last_user_is_removed_nobody_comes_in(dashboard: Dashboard) -> None:
    browser = dashboard.browser()
    for name in ("vera", "edith"):
        dashboard.access.accounts.remove_user(name)
    assert browser.get("/").status == 303
    assert browser.log_in("edith").status == 401


def test_a_script_comes_with_a_token(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    accounts = dashboard.access.accounts
    viewers, editors = accounts.add_token("vera", "grafana"), accounts.add_token("edith", "ci")
    script = dashboard.browser()
    answer = script.get("/metrics", Authorization=f"Bearer {viewers}")
    assert answer.status == 200
    assert script.cookies == {}
    assert script.get("/metrics", Authorization="Bearer nonsense", Accept="*/*").status == 401
    stop = ("POST", f"{API}/studies/small/stop", "{}")
    refused = script.ask(*stop, Content_Type="application/json", Authorization=f"Bearer {viewers}")
    assert (refused.status, list(json.loads(refused.text))) == (403, ["error"])
    assert script.ask(*stop, Content_Type="application/json", Authorization=f"Bearer {editors}").status == 200
    assert storage.ledger.budget(get(storage, "small")._study_id).stop
    assert accounts.add_token("nobody", "ci") is None
    [(kept,)] = rows_of(storage.url, "SELECT digest FROM studies_accounts.tokens WHERE label = 'ci'")
    assert kept != editors


def test_a_thousand_wrong_passwords(dashboard: Dashboard) -> None:
    browser = dashboard.browser()
    token = browser.form_token("/login")
    given = {"form_token": token, "next": "/", "name": "edith"}
    answers = [browser.send("/login", password=f"wrong {n}", **given).status for n in range(1000)]
    assert answers == [401] * MAX_TRIES["address"] + [429] * (1000 - MAX_TRIES["address"])
    late = browser.send("/login", password=PASSWORD, **given)
    assert late.status == 429
    assert 0 < int(late.headers["retry-after"]) <= WINDOW_S + 1


def test_tries_come_back_and_a_name_is_guarded_from_all_addresses_together() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    assert [throttle.take("1.2.3.4", "a") for _ in range(MAX_TRIES["address"])] == [0.0] * MAX_TRIES["address"]
    assert throttle.take("1.2.3.4", "b") == WINDOW_S
    now[0] += WINDOW_S
    assert throttle.take("1.2.3.4", "b") == 0
    taken = [throttle.take(f"10.0.0.{n}", "root") for n in range(MAX_TRIES["name"] + 1)]
    assert taken.count(0.0) == MAX_TRIES["name"]
    assert taken[-1] > 0


def test_without_users_this_machine_may_do_everything_and_no_other_name_leads_here(
    storage: Storage, open_house: Dashboard
) -> None:
    started(storage)
    browser = open_house.browser()
    assert browser.get("/").status == 200
    assert browser.get("/", Host="evil.example").status == 400  # a name of somebody else's, pointed at 127.0.0.1
    assert browser.get("/", Host=f"localhost:{open_house.port}").status == 200
    assert browser.ask("POST", "/studies/small/stop").status == 403  # no form of ours
    assert browser.submit("/studies/small/stop").status == 303
    assert browser.ask("DELETE", "/api/studies/1", Origin="http://evil.example").status == 403
    open_house.add_user("edith", Role.EDITOR)  # from now on there is somebody to be
    assert browser.get("/").status == 303


# --- headers and files ------------------------------------------------------------------------------------------------


def test_every_answer_is_guarded(storage: Storage, dashboard: Dashboard) -> None:
    started(storage)
    edith, nobody = dashboard.browser(), dashboard.browser()
    edith.log_in("edith")
    for method, path in routes(dashboard):
        if method == "GET":
            for answer in (edith.get(path), nobody.get(path)):
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["x-frame-options"] == "DENY"
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"] or "artifacts" in path
                assert "access-control-allow-origin" not in answer.headers
                assert "http://" not in answer.headers.get("location", "")
    ours = edith.get("/").headers["content-security-policy"]
    assert "unsafe" not in ours
    assert "script-src 'self'" in ours


def test_a_page_that_somebody_uploaded_runs_nothing(storage: Storage, open_house: Dashboard, tmp_path: Path) -> None:
    study = started(storage)
    trial = study.ask()
    artifact = attach(DirectoryStore(tmp_path / "artifacts"), trial, "page.html", b"<script>alert(1)</script>")
    storage.optuna.flush()
    answer = open_house.browser().get(f"/artifacts/{study._study_id}/{trial._trial_id}/{artifact}")
    assert answer.text == "<script>alert(1)</script>"
    assert answer.headers["content-security-policy"].endswith("sandbox")
    assert "script-src" not in answer.headers["content-security-policy"]


def test_no_path_leads_out_of_the_files(open_house: Dashboard) -> None:
    browser = open_house.browser()
    for path in (
        "/assets/../app.py", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py", "/static/../index.html",
        "/static/%2e%2e/_app.py", "/static/..%2f_app.py", "/artifacts/1/..%2f..%2fetc%2fpasswd",
        "/artifacts/1/1/%2e%2e%2f%2e%2e", "/studies/..%2f..%2fetc/report", "/assets//etc/passwd",
    ):  # fmt: skip
        answer = browser.get(path)
        assert answer.status in (400, 403, 404), path
        assert "import" not in answer.text
        assert "root:" not in answer.text


def test_a_large_body_is_refused(dashboard: Dashboard) -> None:
    assert dashboard.browser().send("/login", name="x" * 2**17).status == 413


def test_a_password_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Jürgen ist gross\n".encode("latin-1"))))
    with pytest.raises(WrongInput, match="The password on stdin is not text in UTF-8"):
        dashboard_cli._password()
