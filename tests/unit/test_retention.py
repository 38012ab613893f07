"""However the workers' tidying interleaves, no trial loses a checkpoint that it could go on from, and few are kept."""

from __future__ import annotations

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from studies.names import CONTINUES, REPEATS, Direction
from studies.run.retention import KEPT, best, is_among_best, needed, sources, stands_for_setting

EVENTS = ("start", "save", "complete", "fail", "lose", "claim", "list", "judge", "delete")


class History:
    """A study and a store. `model` is the store that nobody tidies."""

    def __init__(self, n_repeats: int) -> None:
        self.n_repeats = n_repeats
        self.trials: list[FrozenTrial] = []
        self.stored: set[int] = set()
        self.model: set[int] = set()
        self.listings: list[set[int]] = []
        self.doomed: list[set[int]] = []

    def in_state(self, state: TrialState) -> list[int]:
        return [trial.number for trial in self.trials if trial.state == state]

    def add(self, state: TrialState, **attributes: int) -> None:
        trial = optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.0, user_attrs=attributes)
        trial.state, trial.number = state, len(self.trials)
        self.trials.append(trial)

    def happen(self, event: str, choice: int, value: int) -> None:
        running, waiting = self.in_state(TrialState.RUNNING), self.in_state(TrialState.WAITING)
        if event == "start":
            self.add(TrialState.RUNNING)
        elif event == "claim" and waiting:
            self.trials[waiting[0]].state = TrialState.RUNNING
        elif event == "list":
            self.listings.append(set(self.stored))
        elif event == "judge" and self.listings:
            stored = self.listings.pop(choice % len(self.listings))
            self.doomed.append(stored - needed(stored, self.trials, [Direction.MINIMIZE]))
        elif event == "delete" and self.doomed:
            self.stored -= self.doomed.pop(choice % len(self.doomed))
        elif event in ("save", "complete", "fail", "lose") and running:
            self.hurt_or_end(event, running[choice % len(running)], float(value))

    def hurt_or_end(self, event: str, number: int, value: float) -> None:
        trial = self.trials[number]
        if event == "save" or (event == "complete" and self.may_be_kept(number, value)):
            self.stored.add(number)
            self.model.add(number)
        if event == "complete":
            if REPEATS not in trial.user_attrs:
                for _ in range(self.n_repeats - 1):
                    self.add(TrialState.WAITING, **{REPEATS: min([number, *sources(number, self.trials)])})
            trial.state, trial.value = TrialState.COMPLETE, value
        elif event in ("fail", "lose"):
            trial.state = TrialState.FAIL
            if event == "lose":
                repeated = {REPEATS: trial.user_attrs[REPEATS]} if REPEATS in trial.user_attrs else {}
                self.add(TrialState.WAITING, **{CONTINUES: number}, **repeated)

    def may_be_kept(self, number: int, value: float) -> bool:
        if self.n_repeats > 1:
            return stands_for_setting(number, self.trials)
        return is_among_best([value], self.trials, [Direction.MINIMIZE])

    def goes_on_from(self, number: int, store: set[int]) -> int | None:
        return next((source for source in (number, *sources(number, self.trials)) if source in store), None)


@pytest.mark.parametrize("n_repeats", [1, 3])
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 9), st.integers(0, 9)), min_size=60, max_size=150))
def test_no_checkpoint_is_lost_and_few_are_kept(n_repeats: int, events: list[tuple[str, int, int]]) -> None:
    history = History(n_repeats)
    for event in events:
        history.happen(*event)
        unfinished = history.in_state(TrialState.RUNNING) + history.in_state(TrialState.WAITING)
        for number in unfinished:
            assert history.goes_on_from(number, history.stored) == history.goes_on_from(number, history.model)
        assert {*best(history.model, history.trials, [Direction.MINIMIZE])} <= history.stored
    left = history.stored & needed(history.stored, history.trials, [Direction.MINIMIZE])
    assert len(left) <= KEPT + len(unfinished) * min(2, n_repeats)  # with repeats, one for its setting as well


def test_the_best_by_direction_and_age() -> None:
    trials = [optuna.trial.create_trial(value=value) for value in (3.0, 1.0, 2.0, 1.0, 5.0)]
    for number, trial in enumerate(trials):
        trial.number = number
    assert best(range(5), trials, [Direction.MINIMIZE]) == [1, 3, 2]
    assert best(range(5), trials, [Direction.MAXIMIZE]) == [4, 0, 2]
    assert is_among_best([1.5], trials, [Direction.MINIMIZE])
    assert not is_among_best([2.0], trials, [Direction.MINIMIZE])
    assert is_among_best([2.5], trials, [Direction.MAXIMIZE])
    assert is_among_best([-9.0], trials[:2], [Direction.MAXIMIZE])


def test_a_trial_that_violates_a_constraint_is_none_of_the_best() -> None:
    trials = [optuna.trial.create_trial(value=value) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    for number, trial in enumerate(trials):
        trial.number = number
        if number < 2:
            trial.set_constraint("seconds", 0.5 if number else math.inf)
    assert best(range(5), trials, [Direction.MINIMIZE]) == [2, 3, 4]
    assert needed(range(5), trials, [Direction.MINIMIZE]) == {2, 3, 4}
    assert is_among_best([4.5], trials, [Direction.MINIMIZE])
    assert not is_among_best([5.0], trials, [Direction.MINIMIZE])


def test_the_best_settings_by_mean_keep_one_checkpoint_each_and_not_the_luckiest_seeds() -> None:
    values = {0: (0.1, 9.0, 9.0), 3: (2.0, 2.0, 2.0), 6: (1.0, 1.0, 1.0), 9: (0.2, 9.0, 9.0), 12: (3.0, 3.0, 3.0)}
    trials = []
    for first, its in values.items():
        for place, value in enumerate(its):
            own = {REPEATS: first} if place else {}
            trials.append(optuna.trial.create_trial(value=value, user_attrs=own))
            trials[-1].number = first + place
    assert needed(range(15), trials, [Direction.MINIMIZE]) == {6, 3, 12}
    trials[2].state = TrialState.RUNNING  # its setting may be among the best yet
    assert needed(range(15), trials, [Direction.MINIMIZE]) == {6, 3, 12, 0, 2}
    assert stands_for_setting(0, trials[:1])
    assert not stands_for_setting(2, trials)
    trials[0].state = TrialState.FAIL
    assert stands_for_setting(1, trials)
