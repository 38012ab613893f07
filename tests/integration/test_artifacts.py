"""Artifact stores behave alike in a directory and in a bucket of a real S3 server."""

from __future__ import annotations

import io
import os
import socket
import time
from pathlib import Path

import optuna
import pytest
import torch
from optuna.artifacts import download_artifact, get_all_artifact_meta, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound

from studies.artifacts import DirectoryStore, Store, artifact_store, attach, check, open_store
from studies.errors import ArtifactsNotUsable
from studies.run.checkpoint import Checkpoint, Checkpoints
from studies.settings import Settings


def settings_for(artifacts: str | None, tmp_path: Path) -> Settings:
    return Settings(None, tmp_path / "home", tmp_path / "data", artifacts=artifacts)


@pytest.fixture(params=["home", "directory", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "s3":
        return settings_for(f"s3://{request.getfixturevalue('bucket')}/team/a", tmp_path)
    return settings_for(str(tmp_path / "shared") if request.param == "directory" else None, tmp_path)


def test_what_is_written_is_read_listed_and_removed(settings: Settings) -> None:
    check(settings)
    store, other = open_store(settings, "checkpoints", "mine"), open_store(settings, "checkpoints", "another")
    assert store.sizes() == {}
    store.write("3.safetensors", io.BytesIO(b"one"))
    store.write("3.safetensors", io.BytesIO(b"three"))
    other.write("4.safetensors", io.BytesIO(b""))
    with store.open_reader("3.safetensors") as file:
        assert file.read() == b"three"
    assert store.sizes() == {"3.safetensors": 5}
    assert open_store(settings, "checkpoints").sizes() == {"mine/3.safetensors": 5, "another/4.safetensors": 0}
    store.remove("3.safetensors")
    store.remove("3.safetensors")
    assert store.sizes() == {}
    with pytest.raises(ArtifactNotFound):
        store.open_reader("3.safetensors")


def test_a_checkpoint_comes_back_to_another_machine_or_not_at_all(settings: Settings) -> None:
    said: list[str] = []
    store = open_store(settings, "checkpoints", "mine")
    weights = torch.randn(300, 1000)
    Checkpoints(store, said.append).save(7, Checkpoint({"weights": weights}, [{"loss": 0.5}]))
    elsewhere = Checkpoints(open_store(settings, "checkpoints", "mine"), said.append)
    back = elsewhere.load(7)
    assert back is not None
    assert torch.equal(back.state["weights"], weights)
    assert elsewhere.numbers() == {7}
    assert elsewhere.load(8) is None
    assert said == []
    with store.open_reader("7.safetensors") as file:
        content = file.read()
    store.write("7.safetensors", io.BytesIO(content[:-1]))
    assert elsewhere.load(7) is None
    assert said == ["the checkpoint of trial 7 cannot be used: it is not whole"]
    elsewhere.delete(7)
    assert elsewhere.numbers() == set()


def test_optuna_reads_what_is_attached(settings: Settings, tmp_path: Path) -> None:
    study = optuna.create_study()
    trial, store = study.ask(), artifact_store(settings)
    attached = attach(store, trial, "traceback.txt", b"Traceback: it broke")
    (tmp_path / "figure.png").write_bytes(b"a figure")
    uploaded = upload_artifact(artifact_store=store, file_path=str(tmp_path / "figure.png"), study_or_trial=trial)
    study.tell(trial, 1.0)
    found = get_all_artifact_meta(study.trials[0], storage=study._storage)
    assert [(meta.artifact_id, meta.filename, meta.mimetype) for meta in found] == [
        (attached, "traceback.txt", "text/plain"),
        (uploaded, "figure.png", "image/png"),
    ]
    for meta, content in zip(found, (b"Traceback: it broke", b"a figure"), strict=True):
        path = tmp_path / "downloaded"
        download_artifact(artifact_store=store, artifact_id=meta.artifact_id, file_path=str(path))
        assert path.read_bytes() == content
        path.unlink()


def test_a_writer_killed_in_the_middle_leaves_the_old_one(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.write("7", io.BytesIO(b"old"))
    child = os.fork()
    if child == 0:
        os.replace = os.rename = lambda *_: os.kill(os.getpid(), 9)  # type: ignore[assignment]
        Path.replace = lambda *_: os.kill(os.getpid(), 9)  # type: ignore[assignment,method-assign,return-value]
        store.write("7", io.BytesIO(b"newer"))
    assert os.waitpid(child, 0)[1] == 9
    with store.open_reader("7") as file:
        assert file.read() == b"old"
    assert store.sizes() == {"7": len(b"old") + len(b"newer")}  # the disk that is really used
    store.remove("7")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/outside"])
def test_no_name_leads_out_of_a_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the store"):
        DirectoryStore(tmp_path / "inside").write(name, io.BytesIO(b""))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("gs://bucket/prefix", "neither a directory nor a bucket"),
        ("s3://", "neither a directory nor a bucket"),
        ("s3://KEY:t0p-secret@bucket/prefix", "neither a directory nor a bucket"),
        ("s3://no-such-bucket-of-ours", "does not exist"),
        ("/dev/null/below", "not a directory"),
    ],
)
def test_a_store_that_cannot_work_is_refused_before_anything_runs(
    given: str, reason: str, tmp_path: Path, bucket: str
) -> None:
    with pytest.raises(ArtifactsNotUsable, match=reason) as refused:
        check(settings_for(given, tmp_path))
    assert "t0p-secret" not in str(refused.value)


def test_a_bucket_that_went_away_costs_the_checkpoint_and_not_the_trial(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{closed.getsockname()[1]}")
        said: list[str] = []
        checkpoints = Checkpoints(open_store(settings_for(f"s3://{bucket}", tmp_path), "checkpoints"), said.append)
        started = time.monotonic()
        checkpoints.save(1, Checkpoint({}, []))
        assert checkpoints.load(1) is None
        assert checkpoints.numbers() == set()
        checkpoints.delete(1)
        assert time.monotonic() - started < 60
    assert [line.split(":")[0] for line in said] == [
        "trial 1 goes on without a checkpoint",
        "the checkpoint of trial 1 cannot be used",
        "the checkpoints cannot be listed",
        "the checkpoint of trial 1 cannot be removed",
    ]
    assert "t0p-secret" not in "".join(said)


def test_two_stores_know_nothing_of_each_other(tmp_path: Path, bucket: str) -> None:
    stores: list[Store] = [open_store(settings_for(f"s3://{bucket}/{prefix}", tmp_path)) for prefix in ("a", "ab", "")]
    stores[0].write("x", io.BytesIO(b"1"))
    assert [store.sizes() for store in stores] == [{"x": 1}, {}, {"a/x": 1}]
