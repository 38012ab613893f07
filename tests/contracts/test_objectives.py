"""What every objective must fulfil. Objectives are discovered: a new file in `objectives/` is tested by being there."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import objectives
from objectives import DataError, Objective, Training
from studies.spec.space import Choice, Parameter, Range, Space

from .tiny import TINY

NAMES = sorted(module.name for module in pkgutil.iter_modules(objectives.__path__) if not module.name.startswith("_"))
N_EPOCHS = 3


@pytest.fixture(scope="module", params=NAMES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Each objective in turn, on its tiny data."""
    return Subject(request.param, tmp_path_factory.mktemp(request.param))


class Subject:
    """An objective with its tiny data."""

    def __init__(self, name: str, directory: Path) -> None:
        self.objective: Objective = importlib.import_module(f"objectives.{name}").objective
        self.space = Space.declared(self.objective.space)
        self.tiny = TINY[name]
        self.dataset = self.tiny.make(directory)
        self.directory = directory
        self.data = self.objective.prepare(self.dataset, directory, directory / "cache")

    def params(self, **given: Any) -> dict[str, Any]:
        return self.space.completed(self.tiny.params | given)

    def start(self, seed: int = 7, **given: Any) -> Training:
        return self.objective.start(self.params(**given), self.data, seed=seed, device="cpu")

    def values(self, seed: int = 7, n_epochs: int = N_EPOCHS, **given: Any) -> list[dict[str, float]]:
        training = self.start(seed, **given)
        return [without_speed(training.epoch()) for _ in range(n_epochs)]


def without_speed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.endswith(("_per_s", "_s", "_mib"))}


def test_it_declares_what_the_contract_asks(subject: Subject) -> None:
    objective = subject.objective
    assert set(objective.metrics.values()) <= {"maximize", "minimize"}
    assert objective.metrics
    assert objective.datasets
    for name, parameter in subject.space.parameters.items():
        assert parameter.default in parameter.domain, name
    assert importlib.import_module(type(objective).__module__).__doc__


def test_the_module_documents_every_parameter(subject: Subject) -> None:
    text = importlib.import_module(type(subject.objective).__module__).__doc__ or ""
    for name in subject.space.parameters:
        assert f"\n{name} " in text, name


def test_defaults_train_to_finite_values(subject: Subject) -> None:
    for metrics in subject.values():
        assert all(math.isfinite(value) for value in metrics.values()), metrics
        assert set(subject.objective.metrics) <= set(metrics)
        assert "train_loss" in metrics


def test_every_metric_has_its_baseline(subject: Subject) -> None:
    metrics = subject.start().epoch()
    for name in subject.objective.metrics:
        assert math.isfinite(metrics[f"baseline_{name}"]), name


def test_evidence_is_small_plain_json_about_the_last_validation(subject: Subject) -> None:
    training = subject.start()
    if not hasattr(training, "evidence"):
        return
    training.epoch()
    found = training.evidence()
    assert len(json.dumps(found, allow_nan=False)) < 64 * 1024
    assert json.loads(json.dumps(found)) == found
    training.test()
    assert training.evidence() == found  # nothing of the test rows
    again = subject.start()
    again.epoch()
    assert again.evidence() == found


def test_the_same_seed_gives_the_same_values_and_another_does_not(subject: Subject) -> None:
    first = subject.values(seed=1)
    torch.manual_seed(123)  # the process's own randomness must not matter
    assert subject.values(seed=1) == first
    assert subject.values(seed=2) != first


def test_it_resumes_to_the_values_it_would_have_had(subject: Subject, tmp_path: Path) -> None:
    expected = subject.values(seed=3)
    training = subject.start(seed=3)
    training.epoch()
    torch.save(training.state_dict(), tmp_path / "state.pt")
    torch.rand(5)
    resumed = subject.start(seed=99)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [without_speed(resumed.epoch()) for _ in range(N_EPOCHS - 1)] == expected[1:]


def test_trainings_side_by_side_do_not_touch_each_other(subject: Subject) -> None:
    expected = subject.values(seed=4, n_epochs=2)
    one, other = subject.start(seed=4), subject.start(seed=5)
    found = []
    for _ in range(2):
        found.append(without_speed(one.epoch()))
        other.epoch()
    assert found == expected


def test_two_evaluations_of_one_model_agree(subject: Subject) -> None:
    training = subject.start(dropout=0.5) if "dropout" in subject.space.parameters else subject.start()
    training.epoch()
    assert training.test() == training.test()


def test_every_parameter_changes_the_trajectory(subject: Subject) -> None:
    ghosts = []
    for parameter in subject.space.parameters.values():
        given = {name: allowed[0] for name, allowed in parameter.when.items()}
        default = subject.params(**given)[parameter.name]
        other = another(parameter, default)
        if subject.values(**given) == subject.values(**given, **{parameter.name: other}):
            ghosts.append(parameter.name)
    assert not ghosts


def test_preparing_again_gives_the_same_data(subject: Subject) -> None:
    again = subject.objective.prepare(subject.dataset, subject.directory, subject.directory / "cache")
    elsewhere = subject.objective.prepare(subject.dataset, subject.directory, subject.directory / "other cache")
    assert again.sha256 == elsewhere.sha256 == subject.data.sha256


def test_every_data_set_says_where_it_comes_from(subject: Subject, tmp_path: Path) -> None:
    objective = subject.objective
    assert set(objective.origins) == set(objective.datasets)
    for name, origin in objective.origins.items():
        assert origin.rights, name
        needed = [tmp_path / one.path for one in origin.downloads if one.needed]
        if not needed:
            assert all(path.is_file() for path in objective.files(name, tmp_path))
            continue
        assert all(one.urls or one.page for one in origin.downloads)
        with pytest.raises(DataError, match=re.escape(str(needed[0].parent))):
            objective.files(name, tmp_path)
        with pytest.raises(DataError):
            objective.opened(name, tmp_path, tmp_path / "cache")


def test_opening_finds_what_is_prepared_and_prepares_nothing(subject: Subject, tmp_path: Path) -> None:
    opened = subject.objective.opened(subject.dataset, subject.directory, subject.directory / "cache")
    assert opened is not None
    assert (opened.sha256, opened.summary) == (subject.data.sha256, subject.data.summary)
    assert opened.directory == subject.data.directory
    assert list(opened.directory.iterdir())
    assert subject.objective.opened(subject.dataset, subject.directory, tmp_path / "cache") is None
    assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()]


def test_every_objective_is_kept_apart_from_the_others() -> None:
    """Add a new objective to this contract of import-linter's in pyproject.toml."""
    settings = tomllib.loads((Path(objectives.__path__[0]).parent / "pyproject.toml").read_text())
    contracts = {each["name"]: each for each in settings["tool"]["importlinter"]["contracts"]}
    assert contracts["no objective imports another"]["modules"] == [f"objectives.{name}" for name in NAMES]


def another(parameter: Parameter, value: Any) -> Any:
    """Return a value of the parameter that is not `value`."""
    if isinstance(parameter.domain, Choice):
        return next(choice for choice in parameter.domain.choices if choice != value)
    assert isinstance(parameter.domain, Range)
    return parameter.domain.low if value != parameter.domain.low else parameter.domain.high
