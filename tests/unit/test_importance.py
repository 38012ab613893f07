"""How much each parameter matters: the shares are those of Optuna's evaluator, on spaces of every kind."""

from __future__ import annotations

import math
import random
from typing import Any

import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from studies.report.importance import importances
from studies.search.distributions import distribution_of
from studies.spec.domain import Fixed
from studies.spec.space import Space
from studies.spec.values import encoded

SPACE = Space.declared(
    {
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "dropout": {"low": 0.0, "high": 0.7, "step": 0.1},
        "weight_decay": {"low": 0.0, "high": 0.1},
        "n_units": {"low": 16, "high": 1024, "log": True},
        "n_layers": {"low": 1, "high": 4},
        "n_filters": {"low": 8, "high": 256, "step": 8},
        "layers": {"choices": [[128], [256, 128]]},
        "schedule": {"choices": [None, "cosine", "step"]},
        "optimizer": {"choices": ["adam", "sgd"]},
        "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
    }
)
DOMAINS = {name: parameter.domain for name, parameter in SPACE.parameters.items()}
DISTRIBUTIONS = {name: distribution_of(domain) for name, domain in DOMAINS.items() if not isinstance(domain, Fixed)}


def searched(n: int, seed: int) -> list[tuple[float, dict[str, Any]]]:
    """Return what some trials are worth, and their parameters, drawn at random."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    draw, found = random.Random(seed), []
    for _ in range(n):
        trial = study.ask()
        params = SPACE.suggest(lambda name, _, trial=trial: trial._suggest(name, DISTRIBUTIONS[name]))
        worth = -((math.log10(params["learning_rate"]) + 3) ** 2) - (params["dropout"] - 0.3) ** 2
        worth -= 0.5 * (params["optimizer"] == "sgd") * (1 - params.get("momentum", 0)) + draw.gauss(0, 0.1)
        found.append((round(worth, 1), params))  # some are equal
    return found


def by_optuna(trials: list[tuple[float, dict[str, Any]]]) -> dict[str, float]:
    study = optuna.create_study(direction="maximize")
    for worth, params in trials:
        own = {name: DISTRIBUTIONS[name] for name in params}
        stored = {name: encoded(value) for name, value in params.items()}
        study.add_trial(optuna.trial.create_trial(value=worth, params=stored, distributions=own))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, 5 / len(trials)))
    return get_param_importances(study, evaluator=evaluator)


@pytest.mark.parametrize(("n", "seed"), [(10, 0), (16, 1), (40, 2), (150, 3), (1000, 4)])
@pytest.mark.filterwarnings("ignore:Some regimes")
def test_the_shares_are_those_of_optuna(n: int, seed: int) -> None:
    trials = searched(n, seed)
    found = importances(trials, DOMAINS)
    assert found == pytest.approx(by_optuna(trials), abs=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_what_decides_comes_first() -> None:
    found = importances(searched(300, 5), DOMAINS)
    assert next(iter(found)) == "learning_rate"
    assert found["weight_decay"] < 0.1 < found["learning_rate"]
    assert sum(found.values()) == pytest.approx(1)


def test_values_outside_the_domain_and_worths_without_end_do_not_count() -> None:
    trials = searched(60, 6)
    odd = [(math.inf, trials[0][1]), (math.nan, trials[1][1])]
    assert importances([*trials, *odd], DOMAINS) == importances(trials, DOMAINS)
    outside = [(worth, params | {"dropout": 5.0}) for worth, params in trials]
    assert "dropout" not in importances(outside, DOMAINS)
    assert importances(trials, {"learning_rate": Fixed(1e-3)}) == {}
    assert importances([], DOMAINS) == {}


def test_equal_trials_give_equal_shares() -> None:
    found = importances([(1.0, params) for _, params in searched(30, 7)], {"n_layers": DOMAINS["n_layers"]})
    assert found == {"n_layers": 1.0}
