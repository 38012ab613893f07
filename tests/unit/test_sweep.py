"""A W&B sweep as a study file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from studies.errors import WrongInput
from studies.spec import StudySpec
from studies.templates.sweep import is_sweep, study_file

SWEEP: dict[str, Any] = {
    "program": "train.py",
    "method": "bayes",
    "metric": {"name": "val/loss", "goal": "maximize"},
    "parameters": {"lr": {"min": 0.001, "max": 0.1}},
}


def converted(directory: Path, **changes: Any) -> dict[str, Any]:
    """Return the study file of a sweep, which is one that a launch would take."""
    file = directory / "sweep.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in (SWEEP | changes).items() if value is not None}))
    name, text = study_file(str(file))
    content: dict[str, Any] = yaml.safe_load(text)
    assert StudySpec.model_validate(content).name == name
    return content


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": 0.1}, 0.1),
        ({"value": True}, True),
        (7, 7),
        ({"values": ["adam", "sgd"]}, ["adam", "sgd"]),
        ({"values": [16, 32], "probabilities": [0.1, 0.9]}, [16, 32]),
        ({"min": 1, "max": 5}, {"low": 1, "high": 5}),
        ({"distribution": "int_uniform", "min": 1, "max": 5}, {"low": 1, "high": 5}),
        ({"min": 0, "max": 0.5}, {"low": 0.0, "high": 0.5}),
        ({"distribution": "uniform", "min": 1, "max": 5}, {"low": 1.0, "high": 5.0}),
        (
            {"distribution": "log_uniform_values", "min": 0.001, "max": 1},
            {"low": 0.001, "high": 1.0, "log": True},
        ),
        (
            {"distribution": "inv_log_uniform_values", "min": 0.001, "max": 1},
            {"low": 0.001, "high": 1.0, "log": True},
        ),
        ({"distribution": "log_uniform", "min": -2, "max": 0}, {"low": 0.135335, "high": 1.0, "log": True}),
        ({"distribution": "q_uniform", "min": 8, "max": 64, "q": 8}, {"low": 8, "high": 64, "step": 8}),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, {"low": 0.0, "high": 1.0, "step": 0.25}),
        ({"distribution": "normal", "mu": 0.8, "sigma": 0.05}, {"low": 0.7, "high": 0.9}),
        (
            {"distribution": "log_normal", "mu": 0, "sigma": 1},
            {"low": 0.135335, "high": 7.38906, "log": True},
        ),
    ],
)
def test_a_parameter_has_its_domain(tmp_path: Path, given: Any, expected: Any) -> None:
    assert converted(tmp_path, parameters={"x": given, "y": {"min": 0, "max": 1}})["space"]["x"] == expected


def test_groups_are_named_with_dots(tmp_path: Path) -> None:
    optimizer = {"parameters": {"lr": {"values": [0.1, 0.2]}, "more": {"parameters": {"momentum": {"value": 0.9}}}}}
    space = converted(tmp_path, parameters={"optimizer": optimizer})["space"]
    assert space == {"optimizer.lr": [0.1, 0.2], "optimizer.more.momentum": 0.9}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (None, "python train.py {params}"),
        (["${env}", "python3", "-m", "my.train", "${args}"], "python3 -m my.train {params}"),
        (["${interpreter}", "${program}", "--quiet", "${args_no_hyphens}"], "python train.py --quiet {params:hydra}"),
        (
            ["${env}", "${interpreter}", "${program}", "${args_no_boolean_flags}"],
            "python train.py --deep{deep:flag} --lr {lr}",
        ),
    ],
)
def test_the_command_is_the_sweeps(tmp_path: Path, command: list[str] | None, expected: str) -> None:
    parameters = {"deep": {"values": [True, False]}, "lr": {"values": [1, 2]}}
    assert converted(tmp_path, command=command, parameters=parameters)["objective"]["command"] == expected


def test_the_method_the_metric_and_the_budget_are_the_sweeps(tmp_path: Path) -> None:
    study = converted(tmp_path, name="My Sweep!", description="On a small net.", run_cap=12)
    assert (study["name"], study["description"], study["n_trials"]) == ("my-sweep", "On a small net.", 12)
    assert (study["metric"], study["direction"]) == ("val/loss", "maximize")
    assert "sampler" not in study
    assert converted(tmp_path, method="random")["sampler"] == {"name": "random"}
    grid = converted(tmp_path, method="grid", parameters={"lr": {"values": [1, 2]}})
    assert (grid["sampler"], "n_trials" in grid) == ({"name": "grid"}, False)
    early = {"type": "hyperband", "min_iter": 3, "eta": 2}
    study = converted(tmp_path, early_terminate=early, parameters=SWEEP["parameters"] | {"epochs": {"value": 40}})
    assert study["pruner"] == {"name": "asha", "min_epochs": 3, "reduction_factor": 2}
    assert study["max_epochs"] == 40


def test_what_cannot_be_a_study_is_said(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="has no `program`"):
        converted(tmp_path, program=None)
    with pytest.raises(WrongInput, match=r"the parameter 'x' is \{min: 1\}; expected value, values, or min and max"):
        converted(tmp_path, parameters={"x": {"min": 1}})


def test_a_script_that_reports_already_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    Path("train.py").write_text("import wandb\n")
    assert "program_callbacks.wandb()" in study_file("sweep.yaml")[1]
    Path("train.py").write_text("from studies import program_callbacks\n")
    assert "program_callbacks.wandb()" not in study_file("sweep.yaml")[1]


def test_only_a_sweep_is_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(SWEEP))
    assert is_sweep(str(file))
    for text in ("parameters: [", "parameters: 3", "[1, 2]", "name: a\nspace: {}\nparameters: {}"):
        file.write_text(text)
        assert not is_sweep(str(file))
    assert not is_sweep(str(tmp_path))
    assert not is_sweep("missing.yaml")
