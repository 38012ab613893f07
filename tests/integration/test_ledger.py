"""Who works on what, and what becomes of the trials of the dead."""

from __future__ import annotations

import time
from collections.abc import Iterator

import optuna
import pytest

from studies.names import CONTINUED_BY, CONTINUES, REASON
from studies.settings import Settings
from studies.storage import Storage
from studies.study import continue_trial


@pytest.fixture
def storage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    home = tmp_path_factory.mktemp("home")
    with Storage(database_url, Settings(None, home, home, lease_s=1.0)) as storage:
        yield storage


@pytest.fixture
def study(storage: Storage) -> optuna.Study:
    study = optuna.create_study(storage=storage.optuna, study_name="one", direction="minimize")
    storage.ledger.open_study(study._study_id, n_trials=3)
    return study


def claim(storage: Storage, study: optuna.Study, worker: int) -> int:
    trial_id = storage.optuna.claim_trial(study._study_id, n_trials=3)
    assert trial_id is not None
    storage.ledger.works_on(worker, trial_id)
    optuna.Trial(study, trial_id).suggest_float("x", 0, 1)
    return trial_id


def test_a_trial_is_lost_when_its_workers_lease_is_over(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    assert storage.ledger.lost_trials(study._study_id) == []
    time.sleep(1.2)
    assert storage.ledger.lost_trials(study._study_id) == [trial_id]
    storage.ledger.heartbeat(worker)
    assert storage.ledger.lost_trials(study._study_id) == []


def test_a_dead_workers_trial_is_lost_at_once(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    (shown,) = storage.ledger.workers(study._study_id)
    assert (shown.trial, shown.alive) == (0, True)
    storage.ledger.declare_dead(study._study_id, shown.host, shown.pid)
    assert storage.ledger.lost_trials(study._study_id) == [trial_id]


def test_a_continuation_takes_the_place_of_its_trial(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    optuna.Trial(study, trial_id).set_user_attr("seed", 5)
    storage.optuna.flush()
    x = storage.optuna.get_trial(trial_id).params["x"]
    assert continue_trial(storage, study, trial_id, "lost", max_retries=2)
    assert not continue_trial(storage, study, trial_id, "lost", max_retries=2)
    ended, queued = study.get_trials()
    assert (ended.state.name, ended.user_attrs[REASON], ended.user_attrs[CONTINUED_BY]) == ("FAIL", "lost", 1)
    assert queued.state.name == "WAITING"
    assert queued.user_attrs == {CONTINUES: 0, "retries": 1, "seed": 5}
    assert storage.ledger.budget(study._study_id).counted == 0
    again = optuna.Trial(study, claim(storage, study, worker))
    assert (again.number, again.params["x"]) == (1, x)


def test_a_trial_lost_too_often_is_not_queued_again(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    for _ in range(3):
        assert continue_trial(storage, study, claim(storage, study, worker), "lost", max_retries=2)
    assert len(study.get_trials()) == 3
    assert storage.ledger.budget(study._study_id).counted == 1


def test_the_budget_is_what_is_claimed(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    for _ in range(3):
        study.tell(optuna.Trial(study, claim(storage, study, worker)), 1.0)
    assert storage.optuna.claim_trial(study._study_id, n_trials=3) is None
    storage.optuna.flush()
    budget = storage.ledger.budget(study._study_id)
    assert (budget.counted, budget.running, budget.done) == (3, 0, 3)


def test_a_stop_reaches_the_heartbeat_and_is_forgotten_by_the_next_launch(
    storage: Storage, study: optuna.Study
) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    storage.ledger.request_stop(study._study_id, "enough")
    storage.ledger.request_stop(study._study_id, "later")
    assert storage.ledger.heartbeat(worker) == "enough"
    storage.ledger.open_study(study._study_id, n_trials=9)
    assert storage.ledger.heartbeat(worker) is None
