"""A study in the storage: creating it from a spec, and reading back the spec it was created from."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from studies.errors import SpecChanged, StudyNotStarted
from studies.names import CONTINUES, DATA, DECLARED, RETRIED, RETRIES, SPEC, UID
from studies.sampling import make_pruner, make_sampler
from studies.space import Fixed, Space, encoded
from studies.spec import StudySpec
from studies.storage import Storage

optuna.logging.set_verbosity(optuna.logging.WARNING)  # what it would say, the view and the logs do


def create_or_join(storage: Storage, spec: StudySpec, declared: Mapping[str, Any], data: Mapping[str, Any]) -> int:
    """Create the study, or join the one of this name when it means the same; return its id in the storage.

    declared: the objective's space. data: name, sha256 and summary of the prepared data set.
    Whoever comes first also queues `start_with`. Raises SpecChanged.
    """
    with storage.ledger.alone(f"study {spec.name}"):
        study = optuna.create_study(
            storage=storage.optuna, study_name=spec.name, direction=spec.direction, load_if_exists=True
        )
        if UID not in study.user_attrs:
            study.set_user_attr(UID, uuid.uuid4().hex[:12])
        stored = study.user_attrs.get(SPEC)
        if stored is not None:
            _refuse_another(StudySpec.model_validate(stored), spec, study.user_attrs.get(DATA, {}), data)
        else:
            # The spec comes last: a study that has one is whole.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([spec.metric])
            study.set_user_attr(DECLARED, declared)
            study.set_user_attr(DATA, data)
            _queue_start_with(study, spec, spec.resolve(declared))
        study.set_user_attr(SPEC, spec.model_dump())
        storage.ledger.open_study(study._study_id, spec.n_trials)
    return study._study_id


def find(storage: Storage, name: str) -> optuna.Study | None:
    """Return the study of this name as Optuna has it, or None."""
    try:
        return optuna.load_study(study_name=name, storage=storage.optuna)
    except KeyError:
        return None


def get(storage: Storage, name: str) -> optuna.Study:
    """Return the study of this name; StudyNotStarted when the storage has none, or one that is not ours."""
    study = find(storage, name)
    if study is None or SPEC not in study.user_attrs:
        raise StudyNotStarted(name=name)
    return study


def spec_of(study: optuna.Study) -> StudySpec:
    """Return the spec that a study was last launched with."""
    return StudySpec.model_validate(study.user_attrs[SPEC])


def space_of(study: optuna.Study) -> Space:
    """Return the space that a study searches."""
    return spec_of(study).resolve(study.user_attrs[DECLARED])


def open_for_trials(storage: Storage, name: str) -> optuna.Study:
    """Return the study with its own sampler and pruner, ready to ask."""
    study = get(storage, name)
    spec = spec_of(study)
    study.sampler = make_sampler(spec, space_of(study))
    study.pruner = make_pruner(spec.pruner, spec.max_epochs)
    return study


def continue_trial(storage: Storage, study: optuna.Study, trial_id: int, reason: str, max_retries: int) -> bool:
    """Fail a running trial and queue its continuation with the same parameters and seed.

    One that was retried max_retries times is not queued again. Returns False when the trial was not running any more.
    """
    trial = study._storage.get_trial(trial_id)
    retries = trial.user_attrs.get(RETRIES, 0) + (reason in RETRIED)
    kept = {CONTINUES: trial.number, RETRIES: retries}
    # One that was lost before it had parameters has nothing to go on with: its continuation draws all of its own.
    carried = ("seed", "start_with") if trial.params else ("start_with",)
    kept |= {key: trial.user_attrs[key] for key in carried if key in trial.user_attrs}
    return storage.ledger.end_and_continue(
        study._study_id,
        trial_id,
        reason,
        params=trial.params or trial.system_attrs.get("fixed_params", {}),
        attributes=kept,
        again=retries <= max_retries,
    )


def _queue_start_with(study: optuna.Study, spec: StudySpec, space: Space) -> None:
    free = {name for name, parameter in space.parameters.items() if not isinstance(parameter.domain, Fixed)}
    # A launch that was killed in the middle of this has queued some already.
    queued = {trial.user_attrs.get("start_with") for trial in study.get_trials(deepcopy=False)}
    for index, given in enumerate(spec.start_with):
        if index in queued:
            continue
        values = space.completed(given, "start_with", index)
        params = {name: encoded(value) for name, value in values.items() if name in free}
        study.enqueue_trial(params, user_attrs={"start_with": index}, skip_if_exists=False)


def _refuse_another(stored: StudySpec, given: StudySpec, old_data: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    before, now = stored.identity(), given.identity()
    before["data"], now["data"] = old_data.get("sha256"), data.get("sha256")
    changed = [key for key in now if json.dumps(before[key], sort_keys=True) != json.dumps(now[key], sort_keys=True)]
    if changed:
        difference = "; ".join(
            f"{key}: stored {json.dumps(before[key])}, given {json.dumps(now[key])}" for key in changed
        )
        raise SpecChanged(name=given.name, what=" and ".join(changed), difference=difference)
