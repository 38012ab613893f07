"""The study in an MLflow tracking server: a parent run for the study, and a child run for each trial that has ended.

Logging a study again adds what is new and writes nothing twice. A run is found by its tags, a run that was interrupted
is completed, and a metric carries the time at which it was measured. Needs the extra `[mlflow]`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from studies.errors import MlflowFailed, WrongInput
from studies.names import State
from studies.settings import masked
from studies.words import plural

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from studies.record.study import StudyRecord, TrialRecord

STATUS = {State.COMPLETE: "FINISHED", State.PRUNED: "KILLED", State.FAIL: "FAILED"}  # MLflow's words; the tag has ours
STUDY, TRIAL, FRONT, PARENT = "studies.study", "studies.trial", "studies.front", "mlflow.parentRunId"
MOST_METRICS, MOST_PARAMS = 1000, 100  # in one request: MLflow's REST API, "Request Limits"
# An export talks only to the given server, fails within seconds when there is none, and prints no line per trial.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
LONGEST_TEXT = 5000  # MLflow takes 6,000 characters of a parameter and 8,000 of a tag


def log_study(record: StudyRecord, uri: str) -> int:
    """Log the trials that have ended and are not there yet; return how many those were.

    Raises WrongInput without the extra, or for a password in `uri`; and MlflowFailed.
    """
    if re.search(r"://[^/@]*:[^/@]*@", uri):
        raise WrongInput(
            reason=f"--mlflow {masked(uri)} holds a password, which everybody on this machine could read; "
            "leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        )
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError:
        raise WrongInput(reason="--mlflow needs MLflow's client; `pip install 'studies[mlflow]'` brings it.") from None
    try:
        return _write(MlflowClient(tracking_uri=uri), record)
    except Exception as error:  # MLflow's own, and whatever its many stores let through
        reason = " ".join(str(error).split())[:300]
        raise MlflowFailed(
            name=record.spec.name, uri=masked(uri), reason=f"{type(error).__name__}: {reason}"
        ) from error


def _write(client: MlflowClient, record: StudyRecord) -> int:
    name = record.spec.name
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    runs = {run.data.tags.get(TRIAL): run for run in _runs(client, experiment) if run.data.tags.get(STUDY) == name}
    ended = [trial for trial in record.trials if trial.state in STATUS and trial.continued_by is None]

    def run_of(number: str | None, title: str, since: datetime | None, tags: Mapping[str, str]) -> str:
        run = runs.get(number) or client.create_run(
            experiment, start_time=_ms(since), tags={STUDY: name, **tags}, run_name=title
        )
        return str(run.info.run_id)

    starts = [trial.started for trial in record.trials if trial.started]
    parent = run_of(None, name, min(starts, default=None), {"mlflow.note.content": _note(record)})
    new = [trial for trial in ended if not _is_whole(runs.get(str(trial.number)))]
    for trial in new:
        tags = {PARENT: parent, TRIAL: str(trial.number), "studies.state": trial.state}
        run = run_of(str(trial.number), f"trial {trial.number}", trial.started, tags)
        _write_trial(client, run, trial, record)
    if record.best is not None:
        _write_best(client, parent, record.best, record)
    if record.spec.has_several:
        _mark_front(client, parent, runs, record)
    client.set_terminated(parent, "FINISHED", end_time=_ms(max((t.ended for t in ended if t.ended), default=None)))
    return len(new)


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_whole(run: Run | None) -> bool:
    """Return whether a trial was logged completely: its status is written last."""
    return run is not None and run.info.status != "RUNNING"


def _write_trial(client: MlflowClient, run: str, trial: TrialRecord, record: StudyRecord) -> None:
    from mlflow.entities import Param, RunTag

    facts: dict[str, Any] = {"reason": trial.reason, "detail": trial.detail}
    facts |= {"front": True} if _is_on_front(trial, record) else {}
    facts |= {f"provenance.{key}": value for key, value in trial.provenance.items()}
    tags = [RunTag(_name(f"studies.{key}"), _text(value)) for key, value in facts.items() if value is not None]
    params = trial.params | {"seed": trial.seed}
    client.log_batch(run, tags=tags)
    for some in _cut([Param(_name(name), _text(value)) for name, value in params.items()], MOST_PARAMS):
        client.log_batch(run, params=some)
    for some in _cut(list(_metrics(trial, record)), MOST_METRICS):
        client.log_batch(run, metrics=some)
    client.set_terminated(run, STATUS[trial.state], end_time=_ms(trial.ended))


def _mark_front(client: MlflowClient, parent: str, known: Mapping[str | None, Run], record: StudyRecord) -> None:
    """Say on the study's run which trials are on the front, and no longer on those that have left it."""
    client.set_tag(parent, FRONT, json.dumps([trial.number for trial in record.front]))
    for trial in record.trials:
        run = known.get(str(trial.number))
        if run is not None and FRONT in run.data.tags and not _is_on_front(trial, record):
            client.delete_tag(run.info.run_id, FRONT)


def _is_on_front(trial: TrialRecord, record: StudyRecord) -> bool:
    return record.spec.has_several and trial in record.front


def _write_best(client: MlflowClient, parent: str, best: TrialRecord, record: StudyRecord) -> None:
    from mlflow.entities import Metric, RunTag

    facts = {"trial": best.number, "epoch": best.epoch} | {
        f"params.{name}": value for name, value in best.params.items()
    }
    at = _ms(best.ended) or 0
    named = record.named(best)
    if best.repeated is not None:  # as everywhere, the best value of repeated settings is a mean
        facts |= {"n_repeats": best.repeated.n, "value_sd": best.sd, "value_of_trial": best.value}
        named = {record.spec.metric: best.repeated.mean}
    values = [Metric(_name(name), value, at, best.number) for name, value in named.items()]
    client.log_batch(
        parent, metrics=values, tags=[RunTag(_name(f"best.{key}"), _text(value)) for key, value in facts.items()]
    )


def _metrics(trial: TrialRecord, record: StudyRecord) -> Iterator[Metric]:
    """Yield every metric of every epoch. The storage has no times of epochs: they are spread over the trial's.

    A plain function with several metrics has none but its values.
    """
    from mlflow.entities import Metric

    epochs = trial.epochs(record.spec.metric) or ({0: record.named(trial)} if trial.others else {})
    began, lasted = trial.started or datetime.fromtimestamp(0), timedelta(seconds=trial.seconds or 0)
    for index, (epoch, metrics) in enumerate(epochs.items(), start=1):
        at = _ms(began + lasted * index / len(epochs)) or 0
        yield from (Metric(_name(name), value, at, epoch) for name, value in metrics.items() if math.isfinite(value))


def _note(record: StudyRecord) -> str:
    spec, data = record.spec, record.data
    n_trials = spec.n_trials or sum(record.counts.values())
    return (
        f"{spec.description}\n\n{spec.objective} on {data['name']} ({data['sha256']}); {spec.aim}; "
        f"{plural(n_trials, 'trial')} of at most {plural(spec.max_epochs, 'epoch')}."
    )


def _cut(entities: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (entities[begin : begin + most] for begin in range(0, len(entities), most))


def _name(name: str) -> str:
    """Return the name with what MLflow refuses in one replaced."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST_TEXT]


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
