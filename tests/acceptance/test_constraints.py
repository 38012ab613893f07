"""Conditions between parameters and bounds on what is measured, with the real command."""

from __future__ import annotations

import yaml

from .conftest import STUDY, Studies
from .test_bad_input import sentence

NET = """
class Training:
    def __init__(self, params):
        self.params, self.n = params, 0

    def epoch(self):
        self.n += 1
        size = self.params["width"] * self.params["depth"]
        return {"loss": abs(size - 900) + 1 / self.n, "n_parameters": size}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

class Net:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {
        "width": {"low": 1, "high": 100, "default": 40},
        "depth": {"low": 1, "high": 100, "default": 20},
    }

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params)
"""


def test_what_is_required_is_tried_alone_and_what_is_measured_decides(studies: Studies) -> None:
    (studies.directory / "net.py").write_text(NET)
    study = yaml.safe_load(STUDY) | {
        "name": "net",
        "objective": "net:Net",
        "n_trials": 24,
        "max_epochs": 2,
        "space": {},
        "require": ["width * depth <= 1200", "width > depth"],
        "constraints": {"n_parameters": "<= 700"},
    }
    (studies.directory / "net.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    studies("launch", "net.yaml", "--workers", "2")
    trials = yaml.safe_load(studies.told("export", "net", "--format", "json").stdout)["trials"]
    params = [trial["params"] for trial in trials]
    assert len(params) == 24
    assert all(each["width"] * each["depth"] <= 1200 and each["width"] > each["depth"] for each in params)
    sizes = [each["width"] * each["depth"] for each in params]
    assert any(size > 700 for size in sizes), "nothing was infeasible, so that nothing was decided"
    assert [trial["constraints"]["n_parameters"] for trial in trials] == [size - 700 for size in sizes]
    best = yaml.safe_load(studies.told("export", "net").stdout)
    assert best["params"]["width"] * best["params"]["depth"] == max(size for size in sizes if size <= 700)
    assert "violate a constraint and cannot be the best" in studies.told("status", "net").stdout
    said = sentence(studies, "launch", "net.yaml", "--set", "constraints={n_parameters: '<= 800'}")
    assert "another constraints" in said
