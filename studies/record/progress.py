"""How a study stands right now: a few statements, whatever its size, for the live view and `status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from studies import names
from studies.names import Direction
from studies.record.confirmation import read_confirmation
from studies.record.front import Front, read_front
from studies.search.repeats import Repeated, ranked_of
from studies.storage import Storage
from studies.storage.budget import Budget
from studies.storage.ledger import Worker


@dataclass(frozen=True)
class Winner:
    """A study's best trial, as `StudyRecord.best` has it.

    value: of its repeats, where there are any, the mean. repeated: what else they say. mean: under n_seeds fresh seeds,
    once it is confirmed.
    """

    trial: int
    value: float
    mean: float | None = None
    n_seeds: int = 0
    repeated: Repeated | None = None

    @classmethod
    def of(cls, setting: Repeated) -> Winner:
        """Return a setting with repeats as one."""
        return cls(setting.trial, setting.mean, repeated=setting)


@dataclass(frozen=True)
class Progress:
    """A study at one moment. name: as a person types it. epochs: reported so far.

    states: trials by Optuna's state, FAIL split by reason, PAUSED apart from PRUNED while they may be resumed, LOST
    apart from RUNNING.

    best: None for a confirmation, too, where the value of one seed says nothing, and with several metrics, which have
    a `front`. verdicts: trials by kind of verdict, n_infeasible: completed trials that violate a constraint, and
    packing: a sentence for each GPU that workers share; all only for `status`.
    """

    name: str
    budget: Budget
    states: dict[str, int]
    epochs: int
    best: Winner | None
    workers: list[Worker]
    front: Front | None = None
    verdicts: dict[str, int] = field(default_factory=dict)
    n_infeasible: int = 0
    packing: tuple[str, ...] = ()


def read_progress(
    storage: Storage, study_id: int, name: str, metrics: Mapping[str, Direction], n_repeats: int, typed: str
) -> Progress:
    """Return how the study stands. n_repeats: what its spec has as `repeats`. typed: see `names.typed`."""
    ledger = storage.ledger
    budget, states = ledger.budget(study_id), ledger.states(study_id)
    if budget.done >= budget.n_trials:
        states.pop("WAITING", None)  # repeats that no trial is left for
        if "PAUSED" in states:  # nobody resumes them any more
            states["PRUNED"] = states.pop("PAUSED") + states.get("PRUNED", 0)
    return Progress(
        name=typed,
        budget=budget,
        states=states,
        epochs=ledger.n_epochs(study_id),
        best=read_winner(storage, study_id, name, metrics, n_repeats),
        workers=ledger.workers(study_id),
        front=read_front(storage, study_id, metrics) if names.confirmed(name) is None else None,
    )


def read_packing(storage: Storage, study_id: int) -> tuple[str, ...]:
    """Return what was last decided about each GPU that workers share."""
    known = storage.optuna.get_study_user_attrs(study_id)
    return tuple(known[key] for key in sorted(known) if key.startswith(names.PACKING))


def read_winner(
    storage: Storage, study_id: int, name: str, metrics: Mapping[str, Direction], n_repeats: int
) -> Winner | None:
    """Return the study's best trial; without reading its trials, unless it has repeats.

    None without one, for a confirmation, and with several metrics.
    """
    if names.confirmed(name) is not None or len(metrics) > 1:
        return None
    [direction] = metrics.values()
    settings = read_settings(storage, study_id, direction) if n_repeats > 1 else []
    best = Winner.of(settings[0]) if settings else None
    if n_repeats == 1 and (found := storage.ledger.best(study_id, maximize=direction is Direction.MAXIMIZE)):
        best = Winner(found[1], found[0])
    if best is None:
        return None
    confirmation = read_confirmation(storage, name)
    if confirmation is not None and (winner := confirmation.winner) is not None:
        contenders = [standing.trial for standing in confirmation.standings]
        value = storage.ledger.confirmed_value(study_id, winner.trial, best=best.trial, contenders=contenders)
        if value is not None:
            known = {one.trial: Winner.of(one) for one in settings}
            its = known.get(winner.trial, Winner(winner.trial, value))
            return replace(its, mean=winner.mean, n_seeds=confirmation.n_seeds)
    return best


def read_settings(storage: Storage, study_id: int, direction: Direction) -> list[Repeated]:
    """Return the settings of a study with repeats, the best first."""
    return ranked_of(storage.optuna.get_all_trials(study_id, deepcopy=False), direction)
