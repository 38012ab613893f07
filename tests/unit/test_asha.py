"""Halving that pauses: who goes on at a rung, who is resumed, and whose checkpoint is kept for that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from studies.names import DEFAULT, PAUSED, START_WITH
from studies.run.end import continuation
from studies.search.asha import N_FINISHED, Asha, directions_of, rungs, settings_of
from studies.storage.budget import Budget
from studies.study import is_done

from ..reports import make_spec

MAX_EPOCHS = 9


class Search:
    """One worker that trains settings whose curves are known, on Optuna's storage in memory."""

    def __init__(self, curves: Sequence[Sequence[float]], direction: str = "minimize") -> None:
        self.curves = curves
        self.pruner = Asha(1, MAX_EPOCHS, 3)
        self.study = optuna.create_study(direction=direction, pruner=self.pruner)
        self.resumed: list[int] = []  # the settings, in the order in which they were
        self.kept: dict[int, bool] = {}  # by trial: whether its checkpoint was kept all the time

    def run(self) -> None:
        """Run it to its end."""
        while self.step():
            pass

    def step(self) -> bool:
        """Resume a trial or begin a setting, and train it until it pauses or ends; False when nothing is left."""
        paused = self.pruner.next(self.study, len(self.curves))
        if paused is not None:
            self.resumed.append(self.setting(paused))
            assert self.kept[paused.number], "its checkpoint was removed"
            self.study.enqueue_trial({}, user_attrs=continuation(paused, 0)["attributes"])
        elif len(settings_of(self.study.trials)) == len(self.curves):
            return False
        trial = self.study.ask()
        self.train(trial, paused)
        self.tidy_up()
        return True

    def train(self, trial: optuna.Trial, paused: FrozenTrial | None) -> None:
        curve = self.curves[self.setting(trial._get_latest_trial())]
        begun = paused.last_step if paused is not None and paused.last_step is not None else 0
        for epoch, value in enumerate(curve, start=1):
            trial.report(value, epoch)
            if epoch > begun and epoch < MAX_EPOCHS and self.pruner.pauses(self.study, trial._get_latest_trial()):
                trial.set_user_attr(PAUSED, True)
                self.kept[trial.number] = True
                self.study.tell(trial, state=TrialState.PRUNED)
                return
        self.study.tell(trial, curve[-1])

    def tidy_up(self) -> None:
        needed = self.pruner.may_resume(self.study.trials, directions_of(self.study), len(self.curves))
        self.kept = {number: kept and number in needed for number, kept in self.kept.items()}

    def setting(self, trial: FrozenTrial) -> int:
        """Return which setting a trial is of."""
        firsts = sorted({setting.first for setting in settings_of(self.study.trials)})
        own = next(each for each in settings_of(self.study.trials) if each.last.number == trial.number or
                   trial.number in self.chain(each.last))  # fmt: skip
        return firsts.index(own.first)

    def chain(self, last: FrozenTrial) -> list[int]:
        found = [last.number]
        while (before := self.study.trials[found[-1]].user_attrs.get("continues")) is not None:
            found.append(before)
        return found

    def lengths(self) -> list[int]:
        """Return how many epochs each setting was trained."""
        return [max(setting.curve) for setting in sorted(settings_of(self.study.trials), key=lambda each: each.first)]


def flat(values: Sequence[float]) -> list[list[float]]:
    return [[value] * MAX_EPOCHS for value in values]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((1, 51, 3), [1, 3, 9, 27]),
        ((1, 10, 3), [1, 3]),  # 9 is too near to 10
        ((1, 6, 3), [1, 3]),
        ((2, 50, 4), [2, 8]),
        ((3, 10, 3), [3]),
        ((1, 1, 3), []),
        ((5, 3, 3), []),
    ],
)
def test_rungs(given_: tuple[int, int, int], expected: list[int]) -> None:
    assert rungs(*given_) == expected


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_what_comes_among_the_best_later_is_resumed(direction: str, sign: int) -> None:
    values = [5.0, 1.0, 4.0, 6.0, 7.0, 2.0, 8.0, 9.0, 3.0]
    search = Search(flat([sign * value for value in values]), direction)
    for _ in range(3):
        search.step()
    assert search.lengths() == [1, 1, 1]
    search.step()  # of three the second is the best: it waited, and goes on now
    assert (search.resumed, search.lengths()) == ([1], [1, 3, 1])
    search.run()
    assert [n for n, length in enumerate(search.lengths()) if length == MAX_EPOCHS] == [1, 5, 8]
    assert len(settings_of(search.study.trials)) == len(values)


def test_a_study_ends_with_some_that_are_complete_however_few_it_has() -> None:
    for n in range(1, 6):
        search = Search(flat([float(value) for value in range(n)]))
        search.run()
        complete = [trial for trial in search.study.trials if trial.state == TrialState.COMPLETE]
        assert len(complete) == min(n, N_FINISHED)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * MAX_EPOCHS), min_size=1, max_size=20))
def test_every_resumed_trial_has_its_checkpoint_and_in_the_end_none_is_left(curves: list[tuple[float, ...]]) -> None:
    search = Search(curves)
    search.run()  # which fails for a checkpoint that is missing
    assert not any(search.kept.values())
    assert all(length in (1, 3, MAX_EPOCHS) for length in search.lengths())
    assert sum(length == MAX_EPOCHS for length in search.lengths()) >= min(len(curves), N_FINISHED)


def test_what_a_person_named_first_is_not_paused() -> None:
    study = optuna.create_study()
    pruner = Asha(1, MAX_EPOCHS, 3)
    for attributes, paused in (({DEFAULT: True}, False), ({START_WITH: 0}, False), ({START_WITH: 1}, True)):
        study.enqueue_trial({}, user_attrs=attributes)
        trial = study.ask()
        trial.report(9.0, 1)
        assert pruner.pauses(study, trial._get_latest_trial()) is paused


def test_what_violates_a_constraint_is_resumed_after_what_does_not() -> None:
    study = optuna.create_study()
    pruner = Asha(1, MAX_EPOCHS, 3)
    for value in (1.0, 3.0, 2.0):
        trial = study.ask()
        trial.report(value, 1)
        trial.set_user_attr(PAUSED, True)
        if value == 1.0:
            trial.set_constraint("n_parameters", 0.5)
        study.tell(trial, state=TrialState.PRUNED)
    paused = pruner.next(study, 9)
    assert paused is not None
    assert paused.number == 2


def test_the_rung_that_it_was_paused_at_decides_nothing_again() -> None:
    """Whoever is resumed without its checkpoint trains the same epochs once more."""
    search = Search(flat([3.0, 1.0, 2.0]))
    for _ in range(3):
        search.step()
    paused = search.pruner.next(search.study, 9)
    assert paused is not None
    assert paused.number == 1
    search.study.enqueue_trial({}, user_attrs=continuation(paused, 0)["attributes"])
    again = search.study.ask()
    for number in range(2):  # meanwhile others are better
        other = search.study.ask()
        other.report(0.1 * number, 1)
    again.report(1.0, 1)
    assert not search.pruner.pauses(search.study, again._get_latest_trial())
    for epoch in (2, 3):
        again.report(1.0, epoch)
    assert search.pruner.pauses(search.study, again._get_latest_trial())


def test_a_lost_trial_is_compared_once_at_each_rung() -> None:
    study = optuna.create_study()
    lost = study.ask()
    lost.report(1.0, 1)
    study.tell(lost, state=TrialState.FAIL)
    study.enqueue_trial({}, user_attrs=continuation(study.trials[0], 1)["attributes"])
    again = study.ask()
    again.report(1.0, 1)
    (setting,) = settings_of(study.trials)
    assert (setting.first, setting.last.number, setting.curve) == (0, 1, {1: (1.0,)})
    assert Asha(1, MAX_EPOCHS, 3).pauses(study, again._get_latest_trial())


def test_what_is_no_number_is_last_and_what_cannot_be_resumed_goes_on_as_the_best() -> None:
    study = optuna.create_study()
    pruner = Asha(1, MAX_EPOCHS, 3)
    for value, paused, pruned in ((2.0, True, False), (math.nan, True, True), (3.0, True, True), (1.0, False, False)):
        trial = study.ask()
        trial.report(value, 1)
        latest = trial._get_latest_trial()
        assert (pruner.pauses(study, latest), pruner.prune(study, latest)) == (paused, pruned)


def test_a_study_with_a_paused_trial_to_resume_is_not_done() -> None:
    """As when a launch is interrupted after the last setting has begun: typed again, it goes on."""
    spec = make_spec(n_trials=3, max_epochs=MAX_EPOCHS)
    search = Search(flat([3.0, 1.0, 2.0]))
    for n_done in range(3):
        assert not is_done(search.study, spec, Budget(n_trials=3, counted=n_done))
        search.step()
    assert not is_done(search.study, spec, Budget(n_trials=3, counted=3))
    search.run()
    assert is_done(search.study, spec, Budget(n_trials=3, counted=3))
