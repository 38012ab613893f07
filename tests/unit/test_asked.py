"""A plain function's finite space, which it alone knows: no setting twice, and an end once all were tried."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from studies.names import CONTINUED_BY, REASON, Reason
from studies.search.asked import has_asked_all, n_in_the_end, values_of
from studies.search.samplers import make_sampler
from studies.search.seeded import SeededSampler
from studies.spec import StudySpec
from studies.spec.space import Space

N_ASKED_FOR = 20
Steps = Generator[None, None, None]


def opened(sampler: str = "random", seed: int = 0) -> optuna.Study:
    known = {"name": "x", "objective": "a.b", "direction": "maximize", "n_trials": N_ASKED_FOR}
    spec = StudySpec.model_validate(known | {"sampler": {"name": sampler, "seed": seed}})
    return optuna.create_study(direction="maximize", sampler=make_sampler(spec, Space({})))


def tree(trial: optuna.Trial) -> Steps:
    """Ask for one of five settings, of which some have parameters that others do not have."""
    kind = trial.suggest_categorical("kind", ["a", "b"])
    yield
    if kind == "a":
        trial.suggest_int("n", 1, 3)
    else:
        trial.suggest_categorical("flag", [True, None])
    yield


def run(study: optuna.Study, asks: Callable[[optuna.Trial], Steps] = tree, state: TrialState | None = None) -> None:
    trial = study.ask()
    for _ in asks(trial):
        pass
    study.tell(trial, *([] if state else [float(trial.number % 3)]), state=state)


def in_the_end(study: optuna.Study, by_now: bool = False) -> int:
    return n_in_the_end(study.trials, N_ASKED_FOR, len(study.trials), by_now=by_now)


def tried(study: optuna.Study) -> set[str]:
    return {str(trial.params) for trial in study.trials}


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random", "qmc", "nsga2"])
def test_each_setting_has_its_turn_and_then_it_is_over(sampler: str) -> None:
    study = opened(sampler)
    for n in range(1, 6):
        assert in_the_end(study) == N_ASKED_FOR
        run(study)
        assert len(tried(study)) == n
    assert in_the_end(study) == 5
    assert has_asked_all(study.trials)


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choices_may_be_lists() -> None:
    choices: list[Any] = [[64], [128, 64], 1, "1", None]

    def layers(trial: optuna.Trial) -> Steps:
        trial.suggest_categorical("layers", choices)
        yield

    study = opened()
    for _ in choices:
        run(study, layers)
    assert len(tried(study)) == len(choices)
    assert has_asked_all(study.trials)


def test_what_has_nothing_to_choose_is_run_as_often_as_asked_for() -> None:
    def fixed(trial: optuna.Trial) -> Steps:
        trial.suggest_categorical("kind", ["a"])
        yield

    study = opened()
    for _ in range(3):
        run(study, fixed)
    assert in_the_end(study) == in_the_end(study, by_now=True) == N_ASKED_FOR
    assert not has_asked_all(study.trials)


@pytest.mark.parametrize("seed", range(12))
def test_workers_in_any_order_take_each_setting_once(seed: int) -> None:
    study, draw = opened(seed=seed), random.Random(seed)
    workers: dict[int, tuple[optuna.Trial, Steps]] = {}
    for turn in [draw.randrange(3) for _ in range(40)] + [0, 1, 2] * 20:
        if turn not in workers:
            if len(study.trials) < in_the_end(study, by_now=True):
                trial = study.ask()
                workers[turn] = trial, tree(trial)
            continue
        trial, steps = workers[turn]
        try:
            next(steps)
        except StopIteration:
            study.tell(workers.pop(turn)[0], 1.0)
    assert not workers
    assert (len(study.trials), len(tried(study)), in_the_end(study)) == (5, 5, 5)


@pytest.mark.parametrize("seed", range(12))
def test_where_nothing_is_known_to_be_free_a_trial_follows_one_that_may_ask_for_more(seed: int) -> None:
    def leaf(trial: optuna.Trial) -> Steps:
        if trial.suggest_categorical("kind", ["leaf", "goes on"]) == "goes on":
            yield
            trial.suggest_int("n", 1, 2)

    study = opened(seed=seed)
    study.enqueue_trial({"kind": "leaf"})
    run(study, leaf)
    first, second = study.ask(), study.ask()
    next(leaf(first))
    for _ in leaf(second):
        pass
    assert first.params["kind"] == "goes on"
    assert second.params["kind"] == "goes on"


def test_what_was_lost_is_tried_and_what_failed_by_itself_is_not_tried_again() -> None:
    study = opened()
    for state in (TrialState.FAIL, TrialState.PRUNED, None, None):
        run(study, state=state)
    trial = study.ask()
    for _ in tree(trial):
        pass
    trial.set_user_attr(REASON, Reason.LOST)
    trial.set_user_attr(CONTINUED_BY, 5)
    study.tell(trial, state=TrialState.FAIL)
    assert not has_asked_all(study.trials)
    run(study)
    assert study.trials[5].params == trial.params
    assert has_asked_all(study.trials)


def endless(trial: optuna.Trial) -> Steps:
    trial.suggest_int("n", 1, 2)
    trial.suggest_float("x", 0, 1)
    yield


def contrary(trial: optuna.Trial) -> Steps:
    for name in ("a", "b") if trial.number % 2 else ("b", "a"):
        trial.suggest_int(name, 1, 2)
    yield


@pytest.mark.parametrize("asks", [endless, contrary])
def test_a_space_without_end_and_a_function_without_order_are_left_alone(asks: Callable[[optuna.Trial], Steps]) -> None:
    ours, plain = opened(), opened()
    assert isinstance(ours.sampler, SeededSampler)
    plain.sampler = SeededSampler(lambda seed: optuna.samplers.RandomSampler(seed=seed), 0)
    for _ in range(8):
        run(ours, asks)
        run(plain, asks)
    assert in_the_end(ours) == in_the_end(ours, by_now=True) == N_ASKED_FOR
    assert asks is contrary or [one.params for one in ours.trials] == [one.params for one in plain.trials]


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (optuna.distributions.IntDistribution(1, 7, step=3), [1, 4, 7]),
        (optuna.distributions.IntDistribution(1, 3, log=True), [1, 2, 3]),
        (optuna.distributions.FloatDistribution(0.0, 0.5, step=0.25), [0.0, 0.25, 0.5]),
        (optuna.distributions.FloatDistribution(0.0, 1.0), None),
        (optuna.distributions.IntDistribution(1, 10**9), None),
    ],
)
def test_what_has_few_values(distribution: Any, values: list[Any] | None) -> None:
    assert values_of(distribution) == values
