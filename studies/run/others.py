"""What a study begins with from others: `--from OTHER`, as often as there are others.

Their best settings that lie in this study's space and are not queued yet run first, under fresh seeds: N_FROM of all
together, and the best one of each at least. What was good for an objective on other data is often good again: with the
best settings of ten other tasks a search needs a quarter of the epochs (benchmarks/results/search.md).

The sampler also knows OTHER's completed trials, when a value means the same in both studies: the same objective,
metric, direction, max_epochs and data, and of those the trials that lie in this study's space. They are not copied: no
trial of OTHER is in this study's table, counts against n_trials, or can be its best. Which trials they are is written
down with the study, so what completes in OTHER later changes nothing here. Of a study that another Optuna program
created, whose values may mean anything, it takes the settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies import names
from studies.errors import IsConfirmation, NothingToStartFrom, WrongInput
from studies.names import FROM, SEED, SPEC, WARM_START
from studies.record.reading import read_stored
from studies.record.study import StudyRecord, TrialRecord
from studies.run.waiting import Queue
from studies.search.knowledge import differing, fitted, observation
from studies.search.seeded import seed_of
from studies.spec import StudySpec
from studies.storage import Storage
from studies.study import JoinedStudy, find, not_started, started, typed
from studies.words import plural

N_FROM = 5
N_NAMED, N_LOOKED_AT = 5, 50  # studies to start from, for a launch that names none, of so many


@dataclass(frozen=True)
class Source:
    """A study to start from. ranked: its completed trials, the best first. record: None of another Optuna program's."""

    name: str
    ranked: Sequence[TrialRecord | FrozenTrial]
    record: StudyRecord | None = None


def sources(storage: Storage, given: Sequence[str], name: str) -> list[Source]:
    """Return the studies that `--from` means for a launch of `name`, each once. Raises NothingToStartFrom."""
    found = [_source(storage, each, name) for each in given]
    return list({each.name: each for each in found}.values())


def learn(
    joined: JoinedStudy, given: Sequence[Source], data: Mapping[str, Any], queue: Queue, say: Callable[[str], None]
) -> None:
    """Queue the others' best settings, and note which of their trials the sampler uses. What is noted is not new."""
    notes: list[dict[str, Any]] = joined.study.user_attrs.get(WARM_START, [])
    new = [each for each in given if each.name not in {note["study"] for note in notes}]
    n_each = -(-N_FROM // len(new)) if new else 0
    settings = [_settings(joined, each, queue) for each in new]
    for n_before in range(n_each):
        for source, best_first in zip(new, settings, strict=True):
            if queue.n_from(source.name) <= n_before and (found := next(best_first, None)) is not None:
                queue.add(*found, FROM)
    for source in new:
        why = _unknown(joined, source, data)
        known = [] if why else [t.number for t in source.ranked if observation(joined.space, t.params, t.values)]
        notes = [*notes, {"study": source.name, "trials": known}]
        knows = f"{len(known)} of {plural(len(source.ranked), 'completed trial')}"
        knows = f"none of its values: {why}" if why else knows
        n_queued = plural(queue.n_from(source.name), "setting")
        say(f"{joined.study.study_name} starts from {source.name}: {n_queued} queued; its sampler knows {knows}.")
    if new:
        joined.study.set_user_attr(WARM_START, notes)


def similar(storage: Storage, joined: JoinedStudy) -> list[str]:
    """Return what a person types for the newest N_NAMED studies with results of the same objective and metrics."""
    spec, n_ended = joined.spec, storage.ledger.n_ended()
    known = [
        each
        for each in reversed(storage.ledger.started_studies())
        if each.name != spec.name
        and names.confirmed(each.name) is None
        and each.metrics == spec.metrics
        and n_ended.get(each.study_id)
    ]
    # As they are stored: a hint must not fail for what another release wrote, or for what is deleted meanwhile.
    objective = spec.model_dump()["objective"]
    others = (
        each.name
        for each in known[:N_LOOKED_AT]
        if (study := find(storage, each.name)) is not None
        and study.user_attrs.get(SPEC, {}).get("objective") == objective
        and TrialState.COMPLETE.name in storage.ledger.states(each.study_id)
    )
    return [typed(storage, name) for name in islice(others, N_NAMED)]


def _settings(joined: JoinedStudy, source: Source, queue: Queue) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield settings that are not queued yet, the best first, each with its trial's attributes."""
    for trial in differing(source.ranked):
        values = fitted(joined.space, trial.params) if joined.space.parameters else dict(trial.params)
        if values is not None and not queue.has(values):
            origin = {"study": source.name, "trial": trial.number, "value": trial.values[0]}
            seed = seed_of(joined.spec.sampler.seed, f"from {source.name} {trial.number}")
            yield values, {FROM: origin, SEED: seed}


def _unknown(joined: JoinedStudy, source: Source, data: Mapping[str, Any]) -> str | None:
    """Return why the sampler can learn nothing from a value of the other study, or None."""
    if not joined.space.parameters:
        return "a plain function tells its space when it runs"
    return _incomparable(joined.spec, source.record, data)


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


def _source(storage: Storage, given: str, name: str) -> Source:
    """Return the study that `--from` means for a launch of `name`. Raises NothingToStartFrom."""
    if given in storage.ledger.foreign_studies() and (study := find(storage, given)) is not None:
        return _of_optuna(study)
    record = read_stored(storage, _chosen(storage, given, name))
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


def _chosen(storage: Storage, given: str, name: str) -> str:
    """Return which of this package's studies `--from` means: of the study's own versions, the newest one before it."""
    known = started(storage)
    base, own = names.parts(name)
    if given == base:
        known = [other for other in known if (names.parts(other)[1] or 1) < (own or 1)]
    found = names.newest(given, known)
    if found == name or (found is None and given == base):
        raise WrongInput(reason=f"--from {given} is the study itself; expected another study or an earlier version.")
    if found is None:
        raise not_started(given, started(storage))
    if (confirmed := names.confirmed(found)) is not None:
        raise IsConfirmation(name=found, study=confirmed, command=f"launch {name} --from {confirmed}")
    return names.exact(found)
