"""The dashboard: what its pages say, who comes in, and what an editor can do; over real connections."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from starlette.routing import Mount, Route

from studies import steering
from studies.artifacts import DirectoryStore, attach
from studies.errors import WrongInput
from studies.names import CONTINUED_BY, CONTINUES, PAUSED, REASON
from studies.record.overview import StudyState, read_overviews
from studies.settings import Settings
from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage
from studies.storage.accounts import Accounts, Role
from studies.storage.pages import Pages
from studies.study import create_or_join, find, get, open_for_workers
from studies.web import acting
from studies.web.passwords import MAX_TRIES, WINDOW_S, Throttle

from ..conftest import rows_of
from ..dashboards import PASSWORD, Answer, Browser, Dashboard, served
from ..reports import HOSTILE, make_spec
from .test_verdicts import fill

DECLARED = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}, "mood": {"choices": ["fine", "bad"], "default": "fine"}}


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


# --- what the pages say -----------------------------------------------------------------------------------------------


def test_an_overview_says_what_budget_and_best_say(storage: Storage) -> None:
    study_id = fill(storage, 60)
    started(storage)
    small, made = read_overviews(storage, Pages(storage))
    assert (made.name, small.name) == ("made-up", "small")
    assert made.done == storage.ledger.budget(study_id).done == 60
    assert made.best is not None
    assert (made.best.value, made.best.trial) == storage.ledger.best(study_id, maximize=True)
    assert sum(made.counts.values()) == 60
    assert (made.state, small.state) == (StudyState.FINISHED, StudyState.IDLE)
    assert (small.best, small.left_s, small.total) == (None, None, 5)


def test_a_trial_that_another_continues_does_not_count_and_is_not_tried_again(storage: Storage) -> None:
    study = started(storage)
    lost = failed(study)
    paused = study.ask()
    study.tell(paused, state=optuna.trial.TrialState.PRUNED)
    storage.ledger.annotate(study._study_id, {lost: {CONTINUED_BY: "2"}, paused.number: {CONTINUED_BY: "3"}})
    for before in (lost, paused.number):
        study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={CONTINUES: before}))
    [seen] = read_overviews(storage, Pages(storage), study._study_id)
    assert seen.done == storage.ledger.budget(study._study_id).done == 2
    with pytest.raises(WrongInput, match="goes on already, as trial 2"):
        steering.retry(storage, "small", lost)


def test_a_paused_trial_is_called_so_until_nobody_resumes_it_any_more(storage: Storage) -> None:
    study = started(storage)
    counts = []
    for n in range(5):
        trial = study.ask()
        trial.set_user_attr(PAUSED, True)
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        if n in (1, 4):
            [seen] = read_overviews(storage, Pages(storage), study._study_id)
            counts.append(seen.counts)
    assert counts == [{"paused": 2}, {"pruned": 5}]


def test_a_studys_state_follows_its_workers_and_stops(storage: Storage) -> None:
    study = started(storage)
    states = []

    def look() -> None:
        states.append(read_overviews(storage, Pages(storage), study._study_id)[0].state)

    look()
    worker = storage.ledger.enter(study._study_id, "cpu")
    look()
    storage.ledger.request_stop(study._study_id, "tests")
    look()
    storage.ledger.leave(worker)
    look()
    for _ in range(5):
        study.add_trial(optuna.trial.create_trial(value=1.0))
    look()
    assert states == ["idle", "running", "stopping", "stopped", "finished"]


def test_the_pages_show_the_study(storage: Storage, open_house: Dashboard) -> None:
    study_id = fill(storage, 60)
    storage.ledger.enter(study_id, "cuda:3")
    browser = open_house.browser()
    value, number = storage.ledger.best(study_id, maximize=True) or (0.0, -1)
    listed = browser.get("/").text
    assert f"{value:.4f} <small>balanced_accuracy, trial {number}</small>" in listed
    page = browser.get("/studies/made-up").text
    assert f"best balanced_accuracy {value:.4f} (trial {number})" in page
    assert page.count("<polyline") == 60
    assert page.count('<polyline class="best"') == 1
    assert "cuda:3" in page
    assert f"The best balanced_accuracy is {value:.4f}" in browser.get("/studies/made-up/answer").text
    report = browser.get("/studies/made-up/report")
    assert "<h2>All trials</h2>" in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    stock = json.loads(browser.get("/api/studies").text)
    assert [one["study_name"] for one in stock["study_summaries"]] == ["made-up"]
    assert browser.get("/dashboard").status == browser.get(f"/dashboard/studies/{study_id}").status == 200


def test_a_page_is_sent_again_when_something_has_changed(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage)
    with closing(http.client.HTTPConnection("127.0.0.1", open_house.port, timeout=30)) as connection:
        connection.request("GET", "/studies/small/events")
        with connection.getresponse() as stream:

            def event() -> str:
                lines = iter(lambda: stream.readline().decode(), "\n")
                return "".join(line.removeprefix("data: ") for line in lines)

            assert "0/5 trials" in event()
            study.add_trial(optuna.trial.create_trial(value=0.25))
            assert "1/5 trials" in event()


def test_other_programs_studies_are_named_and_unknown_ones_refused(storage: Storage, open_house: Dashboard) -> None:
    optuna.create_study(storage=storage.optuna, study_name=HOSTILE)
    browser = open_house.browser()
    page = browser.get("/").text
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<img" not in page
    answer = browser.get("/studies/nothing")
    assert answer.status == 404
    assert "No study is named &#39;nothing&#39;" in answer.text
    assert browser.get("/nowhere").status == 404


def test_no_persons_text_is_markup(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage)
    failed(study)
    trial = optuna.trial.create_trial(value=0.5, params={}, user_attrs={"verdict": HOSTILE})
    study.add_trial(trial)
    browser = open_house.browser()
    for path in ("/studies/small", "/studies/small/queue", "/studies/small/answer", "/studies/small/retry/0"):
        page = browser.get(path)
        assert page.status == 200, path
        assert not re.search(r"<img|<script>|onerror=alert\(2\)>", page.text), path
    assert browser.get("/studies/small").text.count("&lt;img src=x") >= 2
    refused = browser.submit("/studies/small/queue", **{"param:mood": HOSTILE})
    assert refused.status == 400
    assert "<img" not in refused.text
    assert "<img" not in browser.get(f"/login?next={'%22%3E%3Cimg%3E'}").text


def test_the_metrics_are_prometheus_text(storage: Storage, open_house: Dashboard) -> None:
    study_id = fill(storage, 30)
    text = open_house.browser().get("/metrics").text
    sample = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\} (\S+)')
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = sample.fullmatch(line)
            assert match, line
            found[match[1], match[2]] = float(match[3])
    budget, best = storage.ledger.budget(study_id), storage.ledger.best(study_id, maximize=True)
    assert best is not None
    assert found["studies_best_value", 'study="made-up",metric="balanced_accuracy"'] == best[0]
    assert found["studies_trials_wanted", 'study="made-up"'] == 30
    assert found["studies_epochs_total", 'study="made-up"'] == storage.ledger.n_epochs(study_id)
    counted = sum(value for (name, _), value in found.items() if name == "studies_trials")
    assert counted == budget.done
    assert found["studies_study_state", 'study="made-up",state="finished"'] == 1
    for name in {name for name, _ in found}:
        assert f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}" in text
        assert f"# HELP {name} " in text


# --- who comes in -----------------------------------------------------------------------------------------------------


def routes(dashboard: Dashboard) -> list[tuple[str, str]]:
    """Every path that the application itself says it has, with every method, filled in."""
    found = []
    for route in dashboard.app.routes:  # type: ignore[attr-defined]
        assert isinstance(route, (Route, Mount))
        path = f"{route.path}/style.css" if isinstance(route, Mount) else route.path
        for action in acting.ACTIONS if "{action}" in path else [""]:
            filled = path.replace("{name}", "small").replace("{action}", action).replace("{number:int}", "0")
            filled = filled.replace("{rest:path}", "studies/1")
            methods = getattr(route, "methods", None) or {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
            found += [(method, filled) for method in methods if not filled.endswith("/events")]
    return sorted(set(found))


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
        if "/studies/small/" in path and not looks:  # an editor, but no form of ours
            assert edith.ask(method, path, **same).status == 403, (method, path)
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
    stop = ("POST", "/studies/small/stop")
    assert script.ask(*stop, Authorization=f"Bearer {viewers}").status == 403
    assert script.ask(*stop, Authorization=f"Bearer {editors}").status == 303
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


# --- what an editor can do --------------------------------------------------------------------------------------------


def after(browser: Browser, action: str, **fields: str) -> Answer:
    answer = browser.submit(f"/studies/small/{action}", **fields)
    if answer.status == 303:
        answer = browser.get(answer.headers["location"])
        assert acting.ACTIONS[action.partition("/")[0]].done in answer.text
    return answer


def test_an_editor_stops_continues_and_changes_the_number_of_trials(storage: Storage, open_house: Dashboard) -> None:
    study_id = started(storage)._study_id
    browser = open_house.browser()
    assert "/studies/small/resume" not in browser.get("/studies/small").text
    assert after(browser, "stop").status == 200
    assert storage.ledger.budget(study_id).stop == "`studies stop` was typed"
    assert "/studies/small/resume" in browser.get("/studies/small").text
    assert after(browser, "resume").status == 200
    assert storage.ledger.budget(study_id).stop is None
    assert after(browser, "trials", n_trials="9").status == 200
    assert storage.ledger.budget(study_id).n_trials == 9
    assert get(storage, "small").user_attrs["spec"]["n_trials"] == 9
    for wrong in ("0", "-1", "many", "1e3", "99999999"):
        assert "expected" in after(browser, "trials", n_trials=wrong).text
    assert storage.ledger.budget(study_id).n_trials == 9


def test_an_editor_queues_a_trial_and_tries_a_failed_one_again(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage)
    lost = failed(study)
    browser = open_house.browser()
    form = browser.get("/studies/small/queue").text
    assert 'name="param:x" type="text" value="0.5"' in form
    assert 'name="param:mood" type="text" value="fine"' in form
    assert after(browser, "queue", **{"param:x": "1e-3", "param:mood": "bad"}).status == 200
    outside = after(browser, "queue", **{"param:x": "2"})
    assert outside.status == 400
    assert "x = 2 is outside its space" in outside.text
    assert 'name="param:x" type="text" value="2"' in outside.text  # what was typed is still there
    assert after(browser, f"retry/{lost}").status == 200
    assert browser.submit(f"/studies/small/retry/{lost + 1}").status == 400  # it waits, and has not failed
    waiting = [trial for trial in study.get_trials() if trial.state.name == "WAITING"]
    fixed = [trial.system_attrs["fixed_params"] for trial in waiting]
    assert fixed == [{"x": 0.001, "mood": "bad"}, study.trials[lost].params]
    assert waiting[1].user_attrs["seed"] == 77


def test_an_editor_deletes_a_study_whose_name_they_type(
    storage: Storage, open_house: Dashboard, tmp_path: Path
) -> None:
    study = started(storage)
    store = DirectoryStore(tmp_path / "artifacts")
    attach(store, study.ask(), "log.txt", b"text")
    browser = open_house.browser()
    worker = storage.ledger.enter(study._study_id, "cpu")
    assert "has 1 worker running" in after(browser, "delete", name="small").text
    storage.ledger.leave(worker)
    assert after(browser, "delete", name="smal").status == 400
    assert find(storage, "small") is not None
    gone = browser.submit("/studies/small/delete", name="small")
    assert gone.headers["location"] == "/?done=delete"
    assert find(storage, "small") is None
    assert store.sizes() == {}
    assert rows_of(storage.url, "SELECT count(*) FROM studies.control") == [(0,)]
    assert "The study is deleted." in browser.get("/?done=delete").text


def test_ten_who_watch_at_once_are_answered(storage: Storage, open_house: Dashboard) -> None:
    fill(storage, 60)
    found: list[int] = []

    def watch() -> None:
        found.extend(open_house.browser().get("/studies/made-up").status for _ in range(3))

    threads = [threading.Thread(target=watch) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 30


def test_users_are_kept_as_hashes(storage: Storage) -> None:
    accounts = Accounts(storage)
    assert not accounts.exist()
    accounts.set_user("edith", Role.EDITOR, "a hash")
    assert [(one.name, one.role, one.tokens) for one in accounts.users()] == [("edith", "editor", [])]
    assert accounts.exist()
    secret = accounts.open_session("edith", 60)
    assert accounts.of_session(secret) == ("edith", Role.EDITOR)
    assert accounts.of_session(accounts.open_session("edith", -1)) is None  # over
    [digests] = zip(*rows_of(storage.url, "SELECT digest FROM studies_accounts.sessions"), strict=True)
    assert secret not in digests
