"""A whole study, read back: its spec, its data set and every trial."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from studies.names import CONFIRMS, CONTINUED_BY, CONTINUES, DATA, REASON, SPEC, START_WITH, confirmation, exact
from studies.search.race import Confirmation, Standing, contenders, stand
from studies.spec.space import Choice, Domain, Parameter, Range, Space
from studies.study import find, get, space_of, spec_of, typed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from studies.spec import StudySpec
    from studies.spec.space import Value
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

    @property
    def seconds(self) -> float | None:
        """How long it trained; of one whose worker died, how long until that was noticed."""
        if "seconds" in self.attributes:
            return float(self.attributes["seconds"])
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    @property
    def published(self) -> int | None:
        """Which entry of `start_with` it is, the settings that the model's authors published; None for any other."""
        return self.attributes.get(START_WITH)

    def epochs(self, metric: str) -> dict[int, dict[str, float]]:
        """Every epoch with all its metrics; of a trial that did not end by itself, with the study's metric alone."""
        history = dict(enumerate(self.attributes.get("history") or [], start=1))
        found = {epoch: {metric: value} for epoch, value in self.curve.items()}
        return {epoch: found.get(epoch, {}) | history.get(epoch, {}) for epoch in sorted({*found, *history})}


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands in the storage. data: name, sha256 and summary of its data set.

    space: what is searched; of a plain function, what its trials suggested. confirmation: the best few under fresh
    seeds, as far as `studies confirm` has come. has_newer: whether there is a newer version of it.
    """

    spec: StudySpec
    data: dict[str, Any]
    trials: list[Trial]
    space: Space = field(default_factory=lambda: Space({}))
    confirmation: Confirmation | None = None
    has_newer: bool = False

    @property
    def typed(self) -> str:
        """The name as a person types it to mean this version and no newer one."""
        return exact(self.spec.name) if self.has_newer else self.spec.name

    @property
    def sign(self) -> int:
        """1 when larger is better, -1 when smaller is."""
        return 1 if self.spec.direction == "maximize" else -1

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best value; the earlier of two equal ones."""
        return next(iter(self.ranked), None)

    @property
    def confirmed(self) -> Standing | None:
        """The winner under fresh seeds, once it is known, and unless the best trial was not among the contenders."""
        found, best = self.confirmation, self.best
        if found is None or best is None:
            return None
        contenders = {standing.trial for standing in found.standings}
        settings = [trial.params for trial in self.trials if trial.number in contenders]
        return found.winner if best.params in settings else None

    @property
    def chosen(self) -> Trial | None:
        """The trial to use: the winner under fresh seeds if there is one, else the best."""
        if (winner := self.confirmed) is None:
            return self.best
        return next(trial for trial in self.trials if trial.number == winner.trial)

    @property
    def ranked(self) -> list[Trial]:
        """The completed trials, best first."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return sorted(complete, key=lambda trial: (-self.sign * (trial.value or 0.0), trial.number))

    @property
    def parameters(self) -> list[str]:
        """The parameters that any trial had, in the order of the space."""
        used = {name: None for trial in self.trials for name in trial.params}
        return [name for name in self.space.parameters if name in used] + [
            name for name in used if name not in self.space.parameters
        ]

    @property
    def counts(self) -> dict[str, int]:
        """Trials that count, by how they ended; one that a continuation replaced does not."""
        states = [trial.state for trial in self.trials if trial.continued_by is None]
        return {name: states.count(state) for name, state in ENDS.items()}

    @property
    def states(self) -> str:
        """The same as words."""
        return ", ".join(f"{n} {state}" for state, n in self.counts.items())


ENDS = {"complete": "complete", "pruned": "pruned", "failed": "fail"}


def read_record(storage: Storage, name: str) -> StudyRecord:
    """Return the study; StudyNotStarted when the storage has none of this name."""
    study = get(storage, name)
    space = space_of(study)
    stored = study.get_trials(deepcopy=False)
    trials = [trial_of(frozen, space) for frozen in stored]
    searched = space if space.parameters else _suggested(stored)
    confirmed = _confirmation(storage, study)
    has_newer = typed(storage, study.study_name) != study.study_name
    return StudyRecord(spec_of(study), study.user_attrs[DATA], trials, searched, confirmed, has_newer)


def _confirmation(storage: Storage, study: Study) -> Confirmation | None:
    found = find(storage, confirmation(study.study_name))
    if found is None or SPEC not in found.user_attrs:
        return None
    race = found.user_attrs[CONFIRMS]
    sign = 1 if spec_of(found).direction == "maximize" else -1
    return stand(contenders(found.get_trials(deepcopy=False), race["published"]), sign, len(race["seeds"]))


def _suggested(trials: list[FrozenTrial]) -> Space:
    """Return the space of a plain function, which declares none: what it asked Optuna for."""
    found = {name: distribution for trial in trials for name, distribution in trial.distributions.items()}
    return Space({name: Parameter(name, _domain(distribution)) for name, distribution in found.items()})


def _domain(distribution: BaseDistribution) -> Domain:
    kept = vars(distribution)
    if hasattr(distribution, "choices"):
        return Choice(tuple(distribution.choices))
    return Range(kept["low"], kept["high"], kept["log"], kept["step"])


def trial_of(frozen: FrozenTrial, space: Space) -> Trial:
    """Return a trial as Optuna has it in our words."""
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
        curve=dict(sorted(frozen.intermediate_values.items())),  # the storage promises no order
        reason=attributes.get(REASON),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
        continues=attributes.get(CONTINUES),
        continued_by=attributes.get(CONTINUED_BY),
        attributes=attributes,
    )
