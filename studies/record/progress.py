"""How a study stands right now: a few statements, whatever its size, for the live view and `status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studies import names
from studies.names import Direction
from studies.record.confirmation import read_confirmation
from studies.record.front import Front, read_front
from studies.storage import Storage
from studies.storage.budget import Budget
from studies.storage.ledger import Worker


@dataclass(frozen=True)
class Winner:
    """A study's best trial, as `StudyRecord.best` has it. mean: of its repeats, or under
    n_seeds fresh seeds, once it is confirmed."""

    trial: int
    value: float
    mean: float | None = None
    n_seeds: int = 0


@dataclass(frozen=True)
class Progress:
    """A study at one moment. states: trials by Optuna's state, FAIL split by reason, PAUSED apart from
    PRUNED while they may be resumed, LOST apart from RUNNING. epochs: reported so far.

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


def read_progress(storage: Storage, study_id: int, name: str, metrics: Mapping[str, Direction]) -> Progress:
    """Return how the study stands."""
    ledger = storage.ledger
    budget, states = ledger.budget(study_id), ledger.states(study_id)
    if budget.done >= budget.n_trials and "PAUSED" in states:  # nobody resumes them any more
        states["PRUNED"] = states.pop("PAUSED") + states.get("PRUNED", 0)
    return Progress(
        name,
        budget,
        states,
        ledger.n_epochs(study_id),
        read_winner(storage, study_id, name, metrics),
        ledger.workers(study_id),
        read_front(storage, study_id, metrics) if names.confirmed(name) is None else None,
    )


def read_packing(storage: Storage, study_id: int) -> tuple[str, ...]:
    """Return what was last decided about each GPU that workers share."""
    known = storage.optuna.get_study_user_attrs(study_id)
    return tuple(known[key] for key in sorted(known) if key.startswith(names.PACKING))


def read_winner(storage: Storage, study_id: int, name: str, metrics: Mapping[str, Direction]) -> Winner | None:
    """Return the study's best trial without reading its trials.

    None without one, for a confirmation, and with several metrics.
    """
    if names.confirmed(name) is not None or len(metrics) > 1:
        return None
    [direction] = metrics.values()
    found = storage.ledger.best(study_id, maximize=direction is Direction.MAXIMIZE)
    if found is None:
        return None
    value, number = found
    confirmation = read_confirmation(storage, name)
    if confirmation is not None and (winner := confirmation.winner) is not None:
        contenders = [standing.trial for standing in confirmation.standings]
        its = storage.ledger.confirmed_value(study_id, winner.trial, best=number, contenders=contenders)
        if its is not None:
            return Winner(winner.trial, its, winner.mean, confirmation.n_seeds)
    return Winner(number, value, storage.ledger.mean(study_id, number))
