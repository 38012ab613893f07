"""How far a study is. Each of its trials is looked at until it has ended, and never again."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Budget:
    """How far a study is.

    counted: trials that count against n_trials, the running ones included. failures_in_a_row: since the last launch.
    since_best: trials that ended and have a higher number than the best one. device_hours: of all trials together.
    lost: the ids of running trials whose worker is dead.
    """

    n_trials: int = 0
    counted: int = 0
    running: int = 0
    stop: str | None = None
    failures_in_a_row: int = 0
    since_best: int = 0
    device_hours: float = 0.0
    lost: tuple[int, ...] = ()

    @property
    def done(self) -> int:
        """Trials that count and have ended."""
        return self.counted - self.running


class TrialRow(NamedTuple):
    """A trial as `sql.READ_BUDGET` returns it. loss: its value, negated where it is to be maximized."""

    trial_id: int
    number: int
    state: str
    lost: bool
    continued: bool
    seconds: float | None
    loss: float | None


@dataclass
class Tally:
    """What the trials amount to whose id is at most `after`; all of them have ended.

    failed: the numbers of those that failed since one was complete or pruned.
    """

    after: int = -1
    counted: int = 0
    running: int = 0
    seconds: float = 0.0
    least_loss: float | None = None
    since_best: int = 0
    failed: list[int] = field(default_factory=list)

    def with_trials(self, trials: Sequence[TrialRow]) -> Tally:
        """Return the tally with more trials, given by rising id."""
        more = copy(self)
        for trial in trials:
            more._add(trial)
        return more

    def _add(self, trial: TrialRow) -> None:
        self.after = trial.trial_id
        if trial.state == "WAITING":
            return
        self.seconds += trial.seconds or 0.0
        # A trial does not count when a continuation took its place.
        self.counted += not trial.continued
        self.running += trial.state == "RUNNING"
        if trial.state in ("COMPLETE", "PRUNED"):
            self.failed = []
            self.since_best += self.least_loss is not None
        elif trial.state == "FAIL" and not trial.continued:
            self.failed = [*self.failed, trial.number]
        least = self.least_loss
        if trial.state == "COMPLETE" and trial.loss is not None and (least is None or trial.loss < least):
            self.least_loss, self.since_best = trial.loss, 0


def budget_from(rows: Sequence[Sequence[Any]], ended: Tally) -> tuple[Budget, Tally]:
    """Return the budget, and the tally to go on from, from what `sql.READ_BUDGET` returned for the tally `ended`."""
    if not rows:
        return Budget(), Tally()
    n_trials, stop, forgiven = rows[0][:3]
    trials = [TrialRow(*row[3:]) for row in rows if row[3] is not None]
    n_ended = next((n for n, trial in enumerate(trials) if trial.state in ("RUNNING", "WAITING")), len(trials))
    ended = ended.with_trials(trials[:n_ended])
    now = ended.with_trials(trials[n_ended:])
    budget = Budget(
        n_trials=n_trials,
        counted=now.counted,
        running=now.running,
        stop=stop,
        failures_in_a_row=sum(number > forgiven for number in now.failed),
        since_best=now.since_best,
        device_hours=now.seconds / 3600,
        lost=tuple(trial.trial_id for trial in trials if trial.lost),
    )
    return budget, ended
