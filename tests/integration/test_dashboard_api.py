"""The dashboard's API for scripts, against its own OpenAPI description: what is sent is made by schemathesis."""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks, openapi

from studies.storage import Storage
from studies.study import get
from studies.web import acting
from studies.web.access import API

from ..conftest import rows_of
from ..dashboards import Answer, Dashboard, failed, is_ours, routes, started
from ..waiting import PATIENCE_S

N_EXAMPLES = int(
    os.environ.get("N_EXAMPLES", "3")
)  # of each endpoint, for each who asks; `make test-system` takes more
# A script is stopped by who it is first, so no more can be said of what it sent; and each call is one on its own.
CHECKS = [checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
          checks.response_schema_conformance]  # fmt: skip
UNRECORDED = settings(
    max_examples=N_EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None,
    derandomize=True,
)  # fmt: skip


class Script:
    """Asks the API with a token, or without."""

    def __init__(self, dashboard: Dashboard, token: str | None) -> None:
        self._browser = dashboard.browser()
        self.headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def get(self, path: str) -> Any:
        return json.loads(self._browser.get(path, **self.headers).text)

    def post(self, path: str, **sent: Any) -> Answer:
        headers = self.headers | {"Content_Type": "application/json"}
        return self._browser.ask("POST", f"{API}/studies/{path}", json.dumps(sent), **headers)


@pytest.fixture
def scripts(dashboard: Dashboard) -> dict[str, Script]:
    add = dashboard.access.accounts.add_token
    tokens = {"nobody": None, "viewer": add("vera", "ci"), "editor": add("edith", "ci")}
    return {role: Script(dashboard, token) for role, token in tokens.items()}


def everything(storage: Storage) -> list[Any]:
    tables = ("studies", "trials", "trial_params", "study_user_attributes", "studies.control", "studies_accounts.users")
    return [rows_of(storage.url, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


def scan(dashboard: Dashboard, script: Script, studies: list[str]) -> set[int]:
    """Send every endpoint what its description allows, and what it does not; return the statuses that came back."""
    described = openapi.from_dict(script_description(dashboard))
    described.config.update(base_url=f"http://127.0.0.1:{dashboard.port}", request_timeout=PATIENCE_S)
    with warnings.catch_warnings():  # of its own ways to make what a schema forbids
        warnings.simplefilter("ignore")
        return {status for found in described.get_all_operations() for status in asked(found.ok(), script, studies)}


def asked(operation: Any, script: Script, studies: list[str]) -> set[int]:
    """Send one endpoint a few requests, half of them about a study that there is; return the statuses."""
    seen = set()

    @UNRECORDED
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if "name" in case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["name"] = data.draw(st.sampled_from(studies))
        seen.add(case.call_and_validate(headers=script.headers, checks=CHECKS).status_code)

    ask()
    return seen


def script_description(dashboard: Dashboard) -> dict[str, Any]:
    token = dashboard.access.accounts.add_token("vera", "description")
    found: dict[str, Any] = Script(dashboard, token).get("/api/openapi.json")
    return found


def test_a_scan_from_the_description_finds_no_surprise(
    storage: Storage, dashboard: Dashboard, scripts: dict[str, Script]
) -> None:
    failed(started(storage))
    before = everything(storage)
    assert scan(dashboard, scripts["nobody"], ["small"]) <= {400, 401}  # 400: an address that no page has
    assert {200, 403} <= scan(dashboard, scripts["viewer"], ["small"])
    assert everything(storage) == before
    assert scan(dashboard, scripts["editor"], ["small"]) >= {200}
    assert not [line for line in dashboard.said if "Traceback" in line]


def test_every_route_of_the_api_is_described_and_the_other_way_round(
    dashboard: Dashboard, scripts: dict[str, Script]
) -> None:
    described = scripts["viewer"].get("/api/openapi.json")
    assert dashboard.browser().get("/api/openapi.json", Accept="application/json").status == 401
    filled = {
        path.replace("{name}", "small").replace("{number}", "0"): methods
        for path, methods in described["paths"].items()
    }
    served = {(method, path) for method, path in routes(dashboard) if path.startswith(API)}
    assert served - {("HEAD", path) for path in filled} == {
        (method.upper(), path) for path, methods in filled.items() for method in methods
    }
    assert {path.split("/")[-1] for path in described["paths"]} >= {
        name for name, action in acting.ACTIONS.items() if not action.takes_trial
    }
    assert is_ours("/api/openapi.json")


def test_a_script_reads_and_steers(storage: Storage, scripts: dict[str, Script]) -> None:
    study = started(storage)
    lost = failed(study)
    editor = scripts["editor"]
    [listed] = editor.get(f"{API}/studies")
    assert listed == editor.get(f"{API}/studies/small")
    assert (listed["name"], listed["state"], listed["trials"], listed["n_trials"]) == (
        "small",
        "idle",
        {"failed": 1},
        5,
    )
    stopped = "small: no worker is running it; `studies launch small` goes on from there."
    assert json.loads(editor.post("small/stop").text) == {"done": stopped}
    assert editor.get(f"{API}/studies/small")["state"] == "stopped"
    assert editor.post("small/trials", n_trials=9).status == 200
    queued = editor.post("small/queue", params={"x": 0.25, "mood": "bad"})
    assert json.loads(queued.text) == {"done": "Trial 1 of small is queued; it runs next."}
    assert editor.post(f"small/retry/{lost}").status == 200
    waiting = [trial for trial in get(storage, "small").get_trials() if trial.state.name == "WAITING"]
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [
        {"x": 0.25, "mood": "bad"},
        study.trials[lost].params,
    ]
    for path, sent, expected in (
        ("small/trials", {"n_trials": "9"}, "n_trials: Input should be a valid integer; expected JSON with: n_trials."),
        ("small/trials", {}, "n_trials: Field required; expected JSON with: n_trials."),
        ("small/stop", {"now": True}, "now: Extra inputs are not permitted; expected JSON with: nothing."),
        ("small/queue", {"params": {"x": 2}}, "x = 2 is outside its space"),
        ("small/queue", {"params": {"x": 10**400}}, "is outside its space"),
        ("small/delete", {"name": "smal"}, "The name is 'smal'; expected 'small', to be sure."),
    ):
        refused = editor.post(path, **sent)
        assert refused.status == 400
        assert expected in json.loads(refused.text)["error"]
    assert editor.post("nothing/stop").status == 404
    assert editor.post("small/delete", name="small").status == 200
    assert editor.get(f"{API}/studies") == []
