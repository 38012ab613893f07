"""How a study stands right now: a few statements, whatever its size, for the live view and `status`."""

from __future__ import annotations

from dataclasses import dataclass, field

from studies import names
from studies.names import Direction
from studies.storage.budget import Budget
from studies.storage.ledger import Ledger, Worker


@dataclass(frozen=True)
class Progress:
    """A study at one moment. states: trials by Optuna's state, FAIL split by reason. epochs: reported so far.

    best: None for a confirmation, too, where the value of one seed says nothing. verdicts: trials by kind of verdict,
    only for `status`.
    """

    name: str
    budget: Budget
    states: dict[str, int]
    epochs: int
    best: float | None
    best_trial: int | None
    workers: list[Worker]
    verdicts: dict[str, int] = field(default_factory=dict)


def read_progress(ledger: Ledger, study_id: int, name: str, direction: Direction) -> Progress:
    """Return how the study stands."""
    best = ledger.best(study_id, maximize=direction is Direction.MAXIMIZE)
    value, number = best if best and names.confirmed(name) is None else (None, None)
    return Progress(
        name,
        ledger.budget(study_id),
        ledger.states(study_id),
        ledger.n_epochs(study_id),
        value,
        number,
        ledger.workers(study_id),
    )
