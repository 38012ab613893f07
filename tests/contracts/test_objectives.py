"""Every objective passes the suite. Objectives are discovered: a new file in `objectives/` is tested by being there.

The shipped ones fulfil some more, which a user's own need not.
"""

from __future__ import annotations

import ast
import importlib
import math
import pkgutil
import re
from pathlib import Path

import pytest

import objectives
from objectives import DataError
from studies.testing import ObjectiveSuite
from studies.testing.subject import Subject

NAMES = sorted(module.name for module in pkgutil.iter_modules(objectives.__path__) if not module.name.startswith("_"))


class TestObjectives(ObjectiveSuite):
    @pytest.fixture(scope="class", params=NAMES)
    @classmethod
    def subject(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        return Subject(f"objectives.{request.param}", tmp_path_factory.mktemp(request.param), None, {})

    def test_the_module_documents_every_parameter(self, subject: Subject) -> None:
        text = importlib.import_module(subject.path).__doc__ or ""
        for name in subject.space.parameters:
            assert f"\n{name} " in text, name

    def test_every_metric_has_its_baseline_and_the_training_its_loss(self, subject: Subject) -> None:
        metrics = subject.start().epoch()
        assert "train_loss" in metrics
        for name in subject.objective.metrics:
            assert math.isfinite(metrics[f"baseline_{name}"]), name

    def test_every_data_set_says_where_it_comes_from(self, subject: Subject, tmp_path: Path) -> None:
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

    def test_opening_finds_what_is_prepared_and_prepares_nothing(self, subject: Subject, tmp_path: Path) -> None:
        opened = subject.objective.opened(subject.dataset, subject.directory, subject.directory / "cache")
        assert opened is not None
        assert (opened.sha256, opened.summary) == (subject.data.sha256, subject.data.summary)
        assert opened.directory == subject.data.directory
        assert list(opened.directory.iterdir())
        assert subject.objective.opened(subject.dataset, subject.directory, tmp_path / "cache") is None
        assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()]


@pytest.mark.parametrize("name", NAMES)
def test_no_objective_imports_another(name: str) -> None:
    """What two of them share is in a module of its own, whose name begins with an underscore."""
    tree = ast.parse((Path(objectives.__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & {f"objectives.{other}" for other in NAMES}


BARE = """
class Training:
    def __init__(self, params):
        self.rate, self.n = params["rate"], 0

    def epoch(self):
        self.n += 1
        return {"loss": self.rate / self.n}

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]


class Bare:
    metrics = {"loss": "minimize"}
    datasets = {"none": "It needs none."}
    space = {"rate": {"low": 0.0, "high": 1.0, "default": 0.5}}

    def prepare(self, dataset, data, cache, progress):
        return None

    def start(self, params, data, *, seed, device):
        return Training(params)
"""


class TestBare(ObjectiveSuite):
    """A user's own without anything optional: no example, no predictor, no test rows, no hash."""

    objective = "bare_objective:Bare"
    depends_on_seed = False

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _module(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        directory = tmp_path_factory.mktemp("bare")
        (directory / "bare_objective.py").write_text(BARE)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(directory)
            importlib.import_module("bare_objective")
