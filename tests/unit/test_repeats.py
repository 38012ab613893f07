"""Repeats: a setting that trained to its end runs under more seeds, once, and its mean ranks it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from studies.names import CONTINUES, DECLARED, REPEATS, SPEC, Direction
from studies.report.page import render
from studies.run.trial import _suggest
from studies.search import repeats
from studies.search.asha import Asha
from studies.search.samplers import make_sampler
from studies.spec import StudySpec
from studies.spec.space import Space
from studies.study import n_in_the_end

from ..reports import make_report, make_trial


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def asked(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    return trial


def test_a_first_trial_queues_the_others_once(study: optuna.Study) -> None:
    first = asked(study)
    for _ in range(2):  # a worker may die between this and the end of the trial
        repeats.queue(study, first, 3)
    study.tell(first, 1.0)
    again = [asked(study), asked(study)]
    assert [trial.params for trial in again] == [first.params] * 2
    for trial in again:
        repeats.queue(study, trial, 3)
    assert len(study.get_trials()) == 3


def test_one_that_continues_a_lost_first_trial_finds_what_that_queued(study: optuna.Study) -> None:
    lost = asked(study)
    repeats.queue(study, lost, 3)
    study.tell(lost, state=TrialState.FAIL)
    repeated = [asked(study), asked(study)]
    study.enqueue_trial(lost.params, user_attrs={CONTINUES: lost.number})
    first = asked(study)
    repeats.queue(study, first, 3)
    assert len(study.get_trials()) == 4
    for value, trial in enumerate([*repeated, first]):
        study.tell(trial, float(value))
    assert repeats.ranked_of(study.get_trials(), Direction.MAXIMIZE) == [repeats.Repeated(1, 3, 1.0, 1.0)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), min_size=1), st.sampled_from(Direction), st.randoms())
def test_no_setting_wins_by_the_seeds_that_it_lacks(
    drawn: list[tuple[int, int]], direction: Direction, shuffle: Any
) -> None:
    results = [repeats.Result(trial, setting, float(value)) for trial, (setting, value) in enumerate(drawn)]
    found = repeats.ranked(results, direction)
    assert sum(one.n for one in found) == len(results)
    for better, worse in pairwise(found):
        assert better.n >= worse.n
        assert better.n > worse.n or not direction.better(worse.mean, better.mean)
    shuffle.shuffle(results)
    assert repeats.ranked(results, direction) == found


def test_patience_counts_settings_of_which_every_repeat_has_ended(study: optuna.Study) -> None:
    since: list[int] = []

    def told(*ends: float | TrialState) -> None:
        first = len(study.trials)
        for end in ends:
            own = {} if len(study.trials) == first else {REPEATS: first}
            study.enqueue_trial({"x": 0.5}, user_attrs=own, skip_if_exists=False)
            trial = asked(study)
            since.append(repeats.n_since_best(study.get_trials(), Direction.MAXIMIZE))  # while it runs
            if isinstance(end, TrialState):
                study.tell(trial, state=end)
            else:
                study.tell(trial, end)

    told(0.5, 0.7)  # a mean of 0.6
    told(0.9, 0.1)  # its first is the luckiest
    told(TrialState.FAIL)
    told(TrialState.PRUNED)
    told(0.4, 0.4)
    told(0.6, 0.8)
    assert since == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert repeats.n_since_best(study.get_trials(), Direction.MAXIMIZE) == 0


def test_a_repeat_is_neither_paused_nor_compared_with() -> None:
    asha = Asha(1, 9, 3)
    study = optuna.create_study(direction="maximize", pruner=asha)
    for value in (0.5, 0.6, 0.7):
        trial = asked(study)
        trial.report(value, 1)
    for value in (0.1, 0.9):  # were it compared with, the next would fall behind the second
        study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number})
        repeat = asked(study)
        repeat.report(value, 1)
        assert not asha.pauses(study, study.get_trials()[repeat.number])
    best = asked(study)
    best.report(0.8, 1)
    assert not asha.pauses(study, study.get_trials()[best.number])


def test_the_best_mean_is_the_best_and_not_the_luckiest_seed() -> None:
    lucky, steady, single = {"x": 1.0}, {"x": 2.0}, {"x": 3.0}
    record = make_report([
        make_trial(0, [0.9], params=lucky),
        make_trial(1, [0.7], params=steady),
        make_trial(2, [0.3], params=lucky, attributes={REPEATS: 0}),
        make_trial(3, [0.72], params=steady, attributes={REPEATS: 1}),
        make_trial(4, [0.95], params=single),
    ], repeats=2)  # fmt: skip
    assert [trial.number for trial in record.ranked] == [1, 0, 4, 2, 3]
    best = record.best
    assert best is not None
    assert (best.number, best.mean, best.sd) == (1, pytest.approx(0.71), pytest.approx(0.0141, abs=1e-4))
    page = " ".join(render(record, "md").split())
    assert (
        "The best balanced_accuracy is 0.7100 (trial 1; mean of 2 seeds, sd 0.014); the mean of the other setting with "
        "as many seeds is 0.6000; 1 setting with fewer seeds is behind." in page
    )


def opened(**given: Any) -> tuple[optuna.Study, Space]:
    """Return a study of a grid of two settings, with all that `n_in_the_end` reads."""
    known = {"name": "x", "objective": "a.b", "direction": "maximize", "sampler": {"name": "grid"}}
    spec = StudySpec.model_validate(known | given)
    declared = {"x": {"choices": [1, 2]}}
    space = spec.resolve(declared)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, space))
    study.set_user_attr(SPEC, spec.model_dump(mode="json"))
    study.set_user_attr(DECLARED, declared)
    return study, space


def test_how_many_there_will_be_is_known_all_along() -> None:
    """Were it ever too many, a worker that looks just then would try a setting twice."""
    study, space = opened(repeats=3)
    seen = [n_in_the_end(study)]
    while seen[-1] > len(study.get_trials(states=(TrialState.COMPLETE,))):
        trial = study.ask()
        seen.append(n_in_the_end(study))  # it has not chosen yet
        space.suggest(partial(_suggest, trial))
        seen.append(n_in_the_end(study))
        repeats.queue(study, trial, 2)  # in part: the worker may die in between
        seen.append(n_in_the_end(study))
        repeats.queue(study, trial, 3)
        seen.append(n_in_the_end(study))
        study.tell(trial, 1.0)
        seen.append(n_in_the_end(study))
    assert set(seen) == {6}


def test_nobody_begins_a_setting_in_the_place_of_repeats_to_come() -> None:
    study, space = opened(repeats=3)
    for _ in range(2):
        trial = study.ask()
        space.suggest(partial(_suggest, trial))
    assert (n_in_the_end(study), n_in_the_end(study, by_now=True)) == (6, 2)
    repeats.queue(study, trial, 3)
    assert (n_in_the_end(study), n_in_the_end(study, by_now=True)) == (6, 4)
