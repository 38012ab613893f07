"""A study in the storage: creating it from a spec, and reading back the spec it was created from."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from studies import names
from studies.errors import CodeChanged, NoSuchVersion, NotConfirmed, NotOurs, SpecChanged, StudyNotStarted, UnknownStudy
from studies.names import (
    CODE,
    CONFIRMS,
    CONTINUES,
    DATA,
    DECLARED,
    SPEC,
    UID,
    UNLIMITED,
    WARM_START,
)
from studies.search import asked, repeats
from studies.search.allowed import all_settings, has_chosen, settings_tried, untried
from studies.search.asha import Asha
from studies.search.distributions import domain_of
from studies.search.knowledge import observations
from studies.search.pruners import make_pruner
from studies.search.race import Race
from studies.search.samplers import make_sampler
from studies.spec import StudySpec, catalog
from studies.spec.description import Description, code_changes, space_changes
from studies.spec.domain import Domain, Range
from studies.spec.file import file_called
from studies.spec.space import Parameter, Space
from studies.storage import Storage
from studies.storage.budget import Budget
from studies.words import meant, near


@dataclass(frozen=True)
class JoinedStudy:
    """A study that a launch has created or joined: its spec, under the name that it has there, and its space."""

    study: optuna.Study
    spec: StudySpec
    space: Space

    @property
    def study_id(self) -> int:
        """Its id in the storage."""
        return self.study._study_id


def new_uid() -> str:
    """Return what tells a study from every other of its name, wherever that is."""
    return uuid.uuid4().hex[:12]


def lock_of(name: str) -> str:
    """Return what a launch holds alone while it creates or joins the study of this name."""
    return f"study {name}"


@contextmanager
def create_or_join(
    storage: Storage, spec: StudySpec, described: Description, same_code: bool = False
) -> Iterator[tuple[optuna.Study, bool]]:
    """Create the study, or join the one of this name when it means the same; yield it, and whether it is new.

    Nobody else creates or joins it meanwhile. Queue what runs first, then call `open_for_workers`: until then it is
    not whole, and the next launch finds it as new as this one did.

    same_code: values mean the same although the code differs. Raises SpecChanged, CodeChanged, and NotOurs for another
    Optuna program's study of that name.
    """
    with storage.ledger.alone(lock_of(spec.name)):
        study = _created(storage, spec)
        new = SPEC not in study.user_attrs
        if new:
            _describe(study, spec, described)
        elif changes := changed(study, spec, described, same_code):
            kind = CodeChanged if list(changes) == [CODE] else SpecChanged
            raise kind(
                name=spec.name,
                what=" and ".join(changes),
                difference="; ".join(changes.values()),
                next=_next(storage, spec.name),
            )
        if described.code and study.user_attrs.get(CODE) != described.code:
            study.set_user_attr(CODE, dict(described.code))
        yield study, new


def _created(storage: Storage, spec: StudySpec) -> optuna.Study:
    """Return the study of this name, with a `uid` of its own. Raises NotOurs for another Optuna program's."""
    study = optuna.create_study(
        storage=storage.optuna,
        study_name=spec.name,
        directions=[StudyDirection[to.name] for to in spec.directions],
        load_if_exists=True,
    )
    if UID not in study.user_attrs:
        if study.get_trials(deepcopy=False):
            raise NotOurs(name=spec.name)
        study.set_user_attr(UID, new_uid())
    return study


def _describe(study: optuna.Study, spec: StudySpec, described: Description) -> None:
    """Write down what its metrics, its space and its data are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(spec.metrics))
    study.set_user_attr(DECLARED, described.declared)
    study.set_user_attr(DATA, described.data)


def open_for_workers(storage: Storage, study: optuna.Study, spec: StudySpec) -> int:
    """Store the spec, and let workers take trials up to the number that is returned, or for its limits.hours.

    Inside `create_or_join`, after what is queued.
    """
    n_trials = n_in_the_end(study, spec)
    # The spec comes last: a study that has one is whole.
    storage.ledger.open_study(study._study_id, n_trials, spec.limits.hours, spec.model_dump())
    return n_trials


def n_in_the_end(study: optuna.Study, spec: StudySpec | None = None, *, by_now: bool = False) -> int:
    """Return how many trials a study has in the end: no more than its space has settings, and what was asked twice.

    spec: that it is about to have; default: that it has. by_now: without repeats that are not queued yet, in whose
    place nobody may begin a setting.
    """
    spec = spec or spec_of(study)
    n_trials = spec.n_trials or UNLIMITED
    space = spec.resolve(study.user_attrs[DECLARED])
    every = None if CONFIRMS in study.user_attrs else all_settings(space)
    if every is None and (space.parameters or CONFIRMS in study.user_attrs or spec.repeats > 1):
        return n_trials
    trials = study.get_trials(deepcopy=False)
    n_counted = len(trials) - sum(CONTINUES in trial.user_attrs for trial in trials)
    if every is None:
        return asked.n_in_the_end(trials, n_trials, n_counted, by_now=by_now)
    n_choosing = sum(not has_chosen(space, trial) for trial in trials)  # each takes one that is untried yet
    n_untried = max(0, len(untried(every, settings_tried(trials))) - n_choosing)
    n_repeats = 1 if by_now else spec.repeats
    return min(n_trials, n_counted + n_untried * n_repeats + repeats.n_to_queue(trials, n_repeats))


def version_for(storage: Storage, spec: StudySpec, described: Description, new_version: bool) -> StudySpec:
    """Return the spec under the name of the version it belongs to: the newest, unless its name says which.

    new_version: where the spec, the data or the code differ from that version's, the next free one.
    """
    name = names.newest(spec.name, started(storage))
    if name is None:
        if names.parts(spec.name)[1] is not None:
            raise not_started(spec.name, started(storage))
        name = spec.name
    elif new_version and changed(get(storage, names.exact(name)), spec, described):
        name = _next(storage, name)
    return spec.model_copy(update={"name": name})


def _next(storage: Storage, name: str) -> str:
    base = names.parts(name)[0]
    newest = names.newest(base, started(storage)) or base
    return names.version(base, (names.parts(newest)[1] or 1) + 1)


def started(storage: Storage) -> list[str]:
    """Return the names of the studies that are whole, the oldest first."""
    return [study.name for study in storage.ledger.started_studies()]


def find(storage: Storage, name: str) -> optuna.Study | None:
    """Return the study of this name as Optuna has it, or None."""
    try:
        return optuna.load_study(study_name=name, storage=storage.optuna)
    except KeyError:
        return None


def get(storage: Storage, name: str) -> optuna.Study:
    """Return the study that a person means by this name: the newest version unless it says which.

    Raises StudyNotStarted when the storage has none, NotOurs when it has another Optuna program's.
    """
    known = started(storage)
    found = names.newest(name, known)
    study = None if found is None else find(storage, found)
    if study is None:
        raise NotOurs(name=name) if name in storage.ledger.foreign_studies() else not_started(name, known)
    return study


def typed(storage: Storage, name: str) -> str:
    """Return what a person types to mean this stored study: its name, with @1 for a first version that has a second."""
    return names.typed(name, started(storage))


def not_started(name: str, known: Collection[str]) -> StudyNotStarted:
    """Return the error of a name that none of the known studies has."""
    if (confirmed := names.confirmed(name)) is not None:
        study = names.newest(confirmed, known)
        return not_started(confirmed, known) if study is None else NotConfirmed(name=names.typed(study, known))
    base, number = names.parts(name)
    if number is not None and (newest := names.newest(base, known)) is not None:
        return NoSuchVersion(name=base, number=number, newest=newest)
    if base in catalog() or isinstance(name, names.NameInFile):
        return StudyNotStarted(name=base, launch=getattr(name, "file", base))
    known = {*catalog(), *known}
    return UnknownStudy(name=name, near=file_called(name) or near(name, known), meant=meant(name, known))


def spec_of(study: optuna.Study) -> StudySpec:
    """Return the spec that a study was last launched with."""
    return StudySpec.model_validate(study.user_attrs[SPEC])


def space_of(study: optuna.Study) -> Space:
    """Return the space that a study searches."""
    return spec_of(study).resolve(study.user_attrs[DECLARED])


def space_asked(trials: Sequence[FrozenTrial]) -> Space:
    """Return the space of a plain function, which declares none: what it asked Optuna for.

    A range that differs between trials is as wide as all of them.
    """
    found: dict[str, Domain] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found[name] = _widened(found.get(name), domain_of(distribution))
    return Space({name: Parameter(name, domain) for name, domain in found.items()})


def _widened(known: Domain | None, domain: Domain) -> Domain:
    if known == domain or not (isinstance(known, Range) and isinstance(domain, Range)):
        return domain
    return Range(min(known.low, domain.low), max(known.high, domain.high), domain.log)


def open_for_trials(storage: Storage, name: str) -> optuna.Study:
    """Return the study with its own sampler and pruner, ready to ask."""
    study = get(storage, name)
    spec = spec_of(study)
    space = space_of(study)
    study.sampler = make_sampler(spec, space, _known_trials(storage, study, space))
    study.pruner = Race() if CONFIRMS in study.user_attrs else make_pruner(spec)
    return study


def budget_of(storage: Storage, study: optuna.Study, spec: StudySpec) -> Budget:
    """Return how far a study is; with repeats, `since_best` counts settings."""
    budget = storage.ledger.budget(study._study_id)
    if spec.repeats == 1 or spec.limits.patience is None:
        return budget
    trials = storage.optuna.get_all_trials(study._study_id, deepcopy=False)
    return replace(budget, since_best=repeats.n_since_best(trials, spec.direction))


def is_done(study: optuna.Study, spec: StudySpec, budget: Budget) -> bool:
    """Whether a study has all its trials, and none is paused that is yet to be resumed."""
    if not budget.n_trials:  # its deletion was killed in the middle
        return False
    if budget.done < budget.n_trials or CONFIRMS in study.user_attrs:
        return budget.done >= budget.n_trials
    pruner = make_pruner(spec)
    return not isinstance(pruner, Asha) or pruner.next(study, budget.n_trials) is None


def _known_trials(storage: Storage, study: optuna.Study, space: Space) -> list[FrozenTrial]:
    """Return the trials of other studies that this one's sampler knows; a deleted study has none."""
    known: list[FrozenTrial] = []
    for note in study.user_attrs.get(WARM_START, []):
        if note["trials"] and (other := find(storage, note["study"])) is not None:
            theirs = space_of(other)
            chosen = set(note["trials"])
            trials = [trial for trial in other.get_trials(deepcopy=False) if trial.number in chosen]
            known += observations(space, [(theirs.values_of(trial.params), trial.values) for trial in trials])
    return known


def _differences(place: str, before: Any, now: Any) -> Iterator[str]:
    """Yield where two parts of a spec differ, as deep inside as both have keys there: a space is long."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before | now:
            yield from _differences(f"{place}.{key}", before.get(key), now.get(key))
    elif json.dumps(before, sort_keys=True) != json.dumps(now, sort_keys=True):
        yield f"{place}: stored {json.dumps(before)}, given {json.dumps(now)}"


def changed(study: optuna.Study, spec: StudySpec, described: Description, same_code: bool = False) -> dict[str, str]:
    """Return what a launch means otherwise than a study in the storage: what differs -> a sentence's part.

    It compares what makes values comparable: the study file, the space that the objective declares, the data, and,
    unless they are called the same, the code.
    """
    stored = spec_of(study)
    before, now = stored.identity(), spec.identity()
    before["data"], now["data"] = study.user_attrs.get(DATA, {}).get("sha256"), described.data.get("sha256")
    found = {
        key: differences
        for key in before | now
        if (differences := "; ".join(_differences(key, before.get(key), now.get(key))))
    }
    if "space" not in found and (difference := space_changes(space_of(study), described.space)):
        found["space"] = difference
    if not same_code and (difference := code_changes(study.user_attrs.get(CODE, {}), described.code)):
        found[CODE] = difference
    return found
