"""Choosing one trial: by its number, or from a Pareto front by a condition and the best of what is left."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from studies.errors import ChooseFromFront, WrongInput
from studies.names import State, confirmed
from studies.pareto import losses_of
from studies.record.front import Front, Point
from studies.spec.condition import Condition, ConditionError
from studies.words import numbered

if TYPE_CHECKING:
    from studies.record.study import StudyRecord, TrialRecord


def front_of(record: StudyRecord) -> Front:
    """Return the front of a study that was read, as one that was not read has it."""
    return Front(tuple(record.spec.metrics), [Point(trial.number, trial.values) for trial in record.front])


def chosen(record: StudyRecord, trial: int | None = None, pick: str | None = None) -> StudyRecord:
    """Return the study with this trial as its best; as it is where nothing is asked for. Raises WrongInput.

    pick: a condition on the study's metrics, such as 'accuracy >= .95'. Of the trials on the front that satisfy it,
    the best in the first metric that it does not name is taken; where it names all, in the first.
    """
    if trial is not None and pick is not None:
        raise WrongInput(reason=f"--trial {trial} and --pick {pick!r} are both given; expected one of them.")
    if pick is not None:
        trial = _picked(record, pick).number
    elif trial is not None and trial not in {one.number for one in record.trials if one.state == State.COMPLETE}:
        why = "it is not complete" if trial < len(record.trials) else f"the study has {numbered(len(record.trials))}"
        raise WrongInput(reason=f"--trial {trial}: {why}; `studies export {record.typed} --format csv` lists all.")
    return record if trial is None else replace(record, chosen=trial)


def require_choice(record: StudyRecord) -> None:
    """Raise ChooseFromFront where a study has several best trials and none was chosen."""
    if record.best is None and record.front and confirmed(record.spec.name) is None:
        front = front_of(record)
        middle = record.front[len(record.front) // 2]
        raise ChooseFromFront(name=record.typed, points=front.said, pick=example(record), trial=middle.number)


def example(record: StudyRecord) -> str:
    """Return a condition that at least one trial of the front satisfies: with three digits, on the safe side."""
    value = record.front[len(record.front) // 2].value or 0.0
    digit = 10.0 ** (math.floor(math.log10(abs(value) or 1.0)) - 2)
    safe = record.sign * math.floor(record.sign * value / digit) * digit
    return f"{record.spec.metric} {'>=' if record.sign > 0 else '<='} {safe:.3g}"


def _picked(record: StudyRecord, pick: str) -> TrialRecord:
    metrics = list(record.spec.metrics)
    try:
        condition = Condition.read(pick, record.spec.metrics, "metric")
        found = [trial for trial in record.front if condition.holds(record.named(trial))]
    except ConditionError as error:
        raise WrongInput(reason=f"--pick {error}.") from None
    if not found:
        points = (
            f"its front is {front_of(record).said}"
            if record.front
            else f"it has none yet, for {record.lacks} ({record.states})"
        )
        raise WrongInput(reason=f"No trial on the front of {record.typed!r} satisfies --pick {pick!r}; {points}.")
    first = next((place for place, name in enumerate(metrics) if name not in condition.names), 0)

    def losses(trial: TrialRecord) -> tuple[float, ...]:
        own = losses_of(trial.values, record.spec.directions)
        return own[first], *own

    return min(found, key=losses)
