"""A study with several metrics from end to end, with the real command."""

from __future__ import annotations

import json
import math
import sys

import optuna
import yaml

import studies as service

from ..conftest import rows_of
from .conftest import Studies
from .test_bad_input import sentence

NET = """
import math

class Training:
    def __init__(self, params):
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        top = 1 - 0.6 / self.params["width"] - 0.1 * abs(math.log10(self.params["rate"]) + 2)
        n_parameters = 100.0 * self.params["width"]
        return {"accuracy": top * (1 - 0.5 ** self.n), "n_parameters": n_parameters, "train_loss": 1 / self.n}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Net:
    metrics = {"accuracy": "maximize", "n_parameters": "minimize"}
    datasets = {"none": "It needs none."}
    space = {"width": {"low": 1, "high": 64}, "rate": {"low": 1e-4, "high": 1.0, "log": True}}

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params)

def plain(trial):
    x = trial.suggest_float("x", 0, 1)
    return x, 1 - x
"""
STUDY = {
    "name": "net", "objective": "net:Net", "dataset": "none", "n_trials": 12, "max_epochs": 9,
    "metrics": {"accuracy": "maximize", "n_parameters": "minimize"},
}  # fmt: skip


def dominates(one: dict[str, float], other: dict[str, float]) -> bool:
    better = one["accuracy"] >= other["accuracy"] and one["n_parameters"] <= other["n_parameters"]
    return better and one != other


def test_from_the_launch_to_a_model(studies: Studies) -> None:
    (studies.directory / "net.py").write_text(NET)
    (studies.directory / "net.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    said = studies("launch", "net.yaml", "--workers", "2").stderr
    assert "net: front of " in said
    content = json.loads(studies.told("export", "net", "--format", "json").stdout)
    values = {one["number"]: one["values"] for one in content["trials"] if one["state"] == "complete"}
    assert content["n_trials"]["complete"] + content["n_trials"]["pruned"] == 12
    assert content["n_trials"]["pruned"], "nothing was paused, so that nothing was compared at a rung"
    unbeaten = {n for n, own in values.items() if not any(dominates(other, own) for other in values.values())}
    assert set(content["front"]) <= unbeaten
    assert f"front of {len(content['front'])} trial" in studies.told("status", "net").stdout

    assert "has no single best trial, but a Pareto front" in sentence(studies, "train", "net")
    smallest = min(content["front"], key=lambda number: values[number]["n_parameters"])
    most = values[smallest]["n_parameters"]
    best = yaml.safe_load(studies.told("export", "net", "--pick", f"n_parameters <= {most}").stdout)
    assert (best["trial"], best["values"]) == (smallest, values[smallest])

    studies("confirm", "net", "--trial", str(smallest), "--seeds", "2")
    confirmed = yaml.safe_load((studies.directory / "net.best.yaml").read_text())["confirmed"]
    assert confirmed["n_seeds"] == 2
    assert confirmed["value_means"]["n_parameters"] == most
    trained = studies("train", "net", "--trial", str(smallest), "-o", "model").stderr
    assert f"is that of trial {smallest}, bit for bit" in trained
    assert yaml.safe_load((studies.directory / "model" / "params.yaml").read_text())["values"] == values[smallest]

    url = studies("storage", "up").stdout.strip()
    try:
        theirs = optuna.load_study(study_name="net", storage=url.replace("postgresql://", "postgresql+psycopg2://"))
        assert {trial.number for trial in theirs.best_trials} == unbeaten
        theirs.optimize(lambda trial: (trial.suggest_float("rate", 1e-4, 1.0, log=True), 1.0), n_trials=1)
        front = service.load("net", storage=url).front
        assert list(front["number"])[-1] == theirs.trials[-1].number  # of one parameter
        assert list(front["values_n_parameters"])[-1] == 1.0
        kept = rows_of(url, "SELECT DISTINCT key FROM trial_user_attributes WHERE key = 'rungs'")
    finally:
        studies("storage", "down")
    assert kept == [("rungs",)]


def test_a_plain_function_may_return_several_values(studies: Studies) -> None:
    (studies.directory / "net.py").write_text(NET)
    study = STUDY | {"name": "plain", "objective": "net:plain", "metrics": {"a": "minimize", "b": "minimize"}}
    (studies.directory / "plain.yaml").write_text(yaml.safe_dump(study | {"n_trials": 5}, sort_keys=False))
    assert "sound (0 errors" in studies.told("check", "plain.yaml").stdout
    studies("launch", "plain.yaml")
    assert "`studies report plain` says more" in studies.told("watch", "plain").stderr  # no single one to export
    # Whatever is better in one is worse in the other.
    assert "front of 5 trials" in studies.told("status", "plain").stdout
    best = yaml.safe_load(studies.told("export", "plain", "--pick", "a <= 1").stdout)
    assert math.isclose(best["values"]["a"] + best["values"]["b"], 1.0)


def test_a_program_reports_several_metrics(studies: Studies) -> None:
    program = [sys.executable, "-c", "print('loss=%f size=%f' % ({x} ** 2, 1 - {x}))"]
    study = {
        "name": "program", "metrics": {"loss": "minimize", "size": "minimize"}, "n_trials": 3,
        "objective": {"command": program, "reports": {"pattern": r"loss=(?P<loss>\S+) size=(?P<size>\S+)"}},
        "space": {"x": {"low": 0.1, "high": 1.0}},
    }  # fmt: skip
    (studies.directory / "program.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    studies("launch", "program.yaml")
    assert "front of 3 trials" in studies.told("status", "program").stdout
