"""Verdicts in the storage, and a study's figures in optuna-dashboard."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import optuna
import optuna_dashboard
import pandas as pd
import pytest
from optuna.artifacts import download_artifact, get_all_artifact_meta
from optuna.trial import TrialState

import studies
from studies.artifacts import DirectoryStore, attach
from studies.names import VERDICT, VERDICT_ADVICE, VERDICT_EVIDENCE
from studies.record.diagnose import diagnose
from studies.record.reading import read
from studies.record.verdicts import VerdictKind, counts, kind_of
from studies.report.sections import document
from studies.settings import Settings
from studies.spec.description import Description
from studies.storage import Storage
from studies.study import create_or_join, get, open_for_workers
from studies.web.dashboard import application
from studies.web.gallery import GALLERY, keep_up_to_date, publish
from studies.words import exact, number

from ..conftest import rows_of
from ..reports import DECLARED, make_study
from ..waiting import wait_for

DATA = {"name": "none", "sha256": "0" * 64, "summary": {"classes": 10}}


def fill(storage: Storage, n: int) -> int:
    """Put a made-up study into the storage; return its id."""
    made = make_study(n)
    with create_or_join(storage, made.spec, Description(DECLARED, DATA, made.space)) as (study, _):
        open_for_workers(storage, study, made.spec.model_copy(update={"n_trials": n}))
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "fail": "FAIL"}
    for trial in made.trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[states[trial.state]],
                value=trial.value,
                params={"x": 0.5},
                distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                user_attrs=trial.attributes,
                intermediate_values=trial.curve,
            )
        )
    return study._study_id


def rows(storage: Storage) -> list[tuple[Any, ...]]:
    return rows_of(
        storage.url,
        """SELECT t.number, a.key, a.value_json, a.xmin::text
             FROM trial_user_attributes a JOIN trials t USING (trial_id)
            WHERE a.key LIKE 'verdict%' ORDER BY 1, 2""",
    )


def test_every_verdict_is_kept_and_written_once(storage: Storage) -> None:
    study_id = fill(storage, 30)
    report = read(storage, "made-up")
    expected = diagnose(report)
    kept = rows(storage)
    assert len(kept) == 3 * len(report.trials)
    assert {number: json.loads(value) for number, key, value, _ in kept if key == "verdict"} == {
        number: verdict.word for number, verdict in expected.items()
    }
    assert read(storage, "made-up").trials[0].verdict == expected[0]
    assert rows(storage) == kept  # by the same transactions: nothing was written again
    seen = counts(storage.ledger, study_id)
    assert sum(seen.values()) == len(report.trials)
    assert list(seen.values()) == sorted(seen.values(), reverse=True)


def test_the_notebook_and_the_command_line_tell_the_same_verdicts(storage: Storage, tmp_path: Path) -> None:
    fill(storage, 40)  # with no verdict yet: whoever reads first gives them
    trials = studies.load("made-up", storage=storage.url).trials
    words = ["export", "made-up", "--format", "csv", "--storage", storage.url]
    done = subprocess.run([sys.executable, "-m", "studies", *words], cwd=tmp_path, capture_output=True, check=True)
    exported = pd.read_csv(io.BytesIO(done.stdout), keep_default_na=False)
    for column in (VERDICT, VERDICT_EVIDENCE, VERDICT_ADVICE):
        assert list(trials[column]) == list(exported[column])
    assert {VerdictKind.OK, VerdictKind.UNDERFITS} <= {kind_of(word) for word in trials[VERDICT]}


def test_verdicts_are_counted_by_kind(storage: Storage) -> None:
    study_id = fill(storage, 4)
    words = ["overfits after epoch 2", "overfits after epoch 11", "underfits", "a later version's"]
    storage.ledger.annotate(study_id, {number: {VERDICT: word} for number, word in enumerate(words)})
    found = {"overfits after epoch k": 2, "a later version's": 1, "underfits": 1}
    assert list(counts(storage.ledger, study_id).items()) == list(found.items())


def test_the_page_has_the_numbers_of_the_database(storage: Storage) -> None:
    study_id = fill(storage, 40)
    sections = {section.title: section for section in document(read(storage, "made-up")).sections}
    shown = {int(row[0]): row for row in sections["All trials"].tables[0].rows}
    plain = optuna.load_study(study_name="made-up", storage=optuna.storages.RDBStorage(storage.url))
    for trial in plain.trials:
        value = trial.value if trial.state == optuna.trial.TrialState.COMPLETE else None
        words = [number(value), exact(trial.user_attrs["epoch"]), str(len(trial.intermediate_values))]
        assert list(shown[trial.number][2:5]) == words
        assert shown[trial.number][6] == trial.user_attrs["verdict"]
    kinds = {row[0]: int(row[1]) for row in sections["Diagnoses"].tables[0].rows}
    assert kinds == counts(storage.ledger, study_id)
    best = plain.best_trial
    assert sections["Answer"].tables[0].rows[0][1] == exact(best.value)
    table = {row[0]: row for row in sections["Predictions of the best trial"].tables[0].rows}
    for name, counted in zip(
        best.user_attrs["evidence"]["classes"], best.user_attrs["evidence"]["confusion"], strict=True
    ):
        assert table[name][1] == f"{sum(counted):,}"
        assert table[name][2] == number(max(counted) / sum(counted))


def test_a_verdict_that_changes_is_written_again_and_nothing_else(storage: Storage) -> None:
    fill(storage, 12)
    read(storage, "made-up")
    before = rows(storage)
    storage.ledger.annotate(get(storage, "made-up")._study_id, {3: {"verdict": 'an "older" one'}})
    optuna_sees = optuna.load_study(study_name="made-up", storage=type(storage.optuna)(storage.url))
    assert optuna_sees.trials[3].user_attrs["verdict"] == 'an "older" one'
    with Storage(storage.url, Settings(None, Path(), Path())) as fresh:
        read(fresh, "made-up")
    after = rows(storage)
    assert [row[:3] for row in after] == [row[:3] for row in before]
    changed = [row[:2] for row, old in zip(after, before, strict=True) if row != old]
    assert changed == [(3, "verdict")]


@pytest.fixture
def dashboard(storage: Storage, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "artifacts").mkdir()
    store = DirectoryStore(tmp_path / "artifacts")
    with make_server("127.0.0.1", 0, application(storage, store)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def asked(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        return bytes(response.read())


def test_the_dashboard_has_the_figures_and_the_answer(storage: Storage, dashboard: str, tmp_path: Path) -> None:
    study_id = fill(storage, 12)
    store = DirectoryStore(tmp_path / "artifacts")
    assert publish(storage, store, study_id, "made-up", 12)
    shown = json.loads(asked(f"{dashboard}/api/studies/{study_id}"))
    n_figures = sum(len(section.figures) for section in document(read(storage, "made-up")).sections)
    assert len(shown["artifacts"]) == n_figures
    assert "## Answer" in shown["note"]["body"]
    for artifact in shown["artifacts"]:
        address = f"/artifacts/{study_id}/{artifact['artifact_id']}"
        assert f"]({address})" in shown["note"]["body"]
        assert asked(dashboard + address).startswith(b"\x89PNG")
    study = get(storage, "made-up")
    for meta in get_all_artifact_meta(study):  # and any Optuna program can fetch them
        target = tmp_path / meta.filename
        download_artifact(artifact_store=store, artifact_id=meta.artifact_id, file_path=str(target))


def test_an_artifact_deleted_in_the_dashboard_takes_its_link_with_it(
    storage: Storage, dashboard: str, tmp_path: Path
) -> None:
    study_id = fill(storage, 12)
    store = DirectoryStore(tmp_path / "artifacts")
    study = get(storage, "made-up")
    trial = study.ask()
    texts = [attach(store, trial, f"{n}.txt", b"text") for n in range(2)]
    study.tell(trial, state=TrialState.FAIL)
    assert publish(storage, store, study_id, "made-up", 13)
    figures = [meta.artifact_id for meta in get_all_artifact_meta(study)]
    asked(f"{dashboard}/api/studies/{study_id}")  # which it remembers
    for deleted in (f"{study_id}/{trial._trial_id}/{texts[0]}", f"{study_id}/{figures[0]}"):
        request = urllib.request.Request(f"{dashboard}/api/artifacts/{deleted}", method="DELETE")
        with urllib.request.urlopen(request) as response:
            assert response.status == 204
    fresh = type(storage.optuna)(storage.url)
    ended = optuna.load_study(study_name="made-up", storage=fresh).trials[trial.number]
    assert [meta.artifact_id for meta in get_all_artifact_meta(ended, storage=fresh)] == texts[1:]
    assert [meta.artifact_id for meta in get_all_artifact_meta(study)] == figures[1:]
    shown = json.loads(asked(f"{dashboard}/api/studies/{study_id}"))
    assert {artifact["artifact_id"] for artifact in shown["artifacts"]} == set(figures[1:])
    assert publish(storage, store, study_id, "made-up", 13)  # the figures belong to the page, so it comes back
    assert {meta.artifact_id for meta in get_all_artifact_meta(study)} == set(figures)


def test_publishing_again_replaces_the_figures_and_leaves_a_persons_note(storage: Storage, tmp_path: Path) -> None:
    study_id = fill(storage, 12)
    store = DirectoryStore(tmp_path)
    study = get(storage, "made-up")
    assert publish(storage, store, study_id, "made-up", 12)
    first = study.user_attrs[GALLERY]
    assert not publish(storage, store, study_id, "made-up", 12)
    study.set_user_attr(GALLERY, first | {"figures": [*first["figures"], "gone"]})
    key = "artifacts:gone"
    storage.optuna.set_study_system_attr(study_id, key, "{}")
    assert publish(storage, store, study_id, "made-up", 13)
    assert study.user_attrs[GALLERY]["figures"] == first["figures"]
    assert key not in storage.optuna.get_study_system_attrs(study_id)
    assert len(list(tmp_path.iterdir())) == len(first["figures"])
    optuna_dashboard.save_note(study, "my own words")
    assert publish(storage, store, study_id, "made-up", 14)
    assert optuna_dashboard.get_note(study) == "my own words"


def test_the_figures_come_in_the_background_and_what_fails_is_said(storage: Storage, tmp_path: Path) -> None:
    fill(storage, 3)
    said: list[str] = []
    (tmp_path / "a file").touch()
    with keep_up_to_date(storage, DirectoryStore(tmp_path / "a file"), said.append):
        wait_for(lambda: bool(said))
    assert said[0].startswith("Cannot draw the figures of made-up@1: FileExistsError")
    with keep_up_to_date(storage, DirectoryStore(tmp_path), said.append):
        wait_for(lambda: GALLERY in get(storage, "made-up").user_attrs)
    assert len(said) == 1
