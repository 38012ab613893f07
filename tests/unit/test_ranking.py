"""What TPE is shown of a study: who trained long enough, in the order of halving in step."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from studies.names import CONTINUES
from studies.search.knowledge import observations
from studies.search.out_of_memory import OUT_OF_MEMORY, constraint_key
from studies.search.ranking import Ranked
from studies.search.samplers import make_sampler
from studies.spec.space import Space

from ..reports import make_spec

SPEC = make_spec(
    max_epochs=9, sampler={"name": "tpe"}
)  # rungs after 1 and 3 epochs, of which the second says something


def trial_with(study: optuna.Study, curve: list[float], state: TrialState, **attributes: int) -> int:
    """Add a trial with these values after each epoch; return its number."""
    study.enqueue_trial({}, user_attrs=attributes)
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, epoch)
    if state != TrialState.RUNNING:
        study.tell(trial, max(curve) if state == TrialState.COMPLETE else None, state)
    return trial.number


def order(study: optuna.Study) -> list[int]:
    """Return the numbers of the ended trials that TPE is shown, the best first."""
    shown = Ranked(study, SPEC, is_random=False)._get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    assert {trial.state for trial in shown} <= {TrialState.COMPLETE}
    return [trial.number for trial in sorted(shown, key=lambda trial: trial.values[0], reverse=True)]


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def test_those_that_stopped_early_are_not_shown_and_others_by_their_last_rung(study: optuna.Study) -> None:
    trial_with(study, [0.9], TrialState.PRUNED)
    for value in (0.1, 0.4, 0.2, 0.3):
        trial_with(study, [0.0, 0.0, value], TrialState.PRUNED)
    trial_with(study, [0.0, 0.0, 0.6] + [0.5] * 6, TrialState.COMPLETE)
    trial_with(study, [0.0, 0.0, 0.5] + [0.7] * 6, TrialState.COMPLETE)
    running = trial_with(study, [0.8], TrialState.RUNNING)
    assert order(study) == [6, 5, 2, 4, 3, 1]
    shown = Ranked(study, SPEC, is_random=False)._get_trials(states=(TrialState.RUNNING,))
    assert [trial.number for trial in shown] == [running]


def test_one_that_came_far_although_it_was_bad_is_bad(study: optuna.Study) -> None:
    """As the default settings are, which train to the end whatever they are worth."""
    trial_with(study, [0.0, 0.0, 0.1] + [0.2] * 6, TrialState.COMPLETE)
    for value in (0.5, 0.4, 0.3):
        trial_with(study, [0.0, 0.0, value], TrialState.PRUNED)
    assert order(study) == [1, 2, 3, 0]


def test_a_continued_trial_is_shown_once(study: optuna.Study) -> None:
    paused = trial_with(study, [0.0, 0.0, 0.3], TrialState.PRUNED)
    last = trial_with(study, [0.0, 0.0, 0.3] + [0.4] * 6, TrialState.COMPLETE, **{CONTINUES: paused})
    assert order(study) == [last]


def test_what_ran_out_of_memory_is_shown_as_it_is(study: optuna.Study) -> None:
    trial_with(study, [0.0, 0.0, 0.3], TrialState.PRUNED)
    lost = study.ask()
    study._storage.set_trial_system_attr(lost._trial_id, constraint_key(OUT_OF_MEMORY), 1.0)
    study.tell(lost, state=TrialState.FAIL)
    shown = Ranked(study, SPEC, is_random=False)._get_trials()
    assert [trial.constraints.get(OUT_OF_MEMORY) for trial in shown] == [None, 1.0]


def test_one_trial_in_three_is_random_and_the_others_follow_the_best() -> None:
    space = Space.declared({"x": {"low": 0.0, "high": 100.0, "default": 5.0}})
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, space))
    near = 0
    for _ in range(100):
        trial = study.ask()
        x = trial.suggest_float("x", 0.0, 100.0)
        near += trial.number >= 40 and abs(x - 70) < 10
        for epoch in (1, 2, 3):
            trial.report(-abs(x - 70.0), epoch)
        study.tell(trial, state=TrialState.PRUNED)
    assert 25 < near < 50, near  # of 60: two in three, and of the random ones one in five


def test_the_normal_distribution_adapts_to_trials_that_were_paused() -> None:
    spec = make_spec(max_epochs=9, sampler={"name": "cmaes"})
    declared = {name: {"low": 0.0, "high": 100.0} for name in "xy"}
    study = optuna.create_study(direction="maximize", sampler=make_sampler(spec, Space.declared(declared)))
    distances = []
    for _ in range(150):
        trial = study.ask()
        x, y = trial.suggest_float("x", 0.0, 100.0), trial.suggest_float("y", 0.0, 100.0)
        distances.append(abs(x - 90) + abs(y - 90))
        trial.report(-distances[-1], 3)
        study.tell(trial, state=TrialState.PRUNED)
    assert sum(distance < 30 for distance in distances[60:]) >= 18  # of 90; random ones have 8 to 11


def test_what_is_known_of_other_studies_is_ranked_among_the_complete() -> None:
    """Of 30 trials of another study the best have x near 70: two trials in three are drawn there."""
    space = Space.declared({"x": {"low": 0.0, "high": 100.0, "default": 5.0}})
    known = observations(space, [({"x": 10 * n / 3}, [-abs(10 * n / 3 - 70.0)]) for n in range(30)])
    study = optuna.create_study(direction="maximize", sampler=make_sampler(SPEC, space, known))
    near = 0
    for _ in range(30):
        trial = study.ask()
        near += abs(trial.suggest_float("x", 0.0, 100.0) - 70) < 15
        study.tell(trial, state=TrialState.PRUNED)  # after no epoch at all
    assert 15 < near < 30, near
