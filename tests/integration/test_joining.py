"""Joining a study: what a launch killed in the middle has queued is not queued again, and nothing is missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import optuna
import pytest

from studies import confirm, study
from studies.errors import DataChanged, SpecChanged
from studies.names import CONTENDER, FROM, SEED, WARM_START
from studies.record.reading import read_stored
from studies.run.join import Start, join
from studies.spec import StudySpec
from studies.spec.description import Description
from studies.spec.space import Space
from studies.storage import Storage
from studies.storage.ledger import Ledger

DECLARED = {"x": {"low": 0.0, "high": 1.0, "default": 0.5}}
DESCRIBED = Description(DECLARED, {"name": "none", "sha256": "1" * 64, "summary": {}}, Space.declared(DECLARED))
OTHER_DATA = replace(DESCRIBED, data=DESCRIBED.data | {"sha256": "2" * 64})


class Killed(Exception):
    pass


def spec(name: str, **given: Any) -> StudySpec:
    known = {"name": name, "objective": "a.b", "direction": "maximize", "n_trials": 6, "pruner": {"name": "none"}}
    return StudySpec.model_validate(known | given)


def launched(storage: Storage, spec: StudySpec, start: Start = Start(), described: Description = DESCRIBED) -> str:  # noqa: B008
    """Join as a launch does, run every trial that is left in this process, and return the study's name."""
    joined = join(storage, spec, described, start, lambda line: None)
    opened = study.open_for_trials(storage, joined.spec.name)
    while (trial_id := storage.optuna.claim_trial(joined.study_id, n_trials=spec.n_trials)) is not None:
        trial = optuna.Trial(opened, trial_id)
        trial.set_user_attr(SEED, trial.user_attrs.get(SEED, 1000 + trial.number))
        opened.tell(trial, trial.suggest_float("x", 0.0, 1.0))
    return joined.spec.name


def die_after(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Let `enqueue_trial` work n times more."""
    enqueue, left = optuna.Study.enqueue_trial, iter(range(n))

    def enqueue_or_die(self: optuna.Study, *arguments: Any, **given: Any) -> None:
        if next(left, None) is None:
            raise Killed
        enqueue(self, *arguments, **given)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", enqueue_or_die)


def test_a_launch_killed_while_it_queues(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(storage, spec("other", n_trials=8))
    second = spec("second", n_trials=10, start_with=[{"x": 0.1}, {"x": 0.2}])
    for n in (1, 1, 2):
        with monkeypatch.context() as patched:
            die_after(patched, n)
            with pytest.raises(Killed):
                launched(storage, second, Start(others=["other"]))
        assert study.started(storage) == ["other"]
    launched(storage, second, Start(others=["other"]))
    launched(storage, second, Start(others=["other"]))
    trials = read_stored(storage, "second").trials
    assert len(trials) == 10
    assert [trial.given for trial in trials[:3]] == [0, 1, None]
    best = [trial.number for trial in read_stored(storage, "other").ranked[:5]]
    assert [trial.attributes[FROM]["trial"] for trial in trials[2:7]] == best
    assert sum(FROM in trial.attributes for trial in trials) == 5
    (note,) = study.get(storage, "second").user_attrs[WARM_START]
    assert sorted(note["trials"]) == list(range(8))


def test_the_best_of_each_of_several_studies_runs_first(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"one": [0.7, 0.8, 0.3, 0.1], "two": [0.8, 0.6, 0.2, 0.1], "three": [0.9, 0.5, 0.2, 0.1]}
    for name, values in found.items():
        launched(storage, spec(name, n_trials=4, start_with=[{"x": x} for x in values]), described=OTHER_DATA)
    several = Start(others=["one", "two", "three", "two"])
    for n in (2, 3):
        with monkeypatch.context() as patched:
            die_after(patched, n)
            with pytest.raises(Killed):
                launched(storage, spec("after"), several)
    for _ in range(2):
        launched(storage, spec("after"), several)
    trials = read_stored(storage, "after").trials
    # What is best in two of them runs once. Two of each are at least five.
    assert [trial.attributes[FROM]["study"] for trial in trials] == ["one", "two", "three"] * 2
    assert [trial.params["x"] for trial in trials] == [0.8, 0.6, 0.9, 0.7, 0.2, 0.5]


def test_a_launch_says_which_studies_it_could_start_from(storage: Storage) -> None:
    def said(given: StudySpec, *others: str) -> list[str]:
        lines: list[str] = []
        join(storage, given, DESCRIBED, Start(others=others), lines.append)
        return lines

    assert said(spec("empty")) == []
    launched(storage, spec("one"), described=OTHER_DATA)
    launched(storage, spec("one"), Start(new_version=True))
    launched(storage, spec("another-objective", objective="a.c"))
    launched(storage, spec("another-metric", metric="f1"))
    hint = "`studies launch new --from one@2 --from one@1` starts from the best settings there."
    assert said(spec("new")) == [f"The storage knows this objective: {hint}"]
    assert said(spec("new")) == []  # once
    assert [line.split(":")[0] for line in said(spec("newer"), "one@1")] == ["newer starts from one"]


def test_a_launch_killed_before_workers_may_begin(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its study nor one that it gives more trials is one that has all its trials."""

    def die(self: Ledger, *arguments: Any) -> None:
        raise Killed

    launched(storage, spec("more", n_trials=2))
    for given in (spec("fresh", n_trials=4), spec("more", n_trials=4)):
        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "open_study", die)
            with pytest.raises(Killed):
                launched(storage, given)
    assert study.started(storage) == ["more"]
    assert study.spec_of(study.get(storage, "more")).n_trials == 2
    for name in ("fresh", "more"):
        assert launched(storage, spec(name, n_trials=4)) == name
        assert storage.ledger.budget(study.get(storage, name)._study_id).n_trials == 4


def test_a_study_whose_deletion_was_killed_is_launched_again(storage: Storage) -> None:
    given = spec("half-gone", n_trials=2)
    found = study.get(storage, launched(storage, given))
    assert study.is_done(found, given, storage.ledger.budget(found._study_id))
    storage.ledger.forget(found._study_id)
    assert not study.is_done(found, given, storage.ledger.budget(found._study_id))


def test_a_confirmation_killed_while_it_queues(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(storage, spec("one", start_with=[{"x": 0.01}]))
    report = read_stored(storage, "one")
    wanted = confirm.spec_for(report.spec)
    chosen = confirm.choose(report, 2)
    assert [trial.given for trial in chosen] == [None, None, 0]
    say = list[str]().append
    plan = confirm.Plan(report, chosen, 2, 4)
    with monkeypatch.context() as patched:
        die_after(patched, 5)
        with pytest.raises(Killed):
            confirm.join(storage, plan, wanted, DESCRIBED, say)
    assert study.started(storage) == ["one"]
    assert read_stored(storage, "one").confirmation is None
    for _ in range(2):
        joined = confirm.join(storage, plan, wanted, DESCRIBED, say)
        assert storage.ledger.budget(joined.study_id).n_trials == 12
    pairs = Counter(
        (trial.user_attrs[CONTENDER], trial.user_attrs[SEED])
        for trial in study.get(storage, "one-confirm").get_trials(deepcopy=False)
    )
    assert set(pairs.values()) == {1}
    assert len(pairs) == 12
    assert not {seed for _, seed in pairs} & {trial.seed for trial in report.trials}
    with pytest.raises(DataChanged, match="data: stored"):
        confirm.join(storage, plan, wanted, OTHER_DATA, say)


def test_other_data_are_another_version(storage: Storage) -> None:
    launched(storage, spec("one"))
    with pytest.raises(SpecChanged, match="which begins one@2"):
        launched(storage, spec("one"), described=OTHER_DATA)
    assert launched(storage, spec("one"), Start(new_version=True), OTHER_DATA) == "one@2"
    assert launched(storage, spec("one"), Start(new_version=True), OTHER_DATA) == "one@2"
    assert launched(storage, spec("one"), Start(new_version=True), DESCRIBED) == "one@3"
    assert launched(storage, spec("one@1"), Start(new_version=True), DESCRIBED) == "one"
    assert launched(storage, spec("new"), Start(new_version=True)) == "new"
    # Values on other data say nothing of these.
    launched(storage, spec("after"), Start(others=["one@2"]))
    (note,) = study.get(storage, "after").user_attrs[WARM_START]
    assert note == {"study": "one@2", "trials": []}
