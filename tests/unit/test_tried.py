"""No setting is tried twice, unless a person asks for it, and a space that has an end is tried to its end."""

from __future__ import annotations

from functools import partial
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from studies.names import CONTINUED_BY, REASON, Reason
from studies.run.trial import _suggest
from studies.search.allowed import all_settings, settings_tried, untried
from studies.search.samplers import make_sampler
from studies.search.seeded import SeededSampler
from studies.spec import StudySpec
from studies.spec.space import Space

SPACE: dict[str, Any] = {
    "width": {"low": 1, "high": 3, "default": 1},
    "optimizer": {"choices": ["adam", "sgd"], "default": "adam"},
    "momentum": {"low": 0.1, "high": 0.3, "step": 0.1, "default": 0.1, "when": {"optimizer": ["sgd"]}},
}
N_SETTINGS = 3 * (1 + 3)


def opened(sampler: str = "tpe", space: dict[str, Any] = SPACE, **keys: Any) -> tuple[optuna.Study, Space]:
    given = {"name": "x", "objective": "a.b", "direction": "maximize", "n_trials": 3, "sampler": {"name": sampler}}
    spec = StudySpec.model_validate(given | keys)
    resolved = spec.resolve(space)
    return optuna.create_study(sampler=make_sampler(spec, resolved), direction="maximize"), resolved


def asked(study: optuna.Study, space: Space) -> tuple[optuna.Trial, dict[str, Any]]:
    trial = study.ask()
    return trial, space.suggest(partial(_suggest, trial))


def key(params: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(round(value, 6) if isinstance(value, float) else value for value in params.values())


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "nsga2", "gp", "grid"])
def test_each_setting_has_its_turn(sampler: str) -> None:
    study, space = opened(sampler)
    seen = []
    for number in range(N_SETTINGS):
        trial, params = asked(study, space)
        seen.append(key(params))
        if number % 3:  # every third still runs
            study.tell(trial, float(params["width"]))
    assert len(set(seen)) == N_SETTINGS
    assert key(asked(study, space)[1]) in seen  # and beyond its end it is asked in vain, but answers


def test_a_condition_leaves_fewer_settings() -> None:
    study, space = opened(require=["width < 3 or optimizer == 'adam'"])
    seen = {key(asked(study, space)[1]) for _ in range(N_SETTINGS - 3)}
    assert len(seen) == N_SETTINGS - 3
    assert not any(found[0] == 3 and found[1] == "sgd" for found in seen)


def test_what_has_no_end_is_not_listed() -> None:
    assert Space.declared({"a": {"low": 0.0, "high": 1.0}}).settings() is None
    assert Space.declared({"a": {"low": 0, "high": 10**6}, "b": {"choices": [1, 2]}}).settings() is None
    assert Space.declared({}).settings() is None
    wide = Space.declared({"a": ["x", "y", "z"], "b": {"low": 0.0, "high": 1.0, "when": {"a": ["z"]}}})
    assert wide.settings() is None
    assert wide.narrowed({"a": ["x", "y"]}).settings() == [{"a": "x"}, {"a": "y"}]  # b never exists


@pytest.mark.parametrize(
    ("attributes", "counts"),
    [
        ({REASON: Reason.EXCEPTION}, True),
        ({REASON: Reason.NAN}, True),
        ({REASON: Reason.OUT_OF_MEMORY}, True),
        ({REASON: Reason.LOST, CONTINUED_BY: 1}, False),
        ({REASON: Reason.LOST}, True),  # as often as limits.max_retries allows
    ],
)
def test_a_failed_trial_counts_unless_another_continues_it(attributes: dict[str, Any], counts: bool) -> None:
    study, space = opened()
    trial, _ = asked(study, space)
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    study.tell(trial, state=TrialState.FAIL)
    left = untried(all_settings(space) or [], settings_tried(study.get_trials()))
    assert len(left) == N_SETTINGS - counts


def test_a_person_may_queue_a_setting_twice() -> None:
    study, space = opened()
    for _ in range(2):
        study.enqueue_trial({"width": 2, "optimizer": "adam"})
    found = [key(asked(study, space)[1]) for _ in range(N_SETTINGS + 1)]
    assert found[0] == found[1] == (2, "adam")
    assert len(set(found)) == N_SETTINGS


def test_what_waits_counts_as_tried() -> None:
    study, space = opened("grid")
    before = [key(asked(study, space)[1]) for _ in range(N_SETTINGS - 1)]
    [last] = [one for one in space.settings() or [] if key(one) not in before]
    study.enqueue_trial(last)
    study.ask()  # takes what waits
    assert untried(all_settings(space) or [], settings_tried(study.get_trials())) == []


def test_the_nearest_setting_takes_the_place_of_one_that_was_tried() -> None:
    space = {"width": {"low": 1, "high": 100}, "kind": {"choices": ["a", "b"]}}
    study, resolved = opened("random", space)
    for width in range(1, 100):
        for kind in ("a", "b"):
            study.add_trial(optuna.trial.create_trial(
                value=0.0, params={"width": width, "kind": kind},
                distributions={
                    "width": optuna.distributions.IntDistribution(1, 100),
                    "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
                },
            ))  # fmt: skip
    assert {asked(study, resolved)[1]["width"] for _ in range(2)} == {100}


def test_draws_of_an_endless_space_stay_what_they_were() -> None:
    """Whatever is looked at, the settings of such a study follow from its seed as they did."""
    endless = {"rate": {"low": 1e-4, "high": 1.0, "log": True}, "kind": {"choices": ["a", "b"]}}
    study, space = opened("random", endless)
    found = [asked(study, space)[1] for _ in range(3)]
    plain = optuna.create_study(sampler=SeededSampler(lambda seed: optuna.samplers.RandomSampler(seed=seed), 0))
    assert found == [asked(plain, space)[1] for _ in range(3)]
