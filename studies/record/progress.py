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
    order = "DESC" if direction is Direction.MAXIMIZE else "ASC"
    states = ledger.read(
        """SELECT t.state::text || coalesce(' ' || (a.value_json::json #>> '{}'), ''), count(*)
             FROM trials t LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'reason'
            WHERE t.study_id = %s GROUP BY 1 ORDER BY 1""",
        (study_id,),
    )
    epochs = ledger.read(
        "SELECT count(*) FROM trial_intermediate_values v JOIN trials t USING (trial_id) WHERE t.study_id = %s",
        (study_id,),
    )
    best = ledger.read(
        f"""SELECT v.value, t.number FROM trials t JOIN trial_values v USING (trial_id)
             WHERE t.study_id = %s AND t.state = 'COMPLETE' AND v.value IS NOT NULL
             ORDER BY v.value {order}, t.number LIMIT 1""",  # noqa: S608 - order is one of two constants
        (study_id,),
    )
    value, number = best[0] if best and names.confirmed(name) is None else (None, None)
    workers = ledger.workers(study_id)
    return Progress(name, ledger.budget(study_id), dict(states), epochs[0][0], value, number, workers)
