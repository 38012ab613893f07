"""A study in a real MLflow tracking store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from studies.errors import MlflowFailed, WrongInput
from studies.exporters.mlflow import FRONT, PARENT, TRIAL, log_study
from studies.names import REPEATS
from studies.record.study import StudyRecord

from ..reports import HOSTILE, make_report, make_study, make_trial

METRICS = {"balanced_accuracy": "maximize", "size": "minimize"}
Runs = dict[str | None, Any]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/store.db"


@pytest.fixture
def runs(uri: str) -> Callable[[StudyRecord], Runs]:
    """Return what the store has of a study, by the number of the trial as text."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)

    def read(report: StudyRecord) -> Runs:
        experiment = client.get_experiment_by_name(report.spec.name)
        found = client.search_runs([experiment.experiment_id], max_results=1000)
        by_number = {run.data.tags.get(TRIAL): run for run in found}
        assert len(by_number) == len(found), "a trial was logged twice"
        return by_number

    return read


def test_every_trial_is_a_run_below_that_of_the_study(uri: str, runs: Callable[[StudyRecord], Runs]) -> None:
    from mlflow import MlflowClient

    report = make_study(12)
    n_ended = len([trial for trial in report.trials if trial.state in ("complete", "pruned", "fail")])
    assert log_study(report, uri) == n_ended
    logged = runs(report)
    assert len(logged) == n_ended + 1
    parent = logged[None]
    assert report.best is not None
    assert parent.data.tags["best.trial"] == str(report.best.number)
    assert parent.data.metrics["balanced_accuracy"] == report.best.value
    client = MlflowClient(tracking_uri=uri)
    for trial in report.trials:
        run = logged[str(trial.number)]
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.info.status == {"complete": "FINISHED", "pruned": "KILLED", "fail": "FAILED"}[trial.state]
        assert float(run.data.params["learning_rate"]) == trial.params["learning_rate"]
        curve = client.get_metric_history(run.info.run_id, "balanced_accuracy")
        assert {point.step: point.value for point in curve} == trial.curve


def test_logged_again_a_study_adds_what_is_new_and_what_was_cut_off(
    uri: str, runs: Callable[[StudyRecord], Runs], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    whole = [make_trial(number, [0.5, 0.6 + number / 100]) for number in range(3)]
    log_study(make_report(whole[:1], name="grows"), uri)
    ends = MlflowClient.set_terminated

    def cut_off(self: Any, run_id: str, status: str, **given: Any) -> None:
        raise ConnectionError("the server went away")

    monkeypatch.setattr(MlflowClient, "set_terminated", cut_off)
    with pytest.raises(MlflowFailed, match="went away"):
        log_study(make_report(whole[:2], name="grows"), uri)
    monkeypatch.setattr(MlflowClient, "set_terminated", ends)
    report = make_report(whole, name="grows")
    assert log_study(report, uri) == 2
    assert log_study(report, uri) == 0
    assert {number for number in runs(report) if number} == {"0", "1", "2"}
    history = MlflowClient(tracking_uri=uri).get_metric_history(runs(report)["1"].info.run_id, "balanced_accuracy")
    assert sorted((point.step, point.value) for point in history) == [(1, 0.5), (2, 0.61)]


def test_hostile_names_and_values_are_logged(uri: str, runs: Callable[[StudyRecord], Runs]) -> None:
    trial = make_trial(
        0, [0.5, float("nan")], params={HOSTILE: HOSTILE, "long": ["x" * 9000]}, state="fail", reason="nan"
    )
    report = make_report([trial, make_trial(1, [], state="running")], name="hostile")
    log_study(report, uri)
    run = runs(report)["0"]
    assert HOSTILE in run.data.params.values()
    assert run.data.tags["studies.reason"] == "nan"
    assert "1" not in runs(report)


def test_a_study_without_a_trial_is_logged(uri: str, runs: Callable[[StudyRecord], Runs]) -> None:
    report = make_report([], name="empty")
    assert log_study(report, uri) == 0
    assert set(runs(report)) == {None}


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(WrongInput, match="MLFLOW_TRACKING_PASSWORD") as refused:
        log_study(make_report([]), "https://me:s3cret@mlflow.example.org")
    assert "s3cret" not in str(refused.value)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(WrongInput, match=r"pip install 'studies\[mlflow\]'"):
        log_study(make_report([]), "sqlite:///nowhere.db")


def test_a_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(MlflowFailed, match=r"made-up.*127\.0\.0\.1:1.*type the same again"):
        log_study(make_report([]), "http://127.0.0.1:1")


def test_a_trial_that_has_left_the_front_is_no_longer_marked(uri: str, runs: Callable[[StudyRecord], Runs]) -> None:
    trials = [make_trial(0, [0.8], others=(300.0,)), make_trial(1, [0.7], others=(100.0,))]
    given: dict[str, Any] = {"name": "two", "metrics": METRICS}
    log_study(make_report(trials, **given), uri)
    log_study(make_report([*trials, make_trial(2, [0.9], others=(200.0,))], **given), uri)
    logged = runs(make_report([], **given))
    assert [number for number in "012" if FRONT in logged[number].data.tags] == ["1", "2"]
    assert logged[None].data.tags[FRONT] == "[2, 1]"


def test_the_best_of_repeats_is_their_mean(uri: str, runs: Callable[[StudyRecord], Runs]) -> None:
    trials = [make_trial(0, [0.8]), make_trial(1, [0.9]), make_trial(2, [0.6], attributes={REPEATS: 0})]
    report = make_report(trials, name="again", repeats=2)
    log_study(report, uri)
    parent = runs(report)[None]
    assert parent.data.metrics["balanced_accuracy"] == pytest.approx(0.7)
    assert {key: parent.data.tags[f"best.{key}"] for key in ("trial", "n_repeats", "value_of_trial")} == {
        "trial": "0",
        "n_repeats": "2",
        "value_of_trial": "0.8",
    }
