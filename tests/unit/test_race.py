"""The race's promises, simulated; and how a confirmation is told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, stdev

import pytest
import yaml
from optuna.trial import create_trial

from studies.exporters import export
from studies.names import CONTENDER, SEED
from studies.record.study import StudyRecord
from studies.report import confirmed
from studies.report.page import render
from studies.search.race import BEST, ERROR, NO_DIFFERENCE, WORSE, Contender, contenders, is_out, stand

from ..reports import make_report, make_trial

Draw = Callable[[random.Random, int], float]


@dataclass
class Rates:
    """Over many simulated confirmations: how often the first contender, any, or one trial was told to be worse."""

    first_lost: float
    any_lost: float
    trained: float


def simulate(draw: Draw, n: int, n_contenders: int = 5, n_seeds: int = 5) -> Rates:
    """Race as the workers do, one training after the other, with values drawn for a contender."""
    generator = random.Random(1)
    first = lost = trained = 0
    for _ in range(n):
        field = [Contender(number) for number in range(n_contenders)]
        for seed in range(n_seeds):
            for one in field:
                one.stopped = one.stopped or is_out(one, field, 1, n_seeds)
                if not one.stopped:
                    one.values[seed] = draw(generator, one.trial)
                    trained += 1
        worse = [standing.trial for standing in stand(field, 1, n_seeds).standings if not standing.may_be_best]
        first += 0 in worse
        lost += bool(worse)
    return Rates(first / n, lost / n, trained / n)


@pytest.mark.parametrize(
    "draw",
    [
        lambda generator, number: generator.gauss(0, 1),
        lambda generator, number: generator.gauss(0, (1, 0.1, 3, 0.3, 2)[number]),
        lambda generator, number: round(generator.gauss(0, 0.6)),  # a metric that counts
        lambda generator, number: -generator.expovariate(1),  # some seeds go badly
    ],
    ids=["normal", "unequally noisy", "counts", "skewed"],
)
def test_one_that_is_as_good_as_any_is_rarely_lost(draw: Draw) -> None:
    assert simulate(draw, 1000).first_lost <= ERROR


def test_equal_contenders_are_called_so_mostly() -> None:
    assert simulate(lambda generator, number: generator.gauss(0, 1), 500).any_lost < 0.2


def test_the_best_by_far_is_never_lost_and_the_hopeless_cost_little() -> None:
    rates = simulate(lambda generator, number: generator.gauss(0, 1) - (30 if number else 0), 300)
    assert rates.first_lost == 0
    assert rates.any_lost == 1
    assert rates.trained < 18  # of 25; 3 seeds for each and 2 more for the best would be 17


def contender(trial: int, *values: float, **given: bool | str) -> Contender:
    return Contender(trial, values=dict(enumerate(values)), **given)  # type: ignore[arg-type]


def test_the_verdicts_and_their_order() -> None:
    field = [
        contender(3, 0.80, 0.82, 0.81, 0.79, 0.80, given=True),
        contender(7, 0.90, 0.93, 0.91, 0.92, 0.94),
        contender(9, 0.95, 0.88, 0.92, 0.90, 0.92),
        contender(4, 0.5, 0.52, 0.51, stopped=True),
        contender(5, 0.99, failure="nan"),
    ]
    found = stand(field, 1, 5)
    assert [(one.trial, one.verdict) for one in found.standings] == [
        (7, BEST), (9, NO_DIFFERENCE), (3, WORSE), (5, "failed (nan)"),
        (4, "worse than trial 7, stopped early"),
    ]  # fmt: skip
    assert found.winner is found.standings[0]
    assert found.winner.mean == pytest.approx(0.92)
    third = found.standings[2].difference
    assert third is not None
    assert third.mean == pytest.approx(0.804 - 0.92)
    assert third.low < third.mean < third.high < 0
    smaller_is_better = stand(field, -1, 5)
    assert [one.trial for one in smaller_is_better.standings][:3] == [3, 9, 7]


def test_what_was_given_to_start_with_is_never_stopped() -> None:
    field = [contender(0, 0.1, 0.2, 0.1), contender(1, 9.1, 9.4, 9.2)]
    assert is_out(field[0], field, 1, 5)
    assert is_out(contender(2, 9.9, 9.8, 9.9, stopped=True), field, 1, 9)  # whatever the level is by now
    field[0].given = True
    assert not is_out(field[0], field, 1, 5)


def test_a_contender_that_violates_a_constraint_under_a_fresh_seed_does_not_win() -> None:
    trials = []
    for number, (own, value) in enumerate([(1, 0.9), (1, 0.9), (2, 0.5), (2, 0.6), (3, 0.9), (3, math.inf)]):
        trials.append(create_trial(value=value, user_attrs={CONTENDER: own, SEED: number % 2}))
    trials[1].set_constraint("seconds", 1.0)
    found = stand(contenders(trials, None), 1, 2)
    assert [(one.trial, one.verdict) for one in found.standings] == [
        (2, BEST), (1, "failed (infeasible)"), (3, "failed (infinite)"),
    ]  # fmt: skip


def test_before_the_end_there_is_no_winner() -> None:
    found = stand([contender(1, 0.5, 0.6), contender(2, 0.7, 0.9, running=True)], 1, 2)
    assert not found.finished
    assert found.winner is None
    assert [one.trial for one in found.standings] == [2, 1]


def test_the_winner_is_what_is_exported_and_reported() -> None:
    trials = [
        make_trial(0, [0.80], params={"learning_rate": 0.1}, attributes={"start_with": 0}),
        make_trial(1, [0.95], params={"learning_rate": 0.2}),
        make_trial(2, [0.94], params={"learning_rate": 0.3}),
    ]
    values = {
        0: (0.80, 0.82, 0.81, 0.79, 0.80),
        1: (0.91, 0.89, 0.93, 0.90, 0.92),
        2: (0.90, 0.93, 0.91, 0.92, 0.94),
    }
    field = [contender(number, *found, given=number == 0) for number, found in values.items()]
    report = make_report(trials)
    assert yaml.safe_load(export(report, "yaml"))["trial"] == 1
    object.__setattr__(report, "confirmation", stand(field, 1, 5))
    exported = yaml.safe_load(export(report, "yaml"))
    assert (exported["trial"], exported["value"], exported["params"]) == (2, 0.94, {"learning_rate": 0.3})
    assert exported["confirmed"] == {
        "value_mean": pytest.approx(mean(values[2])), "value_sd": pytest.approx(stdev(values[2])), "n_seeds": 5,
        "n_contenders": 3, "no_different_from": [1],
    }  # fmt: skip
    said = " ".join(confirmed.sentences(report))
    assert "No difference between the first 2 of 3 contenders is shown" in said
    assert "The best of `start_with` (trial 0) has a mean of 0.8040, -0.1160 (" in said
    page = render(report, "md")
    assert "| learning_rate | 0.3 |" in page
    assert "## Under fresh seeds" in page
    assert "| trial 0, given | 5 | 0.8040 |" in page
    assert "Each contender under each fresh seed" in render(report, "html")
    # Something better was found since, and nobody knows yet how good it is.
    better = make_trial(3, [0.97], params={"learning_rate": 0.4})
    report = replace(report, trials=[*report.trials, better])
    assert yaml.safe_load(export(report, "yaml"))["trial"] == 3
    assert "`studies confirm made-up` takes it in" in confirmed.sentences(report)[-1]


def plain_function(values: dict[int, list[float]]) -> StudyRecord:
    """Return a confirmed study of a plain function, which reports nothing and may ignore its seed."""
    trials = [
        make_trial(n, [], value=found[0], params={"x": n}, attributes={"history": []}) for n, found in values.items()
    ]
    field = [contender(number, *found) for number, found in values.items()]
    return replace(make_report(trials), confirmation=stand(field, 1, 5))


def test_values_that_no_seed_changes_are_said_to_say_nothing_new() -> None:
    report = plain_function({0: [0.5] * 5, 1: [0.75] * 5})
    [said] = confirmed.sentences(report)
    assert said.startswith("Seeds mean nothing here: each contender had the same balanced_accuracy under all 5 of them")
    assert '`trial.user_attrs["seed"]`' in said
    trained = [make_trial(n, [0.5 + n / 4], params={"x": n}) for n in range(2)]
    [said] = confirmed.sentences(replace(report, trials=trained))
    assert "plain function" not in said


def test_a_plain_functions_repeats_are_not_said_to_be_the_seeds() -> None:
    said = confirmed.sentences(plain_function({0: [0.5, 0.51, 0.5, 0.52, 0.5], 1: [0.75, 0.74, 0.75, 0.73, 0.75]}))
    assert said[0].startswith("Trial 1 is the best of 2")
    assert "Where it does not, these are plain repeats" in said[-1]
