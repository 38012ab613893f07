"""A whole study, read back: its spec, its data set and every trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from studies.names import CONTINUED_BY, CONTINUES, DATA, REASON
from studies.study import get, space_of, spec_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from studies.space import Space, Value
    from studies.spec import StudySpec
    from studies.storage import Storage


@dataclass(frozen=True)
class Trial:
    """One trial. params: of every parameter that existed in it, fixed ones included. epoch: that of the value."""

    number: int
    state: str
    value: float | None
    params: dict[str, Value]
    epoch: int | None
    curve: dict[int, float]
    reason: str | None
    started: datetime | None
    ended: datetime | None
    continues: int | None
    continued_by: int | None
    attributes: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class StudyReport:
    """A study as it stands in the storage. data: name, sha256 and summary of its data set."""

    spec: StudySpec
    data: dict[str, Any]
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best value; the earlier of two equal ones."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        sign = -1 if self.spec.direction == "maximize" else 1
        return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    @property
    def counts(self) -> dict[str, int]:
        """Trials that count, by how they ended; one that a continuation replaced does not."""
        states = [trial.state for trial in self.trials if trial.continued_by is None]
        return {name: states.count(state) for name, state in ENDS.items()}


ENDS = {"complete": "complete", "pruned": "pruned", "failed": "fail"}


def read_report(storage: Storage, name: str) -> StudyReport:
    """Return the study; StudyNotStarted when the storage has none of this name."""
    study = get(storage, name)
    space = space_of(study)
    trials = [_trial(frozen, space) for frozen in study.get_trials(deepcopy=False)]
    return StudyReport(spec_of(study), study.user_attrs[DATA], trials)


def _trial(frozen: FrozenTrial, space: Space) -> Trial:
    stored = frozen.params or {}
    try:
        params = space.values_of(stored)
    except KeyError:  # it ended, or waits, before everything was suggested
        params = dict(stored)
    attributes = frozen.user_attrs
    return Trial(
        number=frozen.number,
        state=frozen.state.name.lower(),
        value=frozen.value if frozen.state.is_finished() else None,
        params=params if space.parameters else dict(stored),
        epoch=attributes.get("epoch"),
        curve=dict(frozen.intermediate_values),
        reason=attributes.get(REASON),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
        continues=attributes.get(CONTINUES),
        continued_by=attributes.get(CONTINUED_BY),
        attributes=attributes,
    )
