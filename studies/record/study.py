"""A whole study as it was read back: its spec, its data set and every trial. `reading` makes it from the storage."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from studies.metrics import course_of
from studies.names import (
    CONTENDER,
    DETAIL,
    ENDED,
    EVIDENCE,
    HISTORY,
    IN_VAIN,
    METRICS,
    PEAK_MEMORY_MIB,
    PROVENANCE,
    RUNGS,
    SECONDS,
    SEED,
    START_WITH,
    Direction,
    State,
    exact,
    is_feasible,
    may_be_best,
)
from studies.pareto import front, losses_of, order
from studies.record.verdicts import Verdict, stored_verdict
from studies.search.repeats import Repeated, Result, firsts, in_order, ranked
from studies.spec.space import Space
from studies.words import number

if TYPE_CHECKING:
    from studies.search.race import Confirmation, Standing
    from studies.spec import StudySpec
    from studies.spec.values import Value


@dataclass(frozen=True)
class TrialRecord:
    """One trial. params: of every parameter that existed in it, fixed ones included. epoch: that of the value.

    value: of the study's metric; others: of the metrics after the first. curve: the first metric by epoch, from the
    first epoch to the last. continues, continued_by: numbers of other trials. attributes: every user attribute, as it
    is exported; each that is read by itself has a property here. constraints: by name, what the objective told Optuna
    with `trial.set_constraint()`; a value above 0 is a violated one. repeated: what its
    setting has reached, of the first of several repeats (`with_repeats`).
    """

    number: int
    state: State
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
    constraints: dict[str, float] = field(default_factory=dict)
    others: tuple[float, ...] = ()
    repeated: Repeated | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """Its value of each of the study's metrics; empty without one."""
        return () if self.value is None else (self.value, *self.others)

    @property
    def is_feasible(self) -> bool:
        """Whether it violates no constraint; the best trial is always one that does not."""
        return is_feasible(self.constraints)

    @property
    def violated(self) -> dict[str, float]:
        """By how much it violates each constraint that it does."""
        return {name: excess for name, excess in self.constraints.items() if excess > 0}

    @property
    def is_resumed(self) -> bool:
        """Whether it was paused, and another trial went on with it."""
        return self.state == State.PRUNED and self.continued_by is not None

    @property
    def seed(self) -> int | None:
        """What everything random in it drew from; None before it begins."""
        return self.attributes.get(SEED)

    @property
    def seconds(self) -> float | None:
        """How long it trained. Where its worker died: how long until that was noticed."""
        if SECONDS in self.attributes:
            return float(self.attributes[SECONDS])
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    @property
    def given(self) -> int | None:
        """Which entry of the study file's `start_with` it is; None for any other."""
        return self.attributes.get(START_WITH)

    @property
    def mean(self) -> float | None:
        """The mean value of its setting over its repeats, of the first of them that is complete; of any other, None."""
        return None if self.repeated is None else self.repeated.mean

    @property
    def sd(self) -> float | None:
        """The standard deviation that belongs to `mean`; None of one trial."""
        return None if self.repeated is None else self.repeated.sd

    @property
    def ranking(self) -> float | None:
        """What ranks it: the mean of its repeats, or else its value."""
        return self.value if self.repeated is None else self.repeated.mean

    @property
    def contender(self) -> int | None:
        """In a confirmation, the number of the study's trial whose parameters it repeats."""
        return self.attributes.get(CONTENDER)

    @property
    def history(self) -> list[dict[str, float]]:
        """All metrics of every epoch, from the first; empty for a lost trial, a crash, or a plain function."""
        return self.attributes.get(HISTORY) or []

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics of the epoch of its value; empty without one."""
        return self.attributes.get(METRICS) or {}

    @property
    def evidence(self) -> Any:
        """What the training said about its predictions in that epoch, as plain JSON; None where it said nothing."""
        return self.attributes.get(EVIDENCE)

    @property
    def detail(self) -> str | None:
        """Why it ended as it did, in words."""
        found = self.attributes.get(DETAIL)
        return None if found is None else str(found)

    @property
    def provenance(self) -> dict[str, Any]:
        """Commit, versions, device, host and the hash of the data; empty where its worker died."""
        return self.attributes.get(PROVENANCE) or {}

    @property
    def peak_memory_mib(self) -> float | None:
        """Of torch on a GPU, else of the worker's process."""
        return self.attributes.get(PEAK_MEMORY_MIB)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that is stored with it; None before it ends."""
        return stored_verdict(self.attributes)

    def following(self, metric: str) -> TrialRecord:
        """Return it with the curve of this metric, the first of several: Optuna's tables have none of them."""
        return replace(self, curve=course_of(metric, self.attributes.get(RUNGS, {}), self.history))

    def epochs(self, metric: str) -> dict[int, dict[str, float]]:
        """Return every epoch with all its metrics; without `history`, with the study's metric only."""
        history = dict(enumerate(self.history, start=1))
        found = {epoch: {metric: value} for epoch, value in self.curve.items()}
        return {epoch: found.get(epoch, {}) | history.get(epoch, {}) for epoch in sorted({*found, *history})}

    def course(self, name: str, metric: str) -> dict[int, float]:
        """Return what `epochs` has of one metric, by epoch; without it, nothing. metric: the study's."""
        own = {epoch: metrics[name] for epoch, metrics in enumerate(self.history, start=1) if name in metrics}
        return own if name != metric else dict(sorted((self.curve | own).items()))


@dataclass(frozen=True)
class StudyRecord:
    """A study as it stands in the storage. data: name, sha256, summary of its data, and perhaps baselines.

    space: what is searched; for a plain function, what its trials suggested. confirmation: the best few under fresh
    seeds, as far as `studies confirm` has come. has_newer: whether there is a newer version of it. has_asked_all:
    whether nothing is left that its plain function could ask for (`search.asked`). chosen: the number of the trial that
    a person chose from its front (`record.choice`).
    """

    spec: StudySpec
    data: dict[str, Any]
    trials: list[TrialRecord]
    space: Space = field(default_factory=lambda: Space({}))
    confirmation: Confirmation | None = None
    has_newer: bool = False
    has_asked_all: bool = False
    chosen: int | None = None

    @property
    def simple(self) -> float | None:
        """What a simple model (`data["baseline_model"]`) scores; None where the objective does not say."""
        return (self.data.get("baselines") or {}).get(self.spec.metric)

    @property
    def typed(self) -> str:
        """The name as a person types it to mean this version and no newer one."""
        return exact(self.spec.name) if self.has_newer else self.spec.name

    @property
    def sign(self) -> int:
        """1 when larger is better, -1 when smaller is; of several metrics, for the first."""
        return self.spec.direction.sign

    @property
    def best(self) -> TrialRecord | None:
        """The study's winner, everywhere: the winner under fresh seeds if there is one, else the first of `ranked`.

        With several metrics the one that was chosen, or that stands alone on the front; else None.
        """
        number = self.confirmed.trial if self.confirmed is not None else self.chosen
        if number is not None:
            return next(trial for trial in self.trials if trial.number == number)
        return self.front[0] if len(self.front) == 1 else None

    @property
    def best_trials(self) -> list[TrialRecord]:
        """The winner alone, or the front where there is none."""
        return self.front if self.best is None else [self.best]

    @property
    def best_given(self) -> TrialRecord | None:
        """The first of `ranked` that is of the study file's `start_with`; None without one."""
        return next((trial for trial in self.ranked if trial.given is not None), None)

    @property
    def leader(self) -> TrialRecord | None:
        """The trial that others are compared with: the winner, or the best in the first of several metrics."""
        return self.best or next(iter(self.ranked), None)

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The trials of `ranked` that no other one dominates; with one metric, the best one."""
        if not self.spec.has_several:
            return self.ranked[:1]
        return [self.ranked[place] for place in front(self._losses(self.ranked))]

    @property
    def confirmed(self) -> Standing | None:
        """The winner under fresh seeds, once it is known, and unless the search has found better settings since."""
        found = self.confirmation
        if found is None or not self.ranked or self.chosen is not None:
            return None
        contenders = {standing.trial for standing in found.standings}
        settings = [trial.params for trial in self.trials if trial.number in contenders]
        return found.winner if self.ranked[0].params in settings else None

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """The completed trials that may be the best, the best first; the earlier of two equal ones.

        With several metrics the front comes first, then the one behind it, and so on (`studies.pareto`).
        Of repeated settings there is the first trial of each, in the order of `search.repeats.ranked`, then the others.
        """
        complete = [trial for trial in self.trials if may_be_best(trial)]
        if self.spec.repeats > 1:
            known = {trial.number: trial for trial in complete}
            settings = in_order([trial.repeated for trial in complete if trial.repeated], self.spec.direction)
            return [known[one.trial] for one in settings] + [trial for trial in complete if trial.repeated is None]
        return [complete[place] for place in order(self._losses(complete))]

    def _losses(self, trials: Sequence[TrialRecord]) -> list[tuple[float, ...]]:
        directions = self.spec.directions
        return [losses_of(trial.values, directions) for trial in trials]

    def named(self, trial: TrialRecord) -> dict[str, float]:
        """Return a trial's values by the names of the study's metrics."""
        return dict(zip(self.spec.metrics, trial.values, strict=False))

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """The verdict of every trial that has ended, by its number, as `read` brought them up to date."""
        ended = [trial for trial in self.trials if trial.state in ENDED]
        return {trial.number: trial.verdict for trial in ended if trial.verdict is not None}

    @property
    def parameters(self) -> list[str]:
        """The parameters that any trial had, in the order of the space."""
        used = {name: None for trial in self.trials for name in trial.params}
        return [name for name in self.space.parameters if name in used] + [
            name for name in used if name not in self.space.parameters
        ]

    @cached_property
    def is_function(self) -> bool:
        """Whether its objective is a plain function, which counts the steps it reports as it likes, often from 0."""
        ended = [trial for trial in self.trials if trial.state in (State.COMPLETE, State.PRUNED)]
        return bool(ended) and not any(trial.history for trial in ended)

    @property
    def unit(self) -> str:
        """What a point of a curve is called: an epoch, or a plain function's step."""
        return "step" if self.is_function else "epoch"

    @cached_property
    def max_epochs(self) -> int:
        """The most epochs that a trial may train; of a plain function, the most values that any trial reported."""
        if not self.is_function:
            return self.spec.max_epochs
        return max(len(trial.curve) for trial in self.trials)

    @cached_property
    def is_used_up(self) -> bool:
        """Whether every setting of its space was tried, so that nothing is left to search."""
        if self.has_asked_all:
            return True
        every = None if self.is_function else self.space.settings()
        return every is not None and self._tried.issuperset(json.dumps(one, sort_keys=True) for one in every)

    @property
    def n_settings(self) -> int:
        """How many settings were tried."""
        return len(self._tried)

    @cached_property
    def _tried(self) -> set[str]:
        """The settings that were tried, as JSON; see `names.has_tried`."""
        return {
            json.dumps(trial.params, sort_keys=True)
            for trial in self.trials
            if trial.continued_by is None or trial.reason not in IN_VAIN
        }

    @property
    def counts(self) -> dict[str, int]:
        """Trials that count, by how they ended; one that a continuation replaced does not."""
        states = [trial.state for trial in self.trials if trial.continued_by is None]
        return {name: states.count(state) for name, state in ENDS.items()}

    @property
    def n_infeasible(self) -> int:
        """How many completed trials violate a constraint."""
        return len(self._infeasible)

    @property
    def _infeasible(self) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.state == State.COMPLETE and not trial.is_feasible]

    @property
    def lacks(self) -> str:
        """Why there is no best trial, as a sentence's part; where constraints are the reason, what comes nearest."""
        if not self.counts["complete"]:
            return "no trial is complete"
        if not self._infeasible:
            return "no completed trial has a finite value"
        nearest = min(self._infeasible, key=lambda trial: (len(trial.violated), max(trial.violated.values())))
        by = " and ".join(
            f"{name} by {'more than any number' if excess >= sys.float_info.max else number(excess)}"
            for name, excess in nearest.violated.items()
        )
        return f"no completed trial is feasible, and trial {nearest.number} comes nearest: it violates {by}"

    @property
    def states(self) -> str:
        """The counts in words, such as '5 complete (2 infeasible), 11 pruned, 0 failed'."""
        of_them = {"complete": f" ({self.n_infeasible} infeasible)" if self.n_infeasible else ""}
        return ", ".join(f"{n} {state}{of_them.get(state, '')}" for state, n in self.counts.items())


ENDS = {"complete": State.COMPLETE, "pruned": State.PRUNED, "failed": State.FAIL}  # by the words of a summary


def with_repeats(trials: Sequence[TrialRecord], direction: Direction) -> list[TrialRecord]:
    """Return the trials of a study with `repeats`, given by number, with what each one's setting has reached."""
    first = firsts({trial.number: trial.attributes for trial in trials})
    results = [Result(one.number, first[one.number], one.values[0]) for one in trials if may_be_best(one)]
    settings = {one.trial: one for one in ranked(results, direction)}
    return [replace(trial, repeated=settings.get(trial.number)) for trial in trials]
