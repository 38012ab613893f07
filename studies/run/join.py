"""How a launch joins its study: under which version, with which trials first, and knowing what of other studies.

Trials that run first are waiting trials of the study, so they count as every other, once, however often a launch is
killed and typed again. In this order: the study file's `start_with`; `--start-with`, an
exported file, under its seed, so that the same data gives the same value; and from `--from OTHER` its best N_FROM
settings that lie in this study's space and are not queued yet, under fresh seeds. Without any of these: the defaults
that the objective declares.

`--from` also tells the sampler of OTHER's completed trials, when a value means the same in both studies: the same
objective, metric, direction, max_epochs and data, and of those the trials that lie in this study's space. They are not
copied: no trial of OTHER is in this study's table, counts against n_trials, or can be its best. Which trials they are
is written down with the study, so what completes in OTHER later changes nothing here. Of a study that another Optuna
program created, whose values may mean anything, it takes the settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies import names
from studies.errors import IsConfirmation, NothingToStartFrom, WrongInput
from studies.names import DEFAULT, FIXED_PARAMS, FROM, SEED, START_WITH, WARM_START
from studies.record.reading import read_stored
from studies.record.study import StudyRecord, TrialRecord
from studies.search.knowledge import differing, fitted, observation, queued
from studies.search.seeded import seed_of
from studies.spec import StudySpec
from studies.spec.description import Description
from studies.spec.space import Space
from studies.spec.values import SpaceError
from studies.storage import Storage
from studies.study import (
    JoinedStudy,
    create_or_join,
    find,
    not_started,
    open_for_workers,
    started,
    version_for,
)
from studies.words import plural

N_FROM = 5


@dataclass(frozen=True)
class Source:
    """A study to start from. ranked: its completed trials, the best first. record: None of another Optuna program's."""

    name: str
    ranked: Sequence[TrialRecord | FrozenTrial]
    record: StudyRecord | None = None


@dataclass(frozen=True)
class Exported:
    """What `studies export` wrote of a study's best trial."""

    path: Path
    params: dict[str, Any]
    seed: int | None
    origin: dict[str, Any]


@dataclass(frozen=True)
class Start:
    """What a person asked of a launch beside the spec.

    same_code: the code has changed and gives the same values. source: another study, `--from`.
    """

    new_version: bool = False
    same_code: bool = False
    source: str | None = None
    exported: Exported | None = None


def read_exported(path: Path) -> Exported:
    """Return the trial in a file that `studies export` wrote. Raises WrongInput."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongInput(reason=f"--start-with {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("params"), dict):
        raise WrongInput(
            reason=f"--start-with {path} has no `params:`; expected a file that `studies export NAME -o FILE` wrote."
        )
    provenance = content.get("provenance")
    seed = provenance.get("seed") if isinstance(provenance, dict) else None
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise WrongInput(reason=f"--start-with {path} has the seed {seed!r}; expected a whole number below 2**32.")
    origin = {key: content.get(key) for key in ("study", "trial", "value")}
    origin = {key: value if isinstance(value, (str, int, float)) else None for key, value in origin.items()}
    return Exported(path, {str(name): value for name, value in content["params"].items()}, seed, origin)


def join(
    storage: Storage, spec: StudySpec, described: Description, start: Start, say: Callable[[str], None]
) -> JoinedStudy:
    """Create or join the study, under the name of its version, and queue what it runs first.

    Raises SpecChanged, StudyNotStarted, NothingToStartFrom, WrongInput.
    """
    spec, space = version_for(storage, spec, described, start.new_version), described.space
    source = None if start.source is None else _source(storage, start.source, spec.name)
    given = None if start.exported is None else _given(start.exported, space)
    with create_or_join(storage, spec, described, start.same_code) as (study, new):
        joined = JoinedStudy(study, spec, space)
        queue = _Queue(study, space)
        others = bool(spec.start_with) or given is not None or source is not None
        if new and not others and (defaults := _defaults(spec, space)):
            queue.add(defaults, {DEFAULT: True}, DEFAULT)
        if new:
            for index, entry in enumerate(spec.start_with):
                queue.add(space.completed(entry, "start_with", index), {START_WITH: index}, START_WITH)
        if start.exported is not None and given is not None:
            seeded = {} if start.exported.seed is None else {SEED: start.exported.seed}
            queue.add(given, {FROM: start.exported.origin} | seeded, FROM)
        if source is not None:
            _learn(joined, source, described.data, queue, say)
        open_for_workers(storage, study, spec)
    return joined


def _defaults(spec: StudySpec, space: Space) -> dict[str, Any]:
    """Return the defaults that the objective declares, as a first trial; a grid has its own order."""
    if spec.sampler.name == "grid" or all(parameter.default is None for parameter in space.parameters.values()):
        return {}
    values = space.completed({})
    return values if queued(space, values) and not space.broken(values) else {}


class _Queue:
    """The trials that a study runs first. One that is there already is not queued again."""

    def __init__(self, study: optuna.Study, space: Space) -> None:
        self._study = study
        self._space = space
        trials = study.get_trials(deepcopy=False)
        self._attributes = [trial.user_attrs for trial in trials]
        self._settings = [trial.system_attrs.get(FIXED_PARAMS) for trial in trials]

    def has(self, values: Mapping[str, Any]) -> bool:
        """Whether a trial with these parameters was queued."""
        return queued(self._space, values) in self._settings

    def n_from(self, study: str) -> int:
        """Return how many trials have parameters of that study: a launch may have been killed in the middle."""
        return sum(there.get(FROM, {}).get("study") == study for there in self._attributes)

    def add(self, values: Mapping[str, Any], attributes: dict[str, Any], key: str) -> None:
        """Queue a trial with these attributes, unless there is one with the same one under `key`.

        A place in `start_with` is the same whatever has been written there since; from a file or another study, the
        parameters must be the same too.
        """
        settings = queued(self._space, values)
        for there, theirs in zip(self._attributes, self._settings, strict=True):
            if there.get(key) == attributes[key] and (key == START_WITH or theirs == settings):
                return
        self._study.enqueue_trial(settings, user_attrs=attributes, skip_if_exists=False)
        self._attributes.append(attributes)
        self._settings.append(settings)


def _given(exported: Exported, space: Space) -> dict[str, Any]:
    if not space.parameters:  # a plain function's space is known to itself alone
        return exported.params
    try:
        values = space.completed(exported.params, "params")
        if condition := space.broken(values):
            raise SpaceError(f"its parameters break the condition {condition.text}")
        return values
    except SpaceError as error:
        raise WrongInput(reason=f"--start-with {exported.path}: {error}.") from None


def _source(storage: Storage, typed: str, name: str) -> Source:
    """Return the study that `--from` means for a launch of `name`. Raises NothingToStartFrom."""
    if typed in storage.ledger.foreign_studies() and (study := find(storage, typed)) is not None:
        return _of_optuna(study)
    record = read_stored(storage, _chosen(storage, typed, name))
    if not record.ranked:
        raise NothingToStartFrom(name=record.typed, why=record.lacks, states=record.states)
    return Source(record.spec.name, record.ranked, record)


def _of_optuna(study: optuna.Study) -> Source:
    """Return a study that another Optuna program created."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if not complete:
        states = f"{plural(len(study.get_trials(deepcopy=False)), 'trial')}, 0 complete"
        raise NothingToStartFrom(name=study.study_name, why="no trial is complete", states=states)
    if len(study.directions) > 1:
        return Source(study.study_name, study.best_trials)
    is_descending = study.direction == StudyDirection.MAXIMIZE
    return Source(study.study_name, sorted(complete, key=lambda trial: trial.values[0], reverse=is_descending))


def _chosen(storage: Storage, typed: str, name: str) -> str:
    """Return which of this package's studies `--from` means: of the study's own versions, the newest one before it."""
    known = started(storage)
    base, own = names.parts(name)
    if typed == base:
        known = [other for other in known if (names.parts(other)[1] or 1) < (own or 1)]
    found = names.newest(typed, known)
    if found == name or (found is None and typed == base):
        raise WrongInput(reason=f"--from {typed} is the study itself; expected another study or an earlier version.")
    if found is None:
        raise not_started(typed, started(storage))
    if (confirmed := names.confirmed(found)) is not None:
        raise IsConfirmation(name=found, study=confirmed, command=f"launch {name} --from {confirmed}")
    return names.exact(found)


def _learn(
    joined: JoinedStudy,
    source: Source,
    data: Mapping[str, Any],
    queue: _Queue,
    say: Callable[[str], None],
) -> None:
    """Queue the other study's best settings, and note which of its trials the sampler uses."""
    study, spec, space, name = joined.study, joined.spec, joined.space, source.name
    notes: list[dict[str, Any]] = study.user_attrs.get(WARM_START, [])
    if any(note["study"] == name for note in notes):
        return
    n_queued = queue.n_from(name)
    for trial in differing(source.ranked):
        if n_queued >= N_FROM:
            break
        values = dict(trial.params) if not space.parameters else fitted(space, trial.params)
        if values is not None and not queue.has(values):
            origin = {"study": name, "trial": trial.number, "value": trial.values[0]}
            seed = seed_of(spec.sampler.seed, f"from {name} {trial.number}")
            queue.add(values, {FROM: origin, SEED: seed}, FROM)
            n_queued += 1
    why = (
        _incomparable(spec, source.record, data)
        if space.parameters
        else "a plain function tells its space when it runs"
    )
    known = [] if why else [t.number for t in source.ranked if observation(space, t.params, t.values)]
    study.set_user_attr(WARM_START, [*notes, {"study": name, "trials": known}])
    knows = f"{len(known)} of {plural(len(source.ranked), 'completed trial')}"
    knows = f"none of its values: {why}" if why else knows
    say(f"{study.study_name} starts from {name}: {plural(n_queued, 'setting')} queued; its sampler knows {knows}.")


def _incomparable(spec: StudySpec, source: StudyRecord | None, data: Mapping[str, Any]) -> str | None:
    """Return why a value of the one study says nothing of the other's, or None."""
    if source is None:
        return "another Optuna program measured them"
    for key, what in {
        "objective": "objective",
        "metric": "metric",
        "aim": "what is tuned",
        "max_epochs": "max_epochs",
    }.items():
        before, now = getattr(source.spec, key), getattr(spec, key)
        if before != now:
            return f"{what} was {before}, and is {now}"
    before, now = source.data.get("sha256"), data.get("sha256")
    if before != now or (now is None and source.spec.dataset != spec.dataset):
        return "the data are others"
    return None
