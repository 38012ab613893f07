"""The whole study as JSON: its spec, its data set, and every trial with its curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from studies.names import HISTORY
from studies.words import json_text

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord


def render(record: StudyRecord) -> str:
    """Return the study; `pandas.json_normalize(study["trials"])` has a row a trial, with "curve" one an epoch."""
    content: dict[str, Any] = {
        "study": record.spec.name,
        "spec": record.spec.model_dump(mode="json"),
        "data": record.data,
        "n_trials": record.counts,
        "best": record.best.number if record.best else None,
        "trials": [_trial(trial, record) for trial in record.trials],
    }
    if record.spec.has_several:
        content["front"] = [trial.number for trial in record.front]
    return json_text(_strict(content), indent=1) + "\n"


def _trial(trial: TrialRecord, record: StudyRecord) -> dict[str, Any]:
    found = {
        "number": trial.number,
        "state": trial.state,
        "reason": trial.reason,
        "value": trial.value,
        "epoch": trial.epoch,
        "params": trial.params,
        "seconds": trial.seconds,
        "started": trial.started.isoformat() if trial.started else None,
        "ended": trial.ended.isoformat() if trial.ended else None,
        "continues": trial.continues,
        "continued_by": trial.continued_by,
        "curve": [{"epoch": epoch, **metrics} for epoch, metrics in trial.epochs(record.spec.metric).items()],
        "attributes": {key: value for key, value in trial.attributes.items() if key != HISTORY},
    }
    found |= {"values": record.named(trial)} if record.spec.has_several else {}
    if trial.repeated is not None:
        found["repeated"] = {"mean": trial.mean, "sd": trial.sd, "n": trial.repeated.n}
    return found | ({"constraints": trial.constraints} if trial.constraints else {})


def _strict(value: Any) -> Any:
    """Return the value as JSON has it, which knows no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _strict(inner) for key, inner in value.items()}
    return [_strict(inner) for inner in value] if isinstance(value, list) else value
