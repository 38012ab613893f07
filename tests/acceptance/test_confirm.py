"""`studies confirm` with real workers: paired, exact, resumed, and told apart from the study it confirms."""

from __future__ import annotations

import io
import os
import signal
from collections import Counter
from statistics import mean, stdev

import pandas as pd
import pytest
import yaml
from optuna.trial import FrozenTrial

from studies import study
from studies.errors import StudyNotStarted
from studies.names import CONTENDER, CONTINUED_BY, SEED
from studies.storage import Storage, open_storage

from ..waiting import wait_for
from . import noisy
from .conftest import Studies
from .test_study import report


def trials_of(storage: Storage, name: str) -> list[FrozenTrial]:
    try:
        return study.get(storage, name).get_trials(deepcopy=False)
    except StudyNotStarted:
        return []


def confirmation(studies: Studies) -> list[FrozenTrial]:
    with open_storage(studies.settings) as storage:
        return trials_of(storage, "noisy-confirm")


def completed(trials: list[FrozenTrial]) -> dict[tuple[int, int], FrozenTrial]:
    """Return the completed trials by contender and seed, each pair once."""
    found = {(t.user_attrs[CONTENDER], t.user_attrs[SEED]): t for t in trials if t.state.name == "COMPLETE"}
    assert len(found) == sum(t.state.name == "COMPLETE" for t in trials)
    return found


def test_the_best_few_under_fresh_seeds(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml", "--workers", "2")
    before = report(studies, "noisy")
    told = studies("confirm", "noisy", "--top", "4", "--workers", "2").stdout
    after = report(studies, "noisy")
    assert [trial.attributes for trial in after.trials] == [trial.attributes for trial in before.trials]

    # The same seeds for every contender, and none of the study's own; every value is that of its parameters and seed.
    trials = confirmation(studies)
    values = completed(trials)
    by_number = {trial.number: trial for trial in after.trials}
    seeds = {seed for _, seed in values}
    assert len(seeds) == 5
    assert not seeds & {trial.attributes["seed"] for trial in after.trials}
    for (number, seed), trial in values.items():
        assert trial.value == noisy.value(by_number[number].params["x"], seed)
    assert len(trials) == 20

    # The two that differ by less than the noise are not told apart; what is far off was not trained five times.
    found = after.confirmation
    assert found is not None
    assert found.finished
    assert found.winner is not None
    assert {one.trial for one in found.standings if one.may_be_best} == {1, 2}
    assert "No difference between the first 2 of 4 contenders is shown" in told
    theirs = next(one for one in found.standings if one.given)
    assert len(values) < 20
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    assert theirs is found.winner or len(theirs.values) == 5

    own = [value.value for (number, _), value in values.items() if number == found.winner.trial]
    exported = yaml.safe_load((studies.directory / "noisy.best.yaml").read_text())
    assert exported == yaml.safe_load(studies.told("export", "noisy").stdout)
    assert exported["trial"] == found.winner.trial
    assert exported["confirmed"]["value_mean"] == pytest.approx(mean(value or 0.0 for value in own))
    assert exported["confirmed"]["value_sd"] == pytest.approx(stdev(value or 0.0 for value in own))
    assert exported["confirmed"]["n_seeds"] == 5
    assert "## Under fresh seeds" in studies.told("report", "noisy", "--format", "md").stdout

    # Typed again it runs nothing; with more seeds, the first ones stay.
    assert studies("confirm", "noisy", "--top", "4").stdout == told
    assert len(confirmation(studies)) == 20
    studies("confirm", "noisy", "--top", "1", "--seeds", "7", "--workers", "2")
    more = completed(confirmation(studies))
    assert len({seed for _, seed in more}) == 7
    assert {pair: more[pair].value for pair in values} == {pair: trial.value for pair, trial in values.items()}

    # It is no study of its own.
    status = studies.told("status", "noisy").stdout
    assert "noisy: 8/8 trials" in status
    assert "noisy-confirm: 28/28 trials" in status
    assert "the best of noisy under fresh seeds" in studies.told("list").stdout
    table = pd.read_csv(io.StringIO(studies.told("export", "noisy-confirm", "--format", "csv").stdout))
    assert set(zip(table["contender"], table["seed"], strict=True)) >= set(more)
    for command in ("export", "report", "confirm", "launch"):
        refused = studies(command, "noisy-confirm", expect=2).stderr
        assert "'noisy-confirm' is the confirmation of study 'noisy'" in refused
    assert len(report(studies, "noisy").trials) == 8


def test_a_killed_worker_and_a_killed_launcher_lose_nothing(noisy_studies: Studies) -> None:
    studies = noisy_studies
    slow = ("--set", "space.seconds=1", "--set", "space.noise=1.0")
    studies.hurry()
    studies("launch", "./noisy.yaml", "--workers", "2", "--trials", "4", *slow)
    (studies.directory / "quick").unlink()
    process = studies.start("confirm", "noisy", "--top", "3", "--workers", "2")
    with open_storage(studies.settings) as storage:
        wait_for(lambda: bool(trials_of(storage, "noisy-confirm")))
        study_id = study.get(storage, "noisy-confirm")._study_id

        def victims() -> list[int]:
            return [w.pid for w in storage.ledger.workers(study_id) if w.trial is not None and w.epoch]

        os.kill(wait_for(victims)[0], signal.SIGKILL)
        wait_for(lambda: any(CONTINUED_BY in t.user_attrs for t in trials_of(storage, "noisy-confirm")))
        process.kill()
        process.communicate()
        wait_for(lambda: not any(worker.alive for worker in storage.ledger.workers(study_id)))
    studies.hurry()
    studies("confirm", "noisy", "--top", "3", "--workers", "2")
    trials = confirmation(studies)
    counted = [trial for trial in trials if CONTINUED_BY not in trial.user_attrs]
    pairs = Counter((trial.user_attrs[CONTENDER], trial.user_attrs[SEED]) for trial in counted)
    assert len(pairs) == len(counted) == 15
    by_number = {trial.number: trial for trial in report(studies, "noisy").trials}
    for (number, seed), trial in completed(trials).items():
        assert trial.value == noisy.value(by_number[number].params["x"], seed, 1.0)
        assert len(trial.intermediate_values) == noisy.N_EPOCHS
    found = report(studies, "noisy").confirmation
    assert found is not None
    assert found.finished


def test_what_was_interrupted_goes_on_as_it_was_asked_for(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies.hurry()
    studies("launch", "./noisy.yaml", "--workers", "2", "--set", "space.seconds=1")
    (studies.directory / "quick").unlink()
    begun = studies("confirm", "noisy", "--top", "3", "--seeds", "3", "--timeout", "0.02")
    assert "3 contenders under 3 fresh seeds, 9 trainings to do" in begun.stderr
    assert "the --timeout is over" in begun.stderr
    assert "`studies confirm noisy` goes on" in begun.stdout
    process = studies.start("confirm", "noisy")
    with open_storage(studies.settings) as storage:
        study_id = study.get(storage, "noisy-confirm")._study_id
        wait_for(lambda: any(worker.epoch for worker in storage.ledger.workers(study_id)))
    process.send_signal(signal.SIGINT)
    assert "`studies confirm noisy` goes on from here" in process.communicate()[1]
    assert process.returncode == 130

    (studies.directory / "noisy.best.yaml").unlink()
    studies.hurry()
    detached = studies("confirm", "noisy", "--workers", "2", "--detach").stderr
    assert "`studies watch noisy-confirm` follows it" in detached
    wait_for((studies.directory / "noisy.best.yaml").exists)
    pairs = {(trial.user_attrs[CONTENDER], trial.user_attrs[SEED]) for trial in confirmation(studies)}
    assert len(pairs) == 9  # and not the five by five of a first time
    again = studies("confirm", "./noisy.yaml").stderr
    assert "3 contenders under 3 fresh seeds, all of them trained" in again


def test_a_contender_that_fails_is_told_and_tried_again(noisy_studies: Studies) -> None:
    studies = noisy_studies
    studies("launch", "./noisy.yaml", "--trials", "2")
    module = studies.directory / "noisy.py"
    module.write_text(noisy.MODULE.replace('self.params["mood"] == "raises"', 'self.params["x"] == 0.5'))
    studies("launch", "./noisy.yaml", "--trials", "2", "--same-code")
    told = studies("confirm", "noisy", "--seeds", "3").stdout
    assert "failed (exception)" in told
    assert "Trial 1 has a mean loss" in told or "Trial 1 is the best of 2" in told
    module.write_text(noisy.MODULE)
    studies("launch", "./noisy.yaml", "--trials", "2", "--same-code")
    told = studies("confirm", "noisy", "--seeds", "3").stdout
    assert "failed" not in told
    assert len(completed(confirmation(studies))) == 6


def test_mistakes(noisy_studies: Studies) -> None:
    studies = noisy_studies
    assert "No study is named 'noisy'" in studies("confirm", "noisy", expect=2).stderr
    assert "--top is 0; expected 1 or more" in studies("confirm", "noisy", "--top", "0", expect=2).stderr
    assert "one seed has no spread" in studies("confirm", "noisy", "--seeds", "1", expect=2).stderr
    studies("launch", "./noisy.yaml", "--set", "space.mood=raises", "--set", "limits.max_failures=2", expect=1)
    assert (
        "nothing to confirm yet, for no trial is complete (0 complete" in studies("confirm", "noisy", expect=2).stderr
    )
    assert "has no confirmation in this storage yet" in studies.told("status", "noisy-confirm", expect=2).stderr
    with (studies.directory / "noisy.yaml").open("a") as file:
        file.write("name: noisy-confirm\n")
    text = (studies.directory / "noisy.yaml").read_text().replace("name: noisy\n", "")
    (studies.directory / "noisy.yaml").write_text(text)
    assert "as `studies` itself names versions and confirmations" in studies("launch", "./noisy.yaml", expect=2).stderr
