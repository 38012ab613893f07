"""The dashboard in a real browser on a bad day: the server goes and comes back, texts that would be scripts."""

from __future__ import annotations

import re

import optuna
import optuna_dashboard

from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage
from studies.study import create_or_join, open_for_workers

from ..acceptance.conftest import Studies, make_studies, studies  # noqa: F401 - fixtures
from ..conftest import reserved_port
from ..dashboards import Dashboard, failed, started
from ..reports import HOSTILE, make_spec
from .driven import Tab
from .test_dashboard import check_page


def test_a_page_says_that_the_dashboard_is_gone_and_goes_on_when_it_is_back(studies: Studies, tab: Tab) -> None:  # noqa: F811
    studies("launch", "./parabola.yaml", "--trials", "2")
    with reserved_port() as port:
        goes_and_comes_back(studies, tab, port)


def goes_and_comes_back(studies: Studies, tab: Tab, port: int) -> None:  # noqa: F811
    notice = "document.getElementById('cut-off').checkVisibility()"

    def serve() -> None:
        dashboard = studies.start("dashboard", "--port", str(port))
        assert dashboard.stderr is not None
        assert re.search(r"http://[\d.]+:\d+", dashboard.stderr.readline())

    serve()
    tab.open(f"http://127.0.0.1:{port}/studies/parabola")
    tab.shows("2/2 trials")
    tab.wait_for(f"!{notice}")  # its style may come a moment after the text
    studies.processes[-1].kill()
    tab.wait_for(notice)
    tab.shows("The dashboard does not answer")
    tab.shows("2/2 trials")  # what was known is still there
    studies("resume", "parabola", "--trials", "3")
    serve()
    tab.shows("2/3 trials")  # without a reload
    tab.wait_for(f"!{notice}")
    studies.processes[-1].terminate()


def test_long_names_and_values_fit_a_phone(storage: Storage, open_house: Dashboard, tab: Tab) -> None:
    long = "balanced_accuracy_on_held_out_patients_of_another_hospital"
    spec = make_spec(name="long" * 16, metrics={long: "maximize", "n_parameters": "minimize"})
    space = Space.declared({f"{long}_{n}": {"choices": [long * 3, "none"], "default": "none"} for n in range(3)})
    with create_or_join(storage, spec, Description({}, {"name": "none", "sha256": None}, space)) as (study, _):
        open_for_workers(storage, study, spec)
    choices = optuna.distributions.CategoricalDistribution([long * 3, "none"])
    for value, values in ((long * 3, [0.9, 5.0]), ("none", [0.8, 4.0])):
        given = {"params": dict.fromkeys(space.parameters, value), "values": values}
        given["distributions"] = dict.fromkeys(space.parameters, choices)
        study.add_trial(optuna.trial.create_trial(**given))
    failed(study)
    for path, text in {"/": "on the front", f"/studies/{spec.name}": "No single trial is the best"}.items():
        tab.open(f"http://127.0.0.1:{open_house.port}{path}")
        tab.shows(text)
        check_page(tab)


def test_no_text_of_anybodys_runs(storage: Storage, open_house: Dashboard, tab: Tab) -> None:
    study = started(storage)
    failed(study)
    study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs={"verdict": HOSTILE, HOSTILE[9:40]: HOSTILE}))
    optuna_dashboard.save_note(study, HOSTILE)
    foreign = optuna.create_study(storage=storage.optuna, study_name=HOSTILE)
    foreign.add_trial(optuna.trial.create_trial(value=0.5, user_attrs={"note": HOSTILE}))
    heard = "window.n_alerts = 0; window.alert = () => { window.n_alerts += 1 }"
    tab.call("Page.addScriptToEvaluateOnNewDocument", source=heard)
    address, own = f"http://127.0.0.1:{open_house.port}", f"/dashboard/studies/{study._study_id}"
    for path, text in {
        "/": "<img src=x onerror=alert(2)>",
        "/studies/small": "<img src=x onerror=alert(2)>",
        "/dashboard": "onerror=alert(2)",
        own: "small",
        f"{own}/note": "code",
        f"{own}/trials": "Trial 0",
        f"/dashboard/studies/{foreign._study_id}/trials": "Trial 0",
    }.items():
        tab.open(address + path)
        tab.wait_for(f"location.pathname === '{path}' && document.readyState === 'complete'")
        tab.wait_for(f"document.documentElement.textContent.includes({text!r})")
        assert tab.run("window.n_alerts") == 0, path
        assert tab.run("document.querySelectorAll('main img').length") == 0, path
