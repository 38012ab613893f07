"""Exported files load back in pandas with what the report has."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from studies.errors import NothingToExport, WrongInput
from studies.exporters import export
from studies.files import write_file
from studies.record.study import StudyRecord, TrialRecord
from studies.registry import EXPORTERS
from studies.words import clean

from ..reports import HOSTILE, make_report, make_study, make_trial

REPORT = make_study(40)


def loaded(report: StudyRecord, kind: str) -> pd.DataFrame:
    content = export(report, kind)
    if isinstance(content, bytes):
        return pd.read_parquet(io.BytesIO(content))
    return pd.read_csv(io.StringIO(content))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_has_every_trial_with_its_exact_values(kind: str) -> None:
    frame = loaded(REPORT, kind)
    assert list(frame["number"]) == [trial.number for trial in REPORT.trials]
    for trial, (_, row) in zip(REPORT.trials, frame.iterrows(), strict=True):
        assert row["state"] == trial.state
        assert row["params_learning_rate"] == trial.params["learning_rate"]
        assert json.loads(row["params_hidden_layers"]) == trial.params["hidden_layers"]
        assert pd.isna(row["params_momentum"]) == ("momentum" not in trial.params)
        assert row["value"] == trial.value if trial.value is not None else pd.isna(row["value"])
        assert row["metrics_train_loss"] == trial.metrics["train_loss"]
    assert pd.api.types.is_integer_dtype(frame["params_batch_size"])


def test_parquet_has_every_curve() -> None:
    frame = loaded(REPORT, "parquet").explode("curve")
    points = pd.json_normalize(list(frame["curve"]))
    expected = [(epoch, value) for trial in REPORT.trials for epoch, value in trial.curve.items()]
    assert list(zip(points["epoch"], points["balanced_accuracy"], strict=True)) == expected
    assert {"train_loss", "examples_per_s"} <= set(points)


def test_json_has_the_whole_study() -> None:
    study = json.loads(export(REPORT, "json"))
    assert REPORT.best is not None
    assert (study["study"], study["best"]) == ("made-up", REPORT.best.number)
    assert [trial["params"] for trial in study["trials"]] == [trial.params for trial in REPORT.trials]
    frame = pd.json_normalize(study["trials"], "curve", ["number"])
    assert len(frame) == sum(len(trial.curve) for trial in REPORT.trials)


def test_json_has_no_nan() -> None:
    trial = make_trial(0, [0.5], attributes={"history": [{"balanced_accuracy": 0.5, "validation_loss": float("inf")}]})
    point = json.loads(export(make_report([trial]), "json"))["trials"][0]["curve"][0]
    assert point == {"epoch": 1, "balanced_accuracy": 0.5, "validation_loss": None}


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
@pytest.mark.parametrize("trials", [[], [make_trial(0, [], state="fail", reason="lost")]])
def test_nothing_completed_is_still_a_table(kind: str, trials: list[TrialRecord]) -> None:
    content = export(make_report(trials), kind)
    assert content
    if kind != "json":
        assert len(loaded(make_report(trials), kind)) == len(trials)


def test_yaml_wants_a_completed_trial() -> None:
    with pytest.raises(NothingToExport):
        export(make_report([]), "yaml")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_values_of_several_kinds_and_hostile_ones(kind: str) -> None:
    values = ["none", [60, 300], 3, None, True, HOSTILE, 'a,"b"\nc']
    trials = [make_trial(n, [0.5], params={"spans": value}) for n, value in enumerate(values)]
    column = list(loaded(make_report(trials), kind)["params_spans"])
    assert column[1:3] == ["[60, 300]", "3"]
    assert column[4:] == ["true", clean(HOSTILE), 'a,"b"\nc']


@pytest.mark.parametrize("kind", EXPORTERS)
def test_files_are_whole_or_not_there(kind: str, tmp_path: Path) -> None:
    content = export(REPORT, kind)
    file = tmp_path / f"trials.{kind}"
    write_file(file, content)
    assert file.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(WrongInput, match="Cannot write"):
        write_file(tmp_path / "missing" / "trials", content)


def test_a_pipe_or_a_device_takes_a_file_and_stays(tmp_path: Path) -> None:
    """As root, a file would replace /dev/null for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        write_file(pipe, "best")
        assert os.read(reader, 10) == b"best"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
    with pytest.raises(WrongInput, match=r"Cannot write /dev/full \(No space left on device\)"):
        write_file(Path("/dev/full"), "best")


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(Path("there", "best.yaml"))
    for content in ("old", "new"):
        write_file(link, content)
    assert link.is_symlink()
    assert (tmp_path / "there" / "best.yaml").read_text() == "new"


def test_a_directory_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongInput, match=r"Cannot write \. \(Is a directory\)"):
        write_file(Path(), "best")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_curves_have_every_epoch_with_its_exact_values(kind: str) -> None:
    content = export(REPORT, kind, curves=True)
    frame = pd.read_parquet(io.BytesIO(content)) if isinstance(content, bytes) else pd.read_csv(io.StringIO(content))
    expected = [(t.number, t.state, epoch, value) for t in REPORT.trials for epoch, value in t.curve.items()]
    found = zip(frame["number"], frame["state"], frame["epoch"], frame["balanced_accuracy"], strict=True)
    assert list(found) == expected
    losses = [metrics["train_loss"] for trial in REPORT.trials for metrics in trial.history]
    assert list(frame["train_loss"]) == losses
    joined = frame.merge(loaded(REPORT, kind), on="number")
    assert len(joined) == len(frame)
    empty = export(make_report([]), kind, curves=True)
    assert b"epoch" in (empty if isinstance(empty, bytes) else empty.encode())
