"""What a study leaves in Optuna's tables: every key under its name, for the programs that read it later."""

from __future__ import annotations

import json
from typing import Any

from ..conftest import rows_of
from .conftest import Studies

STUDY_KEYS = {"code", "data", "declared_space", "spec", "uid"}
TRIAL_KEYS = {"peak_memory_mib", "provenance", "seconds", "seed", "verdict", "verdict_advice", "verdict_evidence"}
TRAINED = {"epoch", "evidence", "history", "metrics"}
SPEC = """
name: every-fate
objective: mine:Parabola
dataset: none
metric: loss
direction: minimize
n_trials: 4
max_epochs: 5
space: {seconds: 0.0}
sampler: {name: random, seed: 7}
pruner: {name: none}
start_with: [{x: 2.0}, {x: 1.0, mood: nan}, {x: 1.0, mood: raises}, {x: -1.0}]
"""


def test_every_key_and_the_values_that_others_depend_on(studies: Studies) -> None:
    (studies.directory / "every-fate.yaml").write_text(SPEC)
    studies("launch", "every-fate.yaml")
    url = studies("storage", "up").stdout.strip()
    try:
        of_study = dict(rows_of(url, "SELECT key, value_json FROM study_user_attributes"))
        attributes: dict[int, dict[str, Any]] = {number: {} for number in range(4)}
        for number, key, value in rows_of(
            url, "SELECT number, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id)"
        ):
            attributes[number][key] = json.loads(value)
        params = rows_of(url, "SELECT number, param_name, param_value FROM trials JOIN trial_params USING (trial_id)")
    finally:
        studies("storage", "down")
    assert set(of_study) == STUDY_KEYS
    assert json.loads(of_study["data"]) == {"name": "none", "sha256": None, "summary": {}}
    assert list(json.loads(of_study["declared_space"])) == ["x", "mood", "seconds"]
    assert set(attributes[0]) == TRIAL_KEYS | TRAINED | {"start_with"}
    assert set(attributes[1]) == TRIAL_KEYS | {"start_with", "reason", "detail"}
    assert set(attributes[2]) == TRIAL_KEYS | {"start_with", "reason", "detail", "traceback"}
    assert [attributes[number].get("reason") for number in range(4)] == [None, "nan", "exception", None]
    assert [attributes[number]["start_with"] for number in range(4)] == [0, 1, 2, 3]
    assert attributes[0]["seed"] == 3613523957  # follows from the study's seed and the trial's number
    assert attributes[0]["epoch"] == 5
    assert set(attributes[0]["metrics"]) == {"epoch_s", "loss", "train_loss"}
    assert [metrics["loss"] for metrics in attributes[0]["history"]] == [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    assert sorted(params) == [
        (0, "mood", 0.0), (0, "x", 2.0), (1, "mood", 1.0), (1, "x", 1.0),
        (2, "mood", 2.0), (2, "x", 1.0), (3, "mood", 0.0), (3, "x", -1.0),
    ]  # fmt: skip
