"""A confirmation: the best few of a study again under fresh seeds, by the same workers, as exact as any study.

Its trials live in a study of their own, `NAME-confirm`, so NAME's trials, sampler and limits are untouched. They are
all queued at the beginning, each with its parameters and its seed, in the order of the seeds; what `race` rules out is
pruned before it trains. Every contender gets the same seeds, none of which any trial of NAME had: the value for which
a contender was chosen, the best of many, is not among those that are averaged.

Typed again, it goes on: as it was asked for to the same end; with more seeds or a larger top, or after NAME has found
something better, with what is missing. A training that failed is tried again, but not one whose loss was not a
number, which the same parameters and seed give again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from studies import names
from studies.errors import DataChanged, NobodyCameThrough, NothingToConfirm, WrongInput
from studies.names import CONFIRMS, CONTENDER, CONTINUED_BY, REASON, SEED
from studies.record.choice import chosen as chosen_of
from studies.record.choice import require_choice
from studies.record.reading import read_stored
from studies.record.study import StudyRecord, TrialRecord
from studies.run.launch import prepared
from studies.search.knowledge import differing, queued
from studies.search.race import contenders, last_trials
from studies.search.seeded import seed_of
from studies.spec import Pruner, Sampler, StudySpec
from studies.spec.description import Description
from studies.storage import Storage, open_storage
from studies.study import JoinedStudy, changed, create_or_join, find, get, open_for_workers
from studies.words import plural

if TYPE_CHECKING:
    from studies.run.launch import View
    from studies.settings import Settings

N_TOP, N_SEEDS = 5, 5
ENDED_WITHOUT = (TrialState.FAIL, TrialState.PRUNED)  # a value


@dataclass(frozen=True)
class Plan:
    """What to run: a study's best n_top settings, and the best of `start_with`, under n_seeds fresh seeds."""

    record: StudyRecord
    chosen: Sequence[TrialRecord]
    n_top: int
    n_seeds: int


def planned(
    name: str,
    settings: Settings,
    n_top: int | None,
    n_seeds: int | None,
    trial: int | None,
    pick: str | None,
) -> Plan:
    """Return what a confirmation of this study runs; without a number, as before, or the first time N_TOP and N_SEEDS.

    trial, pick: with several metrics, which trial of the front, see `record.choice.chosen`.
    Raises StudyNotStarted, IsConfirmation, NothingToConfirm, ChooseFromFront, WrongInput.
    """
    with open_storage(settings) as storage:
        record = read_stored(storage, name)
        names.refuse_confirmation(name, record.spec.name, "confirm")
        begun = find(storage, names.confirmation(record.spec.name))
        race = {} if begun is None else begun.user_attrs.get(CONFIRMS, {})
    if not record.spec.has_several and (trial is not None or pick is not None):
        option = "--pick" if trial is None else "--trial"
        raise WrongInput(
            reason=f"{option} is for several metrics, and {record.typed} has one, by which `studies confirm "
            f"{record.typed}` compares the best few; leave {option} out."
        )
    record = chosen_of(record, trial, pick)
    n_top = 1 if record.spec.has_several else n_top or race.get("top") or N_TOP
    chosen = choose(record, n_top)
    if not chosen:
        raise NothingToConfirm(name=record.typed, why=record.lacks, states=record.states)
    return Plan(record, chosen, n_top, n_seeds or len(race.get("seeds", ())) or N_SEEDS)


def confirm(
    plan: Plan, settings: Settings, n_workers: int, on: str, view: View, timeout_s: float = math.inf
) -> StudyRecord:
    """Run what is planned and has not been run yet; return the study with the result. timeout_s: as of `launch`.

    Raises DataChanged, NobodyCameThrough, and what `launch` does.
    """
    spec = spec_for(plan.record.spec)
    with prepared(spec, settings, n_workers, on, view, timeout_s) as ready:
        ready.run(join(ready.storage, plan, spec, ready.described, view.say))
        record = read_stored(ready.storage, names.exact(plan.record.spec.name))
        record = replace(record, chosen=plan.record.chosen)
    found = record.confirmation
    if found is not None and found.finished and not found.came_through:
        reasons = ", ".join(f"trial {standing.trial} {standing.verdict}" for standing in found.standings)
        raise NobodyCameThrough(name=record.typed, reason=reasons)
    return record


def choose(record: StudyRecord, n_top: int) -> list[TrialRecord]:
    """Return the contenders: the best settings, and the best of `start_with` if it is not among them.

    With several metrics it is the trial that was chosen, for no few are the best. Raises ChooseFromFront without one.
    """
    if record.spec.has_several:
        require_choice(record)
        return [record.best] if record.best is not None else []
    chosen = list(islice(differing(record.ranked), n_top))
    given = record.best_given
    if given is not None and all(trial.params != given.params for trial in chosen):
        chosen.append(given)
    return chosen


def spec_for(spec: StudySpec) -> StudySpec:
    """Return the spec of a study's confirmation: what makes values comparable stays, what searches and stops goes."""
    limits = spec.limits.model_copy(update={"hours": None, "gpu_hours": None, "patience": None})
    return spec.model_copy(
        update={
            "name": names.confirmation(spec.name),
            "sampler": Sampler(name="random", seed=spec.sampler.seed),
            "pruner": Pruner(name="none"),
            "start_with": [],
            "repeats": 1,
            "limits": limits,
        }
    )


def fresh_seeds(seed: int, used: Iterable[int], n: int) -> list[int]:
    """Return n seeds that are none of those used; of the same study always the same, in the same order."""
    taken = set(used)
    found: list[int] = []
    index = 0
    while len(found) < n:
        fresh = seed_of(seed, f"confirm {index}")
        if fresh not in taken:
            taken.add(fresh)
            found.append(fresh)
        index += 1
    return found


def join(
    storage: Storage, plan: Plan, spec: StudySpec, described: Description, say: Callable[[str], None]
) -> JoinedStudy:
    """Create or join the confirmation, and queue every contender under every seed that it lacks. Raises DataChanged."""
    original = get(storage, names.exact(plan.record.spec.name))
    if difference := changed(original, plan.record.spec, described):
        raise DataChanged(
            name=plan.record.typed, what=" and ".join(difference), difference="; ".join(difference.values())
        )
    with create_or_join(storage, spec, described, same_code=True) as (study, _):
        spec = spec.model_copy(update={"n_trials": _queue(plan, spec, say, study)})
        open_for_workers(storage, study, spec)
    return JoinedStudy(study, spec, described.space)


def _queue(plan: Plan, spec: StudySpec, say: Callable[[str], None], study: optuna.Study) -> int:
    """Queue what is missing; return how many trials there are then."""
    there = study.get_trials(deepcopy=False)
    record, chosen = plan.record, plan.chosen
    race = study.user_attrs.get(CONFIRMS, {"study": record.spec.name, "published": None, "seeds": []})
    used = [trial.seed for trial in record.trials if trial.seed is not None]
    more = fresh_seeds(spec.sampler.seed, [*used, *race["seeds"]], max(0, plan.n_seeds - len(race["seeds"])))
    trials = {trial.number: trial for trial in record.trials}
    field = {one.trial: trials[one.trial] for one in contenders(there, None)}
    for trial in chosen:
        if all(trial.params != other.params for other in field.values()):
            field[trial.number] = trial
    given = next((number for number, trial in field.items() if _is_given(record, trial)), race["published"])
    race |= {"published": given, "seeds": race["seeds"] + more, "top": max(plan.n_top, race.get("top", 0))}
    study.set_user_attr(CONFIRMS, race)
    missing = _missing(there, list(field), race["seeds"])
    n_left = len(missing) + sum(not trial.state.is_finished() for trial in there)
    say(_plan_in_words(plan, len(field), len(race["seeds"]), n_left))
    for number, seed in missing:
        params = queued(record.space, field[number].params)
        study.enqueue_trial(params, user_attrs={CONTENDER: number, SEED: seed}, skip_if_exists=False)
    return len(missing) + sum(CONTINUED_BY not in trial.user_attrs for trial in there)


def _plan_in_words(plan: Plan, n_contenders: int, n_seeds: int, n_left: int) -> str:
    name = plan.record.typed
    few = ""
    if len(plan.chosen) < plan.n_top:
        few = f" (no more different settings of {name} were trained to their end)"
    left = f"{plural(n_left, 'training')} to do" if n_left else "all of them trained"
    return f"{name}: {plural(n_contenders, 'contender')}{few} under {plural(n_seeds, 'fresh seed')}, {left}."


def _is_given(record: StudyRecord, trial: TrialRecord) -> bool:
    given = record.best_given
    return given is not None and trial.params == given.params


def _missing(there: Iterable[FrozenTrial], numbers: Sequence[int], seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Return what has not been queued yet, or failed in a way that may not happen again, the first seed first."""
    last = last_trials(there)
    failed = {number for (number, _), trial in last.items() if _may_still_succeed(trial)}
    pairs = [(number, seed) for seed in seeds for number in numbers]
    return [pair for pair in pairs if pair not in last or (pair[0] in failed and last[pair].state in ENDED_WITHOUT)]


def _may_still_succeed(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) != "nan"
