"""What a person asks of a study from outside its workers: stop, go on, queue, retry, more trials.

The commands of these names and the dashboard's buttons both do it here. Nothing here starts a worker.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studies import names
from studies.errors import WrongInput, WrongSpec
from studies.names import CONTINUES, FIXED_PARAMS, INHERITED, QUEUED, UNLIMITED, State, StopReason
from studies.search.knowledge import queued
from studies.spec.domain import Choice, Range
from studies.spec.space import Parameter, Space
from studies.spec.values import SpaceError
from studies.spec.yaml import read_value
from studies.storage.ledger import Worker
from studies.study import get, is_done, lock_of, n_in_the_end, open_for_workers, space_asked, space_of, spec_of, typed
from studies.words import all_its, numbered, plural, shown

if TYPE_CHECKING:
    import optuna

    from studies.storage import Storage

MAX_TRIALS = 1_000_000


def stop(storage: Storage, name: str) -> str:
    """Ask every worker to leave after its epoch; return what happens now. Raises StudyNotStarted."""
    study = get(storage, name)
    study_id = study._study_id
    budget = storage.ledger.budget(study_id)
    if not budget.running and 0 < budget.n_trials <= budget.done:
        return f"{study.study_name} has {all_its(budget.n_trials, 'trial')}: there is nothing to stop."
    storage.ledger.request_stop(study_id, StopReason.PERSON)
    n_alive = len(_alive(storage, study_id))
    leaving = f"{plural(n_alive, 'worker')} will stop after the current epoch" if n_alive else "no worker is running it"
    command = names.command(typed(storage, study.study_name))
    return f"{study.study_name}: {leaving}; `studies {command}` goes on from there."


def resume(storage: Storage, name: str, n_trials: int | None = None) -> str:
    """Forget a stop and forgive the failures so far, as a launch does, and set how many trials there are in the end.

    n_trials: None leaves it. Returns what happens now. Raises StudyNotStarted, IsConfirmation, WrongInput.
    """
    study = _searched(storage, name, "launch")
    with storage.ledger.alone(lock_of(study.study_name)):
        spec = spec_of(study)
        if n_trials is not None and not 1 <= n_trials <= MAX_TRIALS:
            raise WrongInput(
                reason=f"The number of trials is {n_trials}; expected 1 to {MAX_TRIALS:,}, such as --trials 60."
            )
        spec = spec.model_copy(update={"n_trials": n_trials or spec.n_trials})
        n = open_for_workers(storage, study, spec)
    n_alive = len(_alive(storage, study._study_id))
    here = typed(storage, study.study_name)
    budget_now = storage.ledger.budget(study._study_id)
    if is_done(study, spec, budget_now):
        more = f"`studies resume {here} --trials {2 * max(n, budget_now.done)}` makes room for more"
        return f"{study.study_name} has {all_its(n, 'trial')}: {more}."
    working = (
        f"{plural(n_alive, 'worker')} {'goes' if n_alive == 1 else 'go'} on"
        if n_alive
        else f"`studies worker {here}` runs one, anywhere"
    )
    budget = plural(n, "trial") if n != UNLIMITED else f"{spec.limits.hours:g} hours"
    return f"{study.study_name} is open for {budget}: {working}."


def queue(storage: Storage, name: str, given: Mapping[str, Any]) -> int:
    """Queue a trial with these parameters, the others at their defaults, and return its number.

    It runs next, and counts as one of n_trials. Raises StudyNotStarted, IsConfirmation, and WrongInput for what is not
    `settable` or where nothing is left to run.
    """
    study = _searched(storage, name, "queue")
    declared, space = space_of(study), settable(study)
    try:
        completed = space.together(given) if space.parameters else given
    except SpaceError as error:
        where = f"; `studies show {name}` shows the space" if declared.parameters else ""
        raise WrongInput(reason=f"No trial was queued: {error}{where}.") from None
    settings = queued(declared, completed if declared.parameters else given)
    if not settings:
        raise WrongInput(
            reason=f"No trial was queued: no parameter is given; expected some, as in `studies queue {name} KEY=VALUE`."
        )
    _check_room(storage, study, name)
    return _queued(storage, study, settings, {})


def settable(study: optuna.Study) -> Space:
    """Return what a person may set: the study's space; of a plain function, which declares none, what trials asked for.

    It is empty before a function's first trial has begun.
    """
    declared = space_of(study)
    return declared if declared.parameters else space_asked(study.get_trials(deepcopy=False))


def retry(storage: Storage, name: str, number: int) -> int:
    """Queue a trial with the parameters and the seed of a failed one, and return its number.

    What has ended stays as it is, so both count. Raises StudyNotStarted and WrongInput.
    """
    study = get(storage, name)
    trials = study.get_trials(deepcopy=False)
    trial = trials[number] if 0 <= number < len(trials) else None
    if trial is None or trial.state.name.lower() != State.FAIL:
        what = f"the study has {numbered(len(trials))}" if trial is None else f"it is {trial.state.name.lower()}"
        raise WrongInput(
            reason=f"Trial {number} of study {name!r} cannot be tried again: {what}; expected a failed one, which "
            f"`studies export {name} --format csv` lists."
        )
    after = next((other.number for other in trials if other.user_attrs.get(CONTINUES) == number), None)
    if after is not None:
        raise WrongInput(reason=f"Trial {number} of study {name!r} goes on already, as trial {after}.")
    settings = trial.params or trial.system_attrs.get(FIXED_PARAMS, {})
    _check_room(storage, study, name)
    kept = {key: trial.user_attrs[key] for key in INHERITED if key in trial.user_attrs}
    return _queued(storage, study, settings, kept)


def value_of(text: str, name: str) -> Any:
    """Return a parameter's value as in a study file: `0.001`, `adam`, `[128, 64]`. Raises WrongSpec."""
    return read_value(text, f"{name}={text}")


def text_of(value: Any) -> str:
    """Return what a person writes for a value, which `value_of` reads back: text is in quotes only where it must be."""
    try:
        return value if isinstance(value, str) and value_of(value, "") == value else shown(value)
    except WrongSpec:
        return shown(value)


def written(parameter: Parameter) -> str:
    """Return what a person may give for a parameter, in words."""
    domain = parameter.domain
    when = f"; only when {parameter.condition}" if parameter.when else ""
    if isinstance(domain, Range):
        return f"{domain.low:.15g} to {domain.high:.15g}{', whole' if domain.whole else ''}{when}"
    return (", ".join(map(text_of, domain.choices)) if isinstance(domain, Choice) else str(domain)) + when


def _searched(storage: Storage, name: str, command: str) -> optuna.Study:
    study = get(storage, name)
    names.refuse_confirmation(name, study.study_name, command)
    return study


def _alive(storage: Storage, study_id: int) -> list[Worker]:
    return [worker for worker in storage.ledger.workers(study_id) if worker.alive]


def _check_room(storage: Storage, study: optuna.Study, name: str) -> None:
    budget = storage.ledger.budget(study._study_id)
    if budget.hours is not None and budget.hours_used >= budget.hours:
        raise WrongInput(
            reason=f"Study {name!r} has used its {budget.hours:g} h; "
            f"`studies launch {name} --set limits.hours={budget.hours + 1:g}` gives it one more."
        )
    n_taken = budget.counted + budget.waiting
    if (spec_of(study).n_trials or UNLIMITED) <= n_taken:
        n_unfinished = n_taken - budget.done
        which = f", {n_unfinished} of which {'runs or waits' if n_unfinished == 1 else 'run or wait'}"
        raise WrongInput(
            reason=f"Study {name!r} has {all_its(n_taken, 'trial')}{which if n_unfinished else ''}; "
            f"`studies resume {name} --trials {n_taken + 1}` makes room for one more."
        )


def _queued(storage: Storage, study: optuna.Study, settings: Mapping[str, Any], attributes: Mapping[str, Any]) -> int:
    """Queue a trial and return its number. A setting may be queued that was tried: it is asked for."""
    mark = uuid.uuid4().hex  # somebody else may queue one at the same time
    study.enqueue_trial(dict(settings), user_attrs={**attributes, QUEUED: mark}, skip_if_exists=False)
    storage.ledger.set_n_trials(study._study_id, n_in_the_end(study))
    return next(trial.number for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(QUEUED) == mark)
