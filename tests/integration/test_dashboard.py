"""The dashboard: what its pages say, and what an editor can do; over real connections."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path

import optuna
import pytest

from studies import confirm, steering
from studies.artifacts import DirectoryStore, attach
from studies.errors import WrongInput
from studies.names import CONTINUED_BY, CONTINUES, HISTORY, PAUSED, PROVENANCE, RUNGS, SPEC, UNLIMITED
from studies.record.overview import StudyState, read_overviews
from studies.record.reading import read
from studies.spec import StudySpec
from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage, sql_pages
from studies.storage.accounts import Accounts, Role
from studies.storage.ledger import Usage
from studies.storage.pages import Pages
from studies.study import create_or_join, find, get, open_for_workers
from studies.web import acting, gallery, looking
from studies.web.api import _study_of

from ..conftest import execute, rows_of
from ..dashboards import DECLARED, Answer, Browser, Dashboard, failed, started
from ..reports import HOSTILE, make_spec
from ..waiting import PATIENCE_S
from .test_verdicts import fill

DATA = {"name": "none", "sha256": "0" * 64, "summary": {}}

# 40 studies of 100 trials each, like the one that is there.
MANY = """
INSERT INTO studies (study_name) SELECT 'study ' || n FROM generate_series(1, 40) n;
INSERT INTO study_directions (study_id, direction, objective)
    SELECT study_id, 'MAXIMIZE', 0 FROM studies WHERE study_name LIKE 'study %';
INSERT INTO study_user_attributes (study_id, key, value_json)
    SELECT s.study_id, a.key, a.value_json FROM studies s, study_user_attributes a
    WHERE s.study_name LIKE 'study %' AND a.key = 'spec';
INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
    SELECT study_id, n, 'COMPLETE', now(), now() FROM studies, generate_series(0, 99) n;
INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT trial_id, 0, number, 'FINITE' FROM trials;
INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial_id, step, step, 'FINITE' FROM trials, generate_series(1, 5) step;
ANALYZE"""

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


def test_what_is_asked_of_all_studies_reads_each_of_their_rows_once(storage: Storage) -> None:
    started(storage)
    execute(storage.url, MANY)
    with closing(storage.connections().connect()) as connection, connection.cursor() as cursor:
        given = {"study": None, "lease": 60, "unlimited": UNLIMITED}
        given |= {"spec_key": SPEC, "link_key": CONTINUED_BY, "paused_key": PAUSED}
        for statement in (sql_pages.READ_OVERVIEWS, sql_pages.READ_TOTALS):
            cursor.execute(statement, given)
        cursor.execute("SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables")
        n_read = dict(cursor.fetchall())
    for table in ("trial_values", "trial_intermediate_values"):
        [(n,)] = rows_of(storage.url, f"SELECT count(*) FROM {table}")
        assert 0 < n_read[table] <= n, table


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


def test_a_trial_whose_worker_was_killed_is_lost_and_not_running(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage)
    worker = storage.ledger.enter(study._study_id, "cpu")
    storage.optuna.claim_trial(study._study_id, n_trials=5, worker_id=worker)
    study.ask()  # another Optuna program's
    counts = []
    for _ in range(2):
        [seen] = read_overviews(storage, Pages(storage), study._study_id)
        counts.append(seen.counts)
        storage.ledger.declare_dead(study._study_id, socket.gethostname(), os.getpid())
    assert counts == [{"running": 2}, {"running": 1, "lost": 1}]
    assert "1 trial lost: its worker is gone" in open_house.browser().get("/studies/small").text


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
    stored = get(storage, "made-up")
    stored.set_user_attr(SPEC, stored.user_attrs[SPEC] | {"limits": {"gpu_hours": 24.0}})
    browser = open_house.browser()
    value, number = storage.ledger.best(study_id, maximize=True) or (0.0, -1)
    listed = browser.get("/").text
    assert f"{value:.4f} <small>balanced_accuracy, trial {number}</small>" in listed
    page = browser.get("/studies/made-up").text
    assert f"best balanced_accuracy {value:.4f} (trial {number})" in page
    assert page.count("<polyline") == 60
    assert page.count('<polyline class="best"') == 1
    assert "cuda:3" in page
    assert " of 24 h of device time;" in page
    assert f"The best balanced_accuracy is {value:.4f}" in browser.get("/studies/made-up/answer").text
    report = browser.get("/studies/made-up/report")
    assert "<h2>All trials</h2>" in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    stock = json.loads(browser.get("/api/studies").text)
    assert [one["study_name"] for one in stock["study_summaries"]] == ["made-up"]
    assert browser.get("/dashboard").status == browser.get(f"/dashboard/studies/{study_id}").status == 200


def test_report_and_figures_follow_a_confirmation_while_it_runs(storage: Storage, open_house: Dashboard) -> None:
    study_id, browser = fill(storage, 60), open_house.browser()
    found = read(storage, "made-up")
    assert "Under fresh seeds" not in browser.get("/studies/made-up/report").text
    n_ended = dict(map(itemgetter(0, 2), gallery._studies(storage)))
    plan = confirm.Plan(found, confirm.choose(found, 2), 2, 2)
    described = Description(DECLARED, DATA, found.space)
    confirm.join(storage, plan, confirm.spec_for(found.spec), described, lambda line: None)
    assert "1 contender not done yet" in browser.get("/studies/made-up/report").text
    confirmation = get(storage, "made-up-confirm")
    confirmation.tell(confirmation.ask(), 0.123456)
    assert "0.1235" in browser.get("/studies/made-up/report").text
    assert dict(map(itemgetter(0, 2), gallery._studies(storage)))[study_id] == n_ended[study_id] + 1


def test_the_pages_show_a_front(storage: Storage, open_house: Dashboard) -> None:
    metrics = {"accuracy": "maximize", "size": "minimize"}
    spec = make_spec(name="two", metrics=metrics)
    with create_or_join(storage, spec, Description({}, DATA, Space({}))) as (study, _):
        for values, curve in (([0.9, 500.0], [0.5, 0.9]), ([0.7, 100.0], [0.7]), ([0.6, 600.0], [0.6])):
            attributes = {HISTORY: [{"accuracy": value, "size": values[1]} for value in curve]}
            study.add_trial(optuna.trial.create_trial(values=values, user_attrs=attributes))
        open_for_workers(storage, study, spec)
    browser = open_house.browser()
    assert "2 trials <small>on the front</small>" in browser.get("/").text
    page = browser.get("/studies/two").text
    assert "front of 2 trials: accuracy 0.7000 to 0.9000, size 100.0 to 500.0" in page
    assert "<td>0.6000</td><td>600.0</td>" in page[page.index('<h2 id="newest">') :]
    assert (page.count("<polyline"), page.count('<polyline class="best"')) == (3, 2)
    assert "2 of 3 completed trials are on the Pareto front" in browser.get("/studies/two/answer").text
    assert 'studies_front_trials{study="two"} 2' in browser.get("/metrics").text
    stock = json.loads(browser.get(f"/api/studies/{study._study_id}?after=0").text)
    assert [one["number"] for one in stock["best_trials"]] == [0, 1]
    with closing(Pages(storage)) as pages:
        [overview] = read_overviews(storage, pages)
    told = _study_of(overview)
    assert told.front is not None
    assert told.model_dump(mode="json")["front"][1] == {"trial": 1, "values": {"accuracy": 0.7, "size": 100.0}}


@contextmanager
def following(dashboard: Dashboard, name: str) -> Iterator[Callable[[], str]]:
    """Follow a study's page; yield what returns the next event."""
    with closing(http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", f"/studies/{name}/events")
        with connection.getresponse() as stream:

            def event() -> str:
                lines = iter(lambda: stream.readline().decode(), "\n")
                return "".join(line.removeprefix("data: ") for line in lines)

            yield event


def test_a_page_is_sent_again_when_something_has_changed(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage)
    with following(open_house, "small") as event:
        assert "0/5 trials" in event()
        study.add_trial(optuna.trial.create_trial(value=0.25))
        assert "1/5 trials" in event()
        storage.ledger.request_stop(study._study_id, "tests")
        said = event()
        assert ("/studies/small/stop" in said, "/studies/small/resume" in said) == (False, True)


def test_a_study_with_several_metrics_shows_its_front_and_its_curves_as_they_grow(
    storage: Storage, open_house: Dashboard
) -> None:
    metrics = {"accuracy": "maximize", "n_parameters": "minimize"}
    known = {"name": "two", "objective": "mine:Made", "dataset": "none", "n_trials": 9, "max_epochs": 6}
    spec, space = StudySpec.model_validate(known | {"metrics": metrics}), Space.declared(DECLARED)
    with create_or_join(storage, spec, Description(DECLARED, {"name": "none", "sha256": None}, space)) as (study, _):
        open_for_workers(storage, study, spec)
    for accuracy, n_parameters in ((0.9, 200.0), (0.8, 100.0), (0.7, 300.0)):  # the last one is beaten twice
        history = [{"accuracy": accuracy * share, "n_parameters": n_parameters} for share in (0.5, math.nan, 1.0)]
        values = [accuracy, n_parameters]
        study.add_trial(optuna.trial.create_trial(values=values, user_attrs={HISTORY: history}))
    page = open_house.browser().get("/studies/two").text
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"><title>trial (\d)</title>', page)
    assert [(kind, len(points.split()), number) for kind, points, number in lines] == [
        ("complete", 2, "2"), ("best", 2, "0"), ("best", 2, "1"),
    ]  # fmt: skip
    front = page[page.index('<h2 id="top">Pareto front</h2>') : page.index('<h2 id="newest">')]
    assert re.findall(r"numbers=(\d)", front) == ["0", "1"]
    assert '<th scope="col">accuracy</th><th scope="col">n_parameters</th>' in front
    with following(open_house, "two") as event:
        assert event().count("<polyline") == 3
        running = study.ask()
        assert event().count("<polyline") == 3
        running.set_user_attr(RUNGS, {"3": [0.6, 50.0], "1": [0.4, 50.0]})  # PostgreSQL's JSON keeps no order
        assert re.findall(r'<polyline class="running" points="(\S+ \S+)">', event())


def test_other_programs_studies_are_named_and_unknown_ones_refused(storage: Storage, open_house: Dashboard) -> None:
    optuna.create_study(storage=storage.optuna, study_name=HOSTILE)
    started(storage)
    browser = open_house.browser()
    page = browser.get("/").text
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<img" not in page
    answer = browser.get("/studies/nothing")
    assert answer.status == 404
    assert '<p role="alert">No study is named &#39;nothing&#39; in this storage.</p>' in answer.text
    assert "&#39;smal&#39; in this storage; did you mean small?</p>" in browser.get("/studies/smal").text
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
        assert not set("\x1b\x07\u202e") & set(page.text), path
    assert browser.get("/studies/small").text.count("&lt;img src=x") >= 2
    refused = browser.submit("/studies/small/queue", **{"param:mood": HOSTILE})
    assert refused.status == 400
    assert "<img" not in refused.text
    assert "<img" not in browser.get(f"/login?next={'%22%3E%3Cimg%3E'}").text


def test_the_metrics_are_prometheus_text(storage: Storage, open_house: Dashboard) -> None:
    study_id = fill(storage, 30)
    for memory_mib in (100, 150):
        worker = storage.ledger.enter(study_id, "cpu")
        storage.ledger.heartbeat(worker, Usage(memory_mib, 75))
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
    host = socket.gethostname()
    assert found["studies_cpu_cores", f'study="made-up",host="{host}"'] == 1.5
    assert found["studies_memory_bytes", f'study="made-up",host="{host}"'] == 250 * 2**20
    assert "studies_gpu_busy_ratio" not in {name for name, _ in found}
    page = open_house.browser().get("/studies/made-up").text
    assert "<td>75 %</td><td>104.9 MB</td>" in page
    assert "GPU memory" not in page
    for name in {name for name, _ in found}:
        assert f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}" in text
        assert f"# HELP {name} " in text


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
    assert browser.submit("/studies/small/trials", n_trials="9" * 4500).status == 400  # Python converts no such number
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


def test_what_a_plain_functions_trials_asked_for_is_what_may_be_queued(storage: Storage, open_house: Dashboard) -> None:
    spec, browser = make_spec(name="small", n_trials=5), open_house.browser()
    with create_or_join(storage, spec, Description({}, DATA, Space.declared({}))) as (study, _):
        open_for_workers(storage, study, spec)
    assert "is known once a trial has begun" in browser.get("/studies/small/queue").text
    for high in (2.0, 1.0):  # a function may ask for another range each time
        trial = study.ask()
        trial.suggest_float("x", 0, high)
        trial.suggest_categorical("mood", ["fine", None])
        study.tell(trial, 1.0)
    form = browser.get("/studies/small/queue").text
    assert 'name="param:x" type="text" value=""' in form
    assert 'name="param:mood" type="text" value=""' in form  # left empty, it is for the sampler to choose
    for given, expected in (({"x": "3"}, "x = 3 is outside its space (0 to 2)."), ({"z": "1"}, "known: mood, x.")):
        refused = after(browser, "queue", **{f"param:{name}": value for name, value in given.items()})
        assert (refused.status, expected in refused.text) == (400, True)
    assert after(browser, "queue", **{"param:x": "1.5"}).status == 200
    assert study.trials[2].system_attrs["fixed_params"] == {"x": 1.5}


def test_a_value_that_the_trial_would_not_have_is_refused(storage: Storage, open_house: Dashboard) -> None:
    declared = {
        "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
        "momentum": {"low": 0.0, "high": 1.0, "default": 0.5, "when": {"optimizer": ["sgd"]}},
    }
    spec, browser = make_spec(name="small", n_trials=5), open_house.browser()
    with create_or_join(storage, spec, Description(declared, DATA, Space.declared(declared))) as (study, _):
        open_for_workers(storage, study, spec)
    form = browser.get("/studies/small/queue").text
    assert 'name="param:momentum" type="text" value=""' in form
    assert "0 to 1; only when optimizer is &#34;sgd&#34;" in form
    refused = after(browser, "queue", **{"param:optimizer": "adam", "param:momentum": "0.1"})
    assert refused.status == 400
    assert "exists only when optimizer is &#34;sgd&#34;" in refused.text
    assert after(browser, "queue", **{"param:optimizer": "sgd"}).status == 200
    assert study.trials[0].system_attrs["fixed_params"] == {"optimizer": "sgd", "momentum": 0.5}


def test_a_trial_that_failed_long_ago_may_be_tried_again(storage: Storage, open_house: Dashboard) -> None:
    study = started(storage, n_trials=99)
    first, lost = failed(study), failed(study)
    storage.ledger.annotate(study._study_id, {lost: {CONTINUED_BY: "2"}})
    failed(started(storage, "other"))
    browser = open_house.browser()
    assert "Failed before" not in browser.get("/studies/other").text
    study.add_trials([optuna.trial.create_trial(value=1.0) for _ in range(looking.N_NEWEST)])
    newest = failed(study)
    page = browser.get("/studies/small").text
    assert re.findall(r"/studies/small/retry/(\d+)", page) == [str(newest), str(first)]
    assert "studies retry" not in page
    assert after(browser, f"retry/{first}").status == 200


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
    assert " kept on " not in browser.get("/studies/small/delete").text
    study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={PROVENANCE: {"host": "gpu1"}}))
    assert "What its trials kept on gpu1 stays there: ~/.local/" in browser.get("/studies/small/delete").text
    assert after(browser, "delete", name="smal").status == 400
    assert find(storage, "small") is not None
    gone = browser.submit("/studies/small/delete", name="small")
    assert gone.headers["location"] == "/?done=delete"
    assert find(storage, "small") is None
    assert store.sizes() == {}
    assert rows_of(storage.url, "SELECT count(*) FROM studies.control") == [(0,)]
    assert "The study is deleted." in browser.get("/?done=delete").text


def test_every_version_has_a_page_of_its_own_and_an_action_is_for_that_one(
    storage: Storage, open_house: Dashboard
) -> None:
    first, second = started(storage, "small", 5), started(storage, "small@2", 7)
    browser = open_house.browser()
    listed = browser.get("/").text
    assert 'href="/studies/small"' in listed
    assert 'href="/studies/small%402">small@2</a>' in listed
    assert 'href="/studies/small">small@1</a>' in listed
    assert all("<h1>small@1</h1>" in browser.get(f"/studies/small{part}").text for part in ("", "/report"))
    assert ">small@1</a>" in browser.get("/studies/small/logs").text
    assert "0/5 trials" in browser.get("/studies/small").text
    assert "studies worker small@1<" in browser.get("/studies/small").text
    assert "0/7 trials" in browser.get("/studies/small%402").text
    assert after(browser, "stop").status == 200
    assert [storage.ledger.budget(one._study_id).stop is None for one in (first, second)] == [False, True]
    assert browser.submit("/studies/small/delete", name="small@2").status == 400
    assert browser.submit("/studies/small/delete", name="small").status == 303
    assert (find(storage, "small"), find(storage, "small@2") is None) == (None, False)
    answer = browser.submit("/studies/small%402/stop")
    assert answer.headers["location"] == "/studies/small%402?done=stop"
    assert browser.get(answer.headers["location"]).status == 200


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
