"""The examples in the docstrings of the public types run, and print what they say."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pytest

import objectives
from studies import notebook
from studies.run import launch
from studies.settings import Settings
from studies.storage import postgres
from studies.storage.embedded import EmbeddedServer

EXAMPLES = {
    "load": (notebook.load, notebook),
    "Study": (notebook.Study, notebook),
    "Objective": (objectives, objectives),
    "PostgresStorage": (postgres.PostgresStorage, postgres),
    "launch": (launch.launch, launch),
}


@pytest.fixture
def home(reachable_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = reachable_directory / "docstrings"
    monkeypatch.setenv("STUDIES_HOME", str(path))
    monkeypatch.delenv("STUDIES_STORAGE", raising=False)
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(name: str, home: Path, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    described, module = EXAMPLES[name]
    known: dict[str, Any] = {**vars(module), "url": database_url}
    parsed = doctest.DocTestParser().get_doctest(described.__doc__ or "", known, name, None, None)
    assert parsed.examples
    with EmbeddedServer(Settings.from_environment()):  # one server for what the example starts in turn
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(parsed)
    assert result.failed == 0, capsys.readouterr().out
