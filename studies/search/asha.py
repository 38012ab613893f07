"""Asynchronous successive halving that pauses and resumes (ASHA: Li et al., MLSys 2020).

At a rung, a trial goes on if it is among the best 1 / reduction_factor of all that came so far. If not, it is paused:
it ends as pruned and keeps its checkpoint, and its worker is free. A free worker first resumes the best paused trial
that has come among the best since, at the highest rung where there is one, and else starts a new setting. So no trial
is stopped for good because it came early, and nobody waits for a rung to fill.

When all settings have begun, the best N_FINISHED at each rung go on as well, so that a study ends with some that
trained to their end. The first setting that a person named, or the declared default, is never paused: it is what all
others are compared with. Nor is a repeat, which no other is compared with either: its setting has been already.

With several metrics the best are those on the Pareto front, then those on the next one, and so on
(`studies.pareto`); Optuna keeps one number an epoch, so what trials had at the rungs is an attribute, RUNGS.

Everything follows from what trials reported, so trials of every other Optuna program compete, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from studies.names import CONTINUES, DEFAULT, PAUSED, REPEATS, RUNGS, START_WITH, Direction, is_feasible
from studies.pareto import losses_of, order

if TYPE_CHECKING:
    from studies.spec import StudySpec

N_FINISHED = 3  # as many as a confirmation compares


@dataclass(frozen=True)
class Setting:
    """What is known of one setting: from its first trial and from those that continue it.

    first: the number of the oldest of these trials. last: the newest. curve: values by epoch, of several
    metrics those at the rungs. resumed_after: the epoch that it was last resumed after, 0 if never.
    """

    first: int
    last: FrozenTrial
    curve: dict[int, tuple[float, ...]]
    resumed_after: int = 0

    @property
    def has_begun(self) -> bool:
        """Whether any trial of it has run."""
        return self.last.state != TrialState.WAITING or CONTINUES in self.last.user_attrs

    @property
    def is_paused(self) -> bool:
        """Whether another trial can go on from where it is."""
        return self.last.state == TrialState.PRUNED and PAUSED in self.last.user_attrs

    def after(self, epochs: int) -> tuple[float, ...] | None:
        """Return the values after so many epochs; None before them. Where that epoch was not reported, of the next."""
        if epochs in self.curve:
            return self.curve[epochs]
        later = min((epoch for epoch in self.curve if epoch > epochs), default=None)
        return None if later is None else self.curve[later]


def directions_of(study: Study) -> list[Direction]:
    """Return whether more or less of each of a study's metrics is better."""
    return [Direction(to.name.lower()) for to in study.directions]


def settings_of(trials: Sequence[FrozenTrial], n_metrics: int = 1) -> list[Setting]:
    """Return the settings of a study's trials, which are given by number.

    Those with numbers below 0 are of other studies: each is a setting by itself, without a curve, and they come first.
    """
    others = [Setting(-1, trial, {}) for trial in trials if trial.number < 0]
    found: dict[int, Setting] = {}
    for trial in (one for one in trials if one.number >= 0):
        before = found.pop(trial.user_attrs.get(CONTINUES, -1), None)
        if before is None:
            found[trial.number] = Setting(trial.number, trial, _curve(trial, n_metrics))
        else:
            paused = before.last.state == TrialState.PRUNED
            resumed_after = max(before.curve, default=0) if paused else before.resumed_after
            curve = before.curve | _curve(trial, n_metrics)
            found[trial.number] = Setting(before.first, trial, curve, resumed_after)
    return others + list(found.values())


def _curve(trial: FrozenTrial, n_metrics: int) -> dict[int, tuple[float, ...]]:
    if n_metrics == 1:
        return {epoch: (value,) for epoch, value in trial.intermediate_values.items()}
    return {int(epoch): tuple(values) for epoch, values in trial.user_attrs.get(RUNGS, {}).items()}


def rungs_of(spec: StudySpec) -> list[int]:
    """Return after how many epochs a study's trials are compared."""
    return rungs(spec.pruner.min_epochs, spec.max_epochs, spec.pruner.reduction_factor)


def rungs(min_epochs: int, max_epochs: int, reduction_factor: int) -> list[int]:
    """Return after how many epochs trials are compared: min_epochs, and each time so many times more.

    None is nearer to max_epochs than half a step: so late, little is left to save.
    """
    found = []
    epochs = min_epochs
    while epochs * math.sqrt(reduction_factor) <= max_epochs:
        found.append(epochs)
        epochs *= reduction_factor
    return found


class Asha(BasePruner):
    """Optuna's view of it: `prune` says which trials end. `pauses` and `next` are for those that can be resumed."""

    def __init__(self, min_epochs: int, max_epochs: int, reduction_factor: int) -> None:
        self.rungs = rungs(min_epochs, max_epochs, reduction_factor)
        self._factor = reduction_factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a trial ends that cannot be resumed: the best one so far always goes on."""
        found = self._rank(study, trial)
        return found is not None and found[0] >= max(found[1] // self._factor, 1)

    def pauses(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a trial that can be resumed is to be paused after its last report."""
        found = self._rank(study, trial)
        return found is not None and found[0] >= found[1] // self._factor

    def next(self, study: Study, n_trials: int) -> FrozenTrial | None:
        """Return the paused trial that a free worker resumes; None where it starts a new one, if any is left."""
        directions, settings = _settings(study)
        all_begun = sum(setting.has_begun for setting in settings) >= n_trials
        for rung in reversed(self.rungs):
            ranked = _ranked(settings, rung, directions)
            n_best = max(len(ranked) // self._factor, N_FINISHED if all_begun else 0)
            for setting in self._paused(ranked[:n_best], rung):
                return setting.last
        return None

    def may_resume(self, trials: Sequence[FrozenTrial], directions: Sequence[Direction], n_trials: int) -> set[int]:
        """Return the numbers of the paused trials that may yet be resumed, were all that is still to come worse."""
        settings = settings_of(trials, len(directions))
        n_to_come = max(n_trials - sum(setting.has_begun for setting in settings), 0)
        n_to_come += sum(not setting.last.state.is_finished() for setting in settings)
        found: set[int] = set()
        for rung in self.rungs:
            ranked = _ranked(settings, rung, directions)
            n_best = max((len(ranked) + n_to_come) // self._factor, N_FINISHED)
            here = {setting.last.number for setting in self._paused(ranked[:n_best], rung)}
            n_to_come += len(here)  # to the next rung
            found |= here
        return found

    def _paused(self, settings: Sequence[Setting], rung: int) -> Iterator[Setting]:
        """Yield those that are paused at this rung."""
        for setting in settings:
            if setting.is_paused and rung == max(each for each in self.rungs if setting.after(each) is not None):
                yield setting

    def _rank(self, study: Study, trial: FrozenTrial) -> tuple[int, int] | None:
        """Return how many are better at the rung that a trial has just come to, and how many came; None between rungs.

        At a rung where it was paused before, nothing is decided again; of what a person named first, nothing at all.
        """
        step = trial.last_step
        attributes = trial.user_attrs
        if step is None or DEFAULT in attributes or REPEATS in attributes or attributes.get(START_WITH) == 0:
            return None
        before = max((epoch for epoch in trial.intermediate_values if epoch < step), default=0)
        rung = max((each for each in self.rungs if before < each <= step), default=None)
        if rung is None:
            return None
        directions, settings = _settings(study)
        if any(each.last.number == trial.number and each.resumed_after >= rung for each in settings):
            return None
        ranked = _ranked(settings, rung, directions)
        numbers = [setting.last.number for setting in ranked]
        return (numbers.index(trial.number) if trial.number in numbers else len(ranked)), len(ranked)


def _settings(study: Study) -> tuple[list[Direction], list[Setting]]:
    directions = directions_of(study)
    return directions, settings_of(study.get_trials(deepcopy=False), len(directions))


def _ranked(settings: Sequence[Setting], rung: int, directions: Sequence[Direction]) -> list[Setting]:
    """Return those with values after so many epochs, the best first: of equal ones the older, infeasible ones last."""
    known: dict[bool, list[tuple[Setting, tuple[float, ...]]]] = {True: [], False: []}  # by whether it is feasible
    for setting in sorted(settings, key=lambda each: each.first):
        values = setting.after(rung)
        is_first = REPEATS not in setting.last.user_attrs
        if is_first and values is not None and not any(map(math.isnan, values)):
            known[is_feasible(setting.last.constraints)].append((setting, losses_of(values, directions)))
    return [group[place][0] for group in known.values() for place in order([losses for _, losses in group])]
