"""What is written down for ever: exported files, seeds, specs, spaces and checkpoints, byte for byte as of version 0.1.

A study that was launched before a change must go on after it, and a file that was exported must read back. If one of
these tests fails, the change breaks somebody's study: undo it, or write a migration and say so in the changelog.
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from studies.exporters import export
from studies.record.study import StudyRecord
from studies.run.encoding import decoded, encoded
from studies.search.seeded import seed_of
from studies.spec import Override, load
from studies.storage import functions

from ..reports import make_report, make_trial

GOLDEN = Path(__file__).parent.parent / "golden"


def study_of_every_fate() -> StudyRecord:
    """Return a study with a published, a pruned, a failed, a continued and an unfinished trial."""
    verdict = {"verdict": "ok", "verdict_evidence": "", "verdict_advice": ""}
    params = {"learning_rate": 0.002, "batch_size": 128, "hidden_layers": [256, 128], "optimizer": "adam"}
    noisy = {"classes": ["a", "b"], "confusion": [[9, 1], [2, 8]]}
    trials = [
        make_trial(
            0, [0.5, 0.75, 0.625], params=params, attributes={"start_with": 0, "evidence": noisy, "detail": "limit"}
        ),
        make_trial(
            1, [0.25], state="pruned", params=params | {"optimizer": "sgd", "momentum": 0.5}, attributes=verdict
        ),
        make_trial(2, [], state="fail", reason="nan", params={}, attributes={"detail": "loss is nan in epoch 1"}),
        make_trial(3, [0.5], state="fail", reason="lost", continued_by=4, params=params),
        make_trial(4, [0.5, 0.875], continues=3, params=params, attributes={"continues": 3, "peak_memory_mib": 12.5}),
        make_trial(5, [], state="running", params={}, ended=None),
    ]
    # As read, and not judged again: a verdict is what was stored.
    return replace(make_report([], sampler={"name": "tpe"}), trials=trials)


@pytest.mark.parametrize(("kind", "curves"), [("yaml", False), ("csv", False), ("csv", True), ("json", False)])
def test_exported_files(kind: str, curves: bool) -> None:
    content = export(study_of_every_fate(), kind, curves=curves)
    assert content == (GOLDEN / f"{'curves' if curves else 'study'}.{kind}").read_text(encoding="utf-8")


def test_parquet_has_the_columns_of_the_csv_and_the_curve() -> None:
    content = export(study_of_every_fate(), "parquet")
    assert isinstance(content, bytes)
    header = (GOLDEN / "study.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert list(pd.read_parquet(io.BytesIO(content))) == [*header, "curve"]


def test_seeds() -> None:
    assert [seed_of(0, 0), seed_of(7, 3), seed_of(7, "confirm 0")] == [2318824108, 2670730257, 2349864090]


def test_specs_as_the_storage_keeps_them() -> None:
    """The keys of a stored `spec`, and of studies that ship what makes two launches the same study."""
    stored = load("meli-cnn", [Override.parsed("sampler.name=tpe")]).model_dump()
    assert json.dumps(stored, indent=1) + "\n" == (GOLDEN / "spec.json").read_text(encoding="utf-8")
    kept = (GOLDEN / "identities.json").read_text(encoding="utf-8")
    assert json.dumps({name: load(name).identity() for name in json.loads(kept)}, indent=1) + "\n" == kept


TREE = (
    '{"dict": [["state", {"dict": [["model", {"dict": [["weight", {"tensor": "0"}]]}], ["optimizer", {"dict": [[0, '
    '{"dict": [["step", 3], ["moments", {"tuple": [{"tensor": "1"}, {"list": [null, true, "text"]}]}]]}]]}]]}], '
    '["history", {"list": [{"dict": [["loss", 0.5]]}]}]]}'
)


def test_checkpoints() -> None:
    state = {
        "model": {"weight": torch.arange(6, dtype=torch.float32).reshape(2, 3)},
        "optimizer": {0: {"step": 3, "moments": (torch.ones(2, dtype=torch.float64), [None, True, "text"])}},
    }
    content = encoded({"state": state, "history": [{"loss": 0.5}]})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert set(header["__metadata__"]) == {"tree", "sha256"}
    assert header["__metadata__"]["tree"] == TREE
    assert {name: (header[name]["dtype"], header[name]["shape"]) for name in ("0", "1")} == {
        "0": ("F32", [2, 3]),
        "1": ("F64", [2]),
    }
    assert decoded(content)["history"] == [{"loss": 0.5}]


def test_the_functions_in_the_database() -> None:
    """A digest of the hot path's SQL. Functions of two releases stand side by side; no change of the SQL is a slip."""
    assert functions.VERSION == "885dfb84"
