"""What preparation gives, as literal values (golden_data.json): fingerprint, directory, and a digest of each file.

Fingerprints are stored in studies and directories are found again by their names, so a change here means that finished
studies no longer match their data. Raise the preparer's version when that is what you want.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from .. import data_files

GOLDEN = json.loads(Path(__file__).with_name("golden_data.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["dataset"])
def test_a_data_set_is_what_it_was(golden: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a path that was given is part of the manifest
    if "make" in golden:
        getattr(data_files, golden["make"])(tmp_path)
    objective = importlib.import_module(f"objectives.{golden['objective']}").objective
    data = objective.prepare(golden["dataset"], tmp_path / "data", tmp_path / "cache")
    assert data.sha256 == golden["sha256"]
    assert data.directory == tmp_path / "cache" / golden["directory"]
    assert digests(data.directory, golden["files"]) == golden["files"]


def test_vectors_are_kept_beside_the_titles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data_files.write_titles_with_vectors(tmp_path)
    importlib.import_module("objectives.meli_mlp").objective.prepare("./titles.csv", tmp_path, tmp_path / "cache")
    [directory] = (tmp_path / "cache").glob("vectors-*")
    assert directory.name == "vectors-5d62952b274388df848defe06e82d09b"
    expected = {"manifest.json": "aaca70c84fc57e48", "vectors.npy": ""}
    assert digests(directory, expected) == expected


def digests(directory: Path, expected: dict[str, str]) -> dict[str, str]:
    """A digest of each file's bytes, "" where none is expected: such a file depends on the processor or on numpy."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] if expected[path.name] else ""
        for path in sorted(directory.iterdir())
    }
