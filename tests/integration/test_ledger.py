"""Who works on what, and what becomes of the trials of the dead."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import optuna
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from studies.names import CONTINUED_BY, CONTINUES, REASON, UID, UNLIMITED, Reason
from studies.run.end import Outcome, end, resume
from studies.run.join import Start, join
from studies.settings import Settings
from studies.spec import StudySpec
from studies.spec.description import Description
from studies.storage import Storage, connections, sql_ledger
from studies.storage.budget import Budget
from studies.storage.connections import Connections
from studies.study import get

from ..conftest import UNTIMED, let_a_lease_pass


@pytest.fixture
def study(storage: Storage) -> optuna.Study:
    study = optuna.create_study(storage=storage.optuna, study_name="one", direction="minimize")
    storage.ledger.open_study(study._study_id, n_trials=3)
    return study


def claim(storage: Storage, study: optuna.Study, worker: int) -> int:
    trial_id = storage.optuna.claim_trial(study._study_id, n_trials=3, worker_id=worker)
    assert trial_id is not None
    optuna.Trial(study, trial_id).suggest_float("x", 0, 1)
    return trial_id


def test_a_trial_is_lost_when_its_workers_lease_is_over(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    assert storage.ledger.budget(study._study_id).lost == ()
    let_a_lease_pass(storage.url)
    assert storage.ledger.budget(study._study_id).lost == (trial_id,)
    assert storage.ledger.states(study._study_id) == {"LOST": 1}
    storage.ledger.heartbeat(worker)
    assert storage.ledger.states(study._study_id) == {"RUNNING": 1}
    assert storage.ledger.budget(study._study_id).lost == ()


def test_a_dead_worker_is_shown_until_its_trial_is_taken_over(storage: Storage, study: optuna.Study) -> None:
    worker, study_id = storage.ledger.enter(study._study_id, "cpu"), study._study_id
    trial_id = claim(storage, study, worker)
    storage.ledger.enter(study_id, "cpu")  # it has no trial
    let_a_lease_pass(storage.url)
    assert [(one.worker_id, one.alive) for one in storage.ledger.workers(study_id)] == [(worker, False)]
    assert end(storage, study, trial_id, Outcome.failed(Reason.LOST), max_retries=2)
    assert storage.ledger.workers(study_id) == []


def test_a_worker_whose_answer_was_lost_is_there_once(
    storage: Storage, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, carry_out = storage.ledger.enter(study._study_id, "cpu"), Connections._run_once
    claim(storage, study, first)
    answers = ["lost"]

    def cut(connections: Connections, statement: str, given: Mapping[str, object]) -> list[tuple[object, ...]]:
        rows = carry_out(connections, statement, given)
        if statement == sql_ledger.ENTER and answers:
            answers.clear()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return rows

    monkeypatch.setattr(Connections, "_run_once", cut)
    worker = storage.ledger.enter(study._study_id, "cpu")
    assert [one.worker_id for one in storage.ledger.workers(study._study_id)] == [first, worker]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_machine_whose_clock_is_off_writes_the_servers_time(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return super().now(tz) + timedelta(hours=hours)

    monkeypatch.setattr(connections, "datetime", Clock)
    with Storage(database_url, Settings(None, tmp_path, tmp_path)) as storage:
        study = optuna.create_study(storage=storage.optuna, study_name="off")
        storage.ledger.open_study(study._study_id, n_trials=3)
        worker = storage.ledger.enter(study._study_id, "cpu")
        first, second = (claim(storage, study, worker) for _ in range(2))
        study.tell(study.get_trials()[0].number, 1.0)
        assert abs(storage.ledger.budget(study._study_id).device_hours) < 0.1
        assert end(storage, study, second, Outcome.failed(Reason.LOST), max_retries=0)
        for trial in (storage.optuna.get_trial(first), *study.get_trials()):
            assert trial.duration is not None
            assert trial.datetime_start is not None
            assert abs(trial.duration) < timedelta(minutes=5)
            assert abs(datetime.now() - trial.datetime_start) < timedelta(minutes=5)
        assert storage.ledger.budget(study._study_id).device_hours < 0.1


def test_a_dead_workers_trial_is_lost_at_once(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    (shown,) = storage.ledger.workers(study._study_id)
    assert (shown.trial, shown.alive) == (0, True)
    storage.ledger.declare_dead(study._study_id, shown.host, shown.pid)
    assert storage.ledger.budget(study._study_id).lost == (trial_id,)


def test_a_continuation_takes_the_place_of_its_trial(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial_id = claim(storage, study, worker)
    optuna.Trial(study, trial_id).set_user_attr("seed", 5)
    storage.optuna.flush()
    x = storage.optuna.get_trial(trial_id).params["x"]
    assert end(storage, study, trial_id, Outcome.failed(Reason.LOST), max_retries=2)
    assert not end(storage, study, trial_id, Outcome.failed(Reason.LOST), max_retries=2)
    ended, queued = study.get_trials()
    assert (ended.state.name, ended.user_attrs[REASON], ended.user_attrs[CONTINUED_BY]) == ("FAIL", "lost", 1)
    assert queued.state.name == "WAITING"
    assert queued.user_attrs == {CONTINUES: 0, "retries": 1, "seed": 5}
    assert storage.ledger.budget(study._study_id).counted == 0
    again = optuna.Trial(study, claim(storage, study, worker))
    assert (again.number, again.params["x"]) == (1, x)


def test_what_was_lost_before_it_had_parameters_leaves_no_seed(storage: Storage, study: optuna.Study) -> None:
    trial_id = storage.optuna.claim_trial(study._study_id, n_trials=3)
    assert trial_id is not None
    optuna.Trial(study, trial_id).set_user_attr("seed", 5)
    storage.optuna.flush()
    end(storage, study, trial_id, Outcome.failed(Reason.LOST), max_retries=2)
    assert study.get_trials()[1].user_attrs == {CONTINUES: 0, "retries": 1}


def test_a_trial_is_retried_max_retries_times_and_a_stop_is_no_retry(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    reasons = ("lost", "stopped", "connection", "stopped", "lost")
    for reason in reasons:
        assert end(storage, study, claim(storage, study, worker), Outcome.failed(Reason(reason)), max_retries=2)
    trials = study.get_trials()
    assert [trial.user_attrs[REASON] for trial in trials] == list(reasons)
    assert [trial.user_attrs.get(CONTINUED_BY) for trial in trials] == [1, 2, 3, 4, None]
    assert storage.ledger.budget(study._study_id).counted == 1


def test_a_paused_trial_is_resumed_once_and_counts_once(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    trial = optuna.Trial(study, claim(storage, study, worker))
    trial.set_user_attr("seed", 5)
    study.tell(trial, state=TrialState.PRUNED)
    assert storage.ledger.budget(study._study_id).done == 1
    paused = study.get_trials()[0]
    assert resume(storage, study, paused)
    assert not resume(storage, study, paused)
    budget = storage.ledger.budget(study._study_id)
    assert (budget.counted, budget.lost) == (0, ())
    again = optuna.Trial(study, claim(storage, study, worker))
    assert (again.number, again.params, again.user_attrs[CONTINUES]) == (1, paused.params, 0)
    assert again.user_attrs["seed"] == 5
    assert end(storage, study, again, Outcome.failed(Reason.LOST), max_retries=2)  # a promotion that dies
    assert [trial.user_attrs.get(CONTINUES) for trial in study.get_trials()] == [None, 0, 1]
    assert storage.ledger.budget(study._study_id).counted == 0


def test_the_budget_is_what_is_claimed(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    for _ in range(3):
        study.tell(optuna.Trial(study, claim(storage, study, worker)), 1.0)
    assert storage.optuna.claim_trial(study._study_id, n_trials=3) is None
    storage.optuna.flush()
    budget = storage.ledger.budget(study._study_id)
    assert (budget.counted, budget.running, budget.done) == (3, 0, 3)


ENDS = st.sampled_from(["run", "wait", "complete", "violate", "prune", "fail", "continue", "resume"])


@settings(max_examples=25, suppress_health_check=[*UNTIMED, HealthCheck.function_scoped_fixture])
@given(
    direction=st.sampled_from(["minimize", "maximize"]),
    steps=st.lists(st.tuples(ENDS, st.integers(0, 5), st.booleans()), max_size=25),
)
def test_what_is_counted_on_is_what_is_counted_anew(
    storage: Storage, direction: str, steps: list[tuple[str, int, bool]]
) -> None:
    """steps: what happens to a trial, which one or with which value, and whether the budget is asked then."""
    study = optuna.create_study(storage=storage.optuna, direction=direction)
    ledger, study_id = storage.ledger, study._study_id
    ledger.open_study(study_id, n_trials=99)
    for what, n, asked in steps:
        running = [trial for trial in study.get_trials() if trial.state == TrialState.RUNNING]
        pruned = [trial for trial in study.get_trials() if trial.state == TrialState.PRUNED]
        if what == "wait":
            study.enqueue_trial({"x": n / 5})
        elif what == "resume" and pruned:
            trial = pruned[n % len(pruned)]
            ledger.resume(study_id, trial._trial_id, params={}, attributes={CONTINUES: trial.number})
        elif what == "run" or not running:
            study.ask()
        else:
            trial_id, number = running[n % len(running)]._trial_id, running[n % len(running)].number
            if what == "continue":
                given = {"params": {}, "attributes": {CONTINUES: number}}
                ledger.end_and_continue(study_id, trial_id, "lost", **given, again=n < 4)
            elif what in ("complete", "violate"):
                if what == "violate":
                    optuna.Trial(study, trial_id).set_constraint("too slow", 1.0)
                study.tell(number, float(n))
            else:
                study.tell(number, state=TrialState.PRUNED if what == "prune" else TrialState.FAIL)
        if asked:
            ledger.budget(study_id)
    now, hours = ledger.budget(study_id), "device_hours"
    ledger._tallies.clear()
    anew = ledger.budget(study_id)
    assert dataclasses.replace(now, **{hours: 0.0}) == dataclasses.replace(anew, **{hours: 0.0})
    assert now.device_hours == pytest.approx(anew.device_hours, abs=1e-4)
    assert dataclasses.replace(now, **{hours: 0.0}) == counted_by_hand(study)


GOOD = (TrialState.COMPLETE, TrialState.PRUNED)


def counted_by_hand(study: optuna.Study) -> Budget:
    every = study.get_trials()
    continued = {trial.user_attrs.get(CONTINUES) for trial in every}
    trials = [trial for trial in every if trial.state != TrialState.WAITING]
    counted = [trial for trial in trials if trial.number not in continued]
    newest_good = max((trial.number for trial in trials if trial.state in GOOD), default=-1)
    good = [trial.number for trial in counted if trial.state in GOOD]
    failed = [trial.number for trial in counted if trial.state == TrialState.FAIL]
    feasible = [trial for trial in counted if trial.state == TrialState.COMPLETE and not trial.constraints]
    best = study.best_trial.number if feasible else max(good, default=0)
    return Budget(
        n_trials=99,
        counted=len(counted),
        running=sum(trial.state == TrialState.RUNNING for trial in counted),
        waiting=sum(trial.state == TrialState.WAITING for trial in every),
        failures_in_a_row=sum(number > newest_good for number in failed),
        since_best=sum(number > best for number in good),
    )


def test_hours_are_those_in_which_a_worker_ran(storage: Storage, study: optuna.Study) -> None:
    """Two workers at a time count once, nobody's night not at all, and a dead one until its last heartbeats."""
    ledger, study_id = storage.ledger, study._study_id
    ledger.open_study(study_id, UNLIMITED, hours=3.0)
    minutes = [(600, 540, 540), (580, 530, 530), (570, 560, 560), (300, 290, 10)]  # began, last heartbeat, ended: ago
    for began, heard, ended in minutes:
        worker = ledger.enter(study_id, "cpu")
        ledger._run(
            "UPDATE studies.workers SET started_at = now() - make_interval(mins => %(began)s), "
            "heartbeat_at = now() - make_interval(mins => %(heard)s), "
            "ended_at = now() - make_interval(mins => %(ended)s) WHERE worker_id = %(worker)s",
            {"worker": worker, "began": began, "heard": heard, "ended": ended},
        )
    budget = ledger.budget(study_id)
    assert budget.hours == 3.0
    silent_s = ledger.lease_s / 6  # two heartbeats
    assert budget.hours_used == pytest.approx((70 + 10) / 60 + silent_s / 3600, abs=1e-3)
    assert (budget.total, budget.trials) == (None, "0 trials")
    ledger.enter(study_id, "cpu")  # runs now, since a moment ago
    assert ledger.budget(study_id).hours_used == pytest.approx((70 + 10) / 60, abs=1e-2)


def test_a_stop_reaches_the_heartbeat_and_is_forgotten_by_the_next_launch(
    storage: Storage, study: optuna.Study
) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    storage.ledger.request_stop(study._study_id, "enough")
    storage.ledger.request_stop(study._study_id, "later")
    assert storage.ledger.heartbeat(worker) == "enough"
    storage.ledger.open_study(study._study_id, n_trials=9)
    assert storage.ledger.heartbeat(worker) is None


def test_people_who_launch_a_study_at_once_join_one(database_url: str, storage: Storage, tmp_path: Path) -> None:
    given = {"name": "shared", "objective": "a.b", "direction": "minimize", "n_trials": 9}
    spec = StudySpec.model_validate(given | {"start_with": [{"x": 1}, {"x": 2}]})
    declared = {"x": {"low": 0.0, "high": 3.0, "default": 0.0}}
    described = Description(declared, {"name": "none"}, spec.resolve(declared))

    def launch(_: int) -> tuple[int, str]:
        with Storage(database_url, Settings(None, tmp_path, tmp_path)) as own:
            study_id = join(own, spec, described, Start(), print).study_id
            return study_id, get(own, "shared").user_attrs[UID]

    with ThreadPoolExecutor(6) as people:
        joined = set(people.map(launch, range(6)))
    assert len(joined) == 1
    trials = get(storage, "shared").get_trials()
    assert [trial.system_attrs["fixed_params"] for trial in trials] == [{"x": 1.0}, {"x": 2.0}]
    assert storage.ledger.budget(joined.pop()[0]).n_trials == 9
    join(storage, spec.model_copy(update={"name": "other"}), described, Start(), print)
    assert get(storage, "other").user_attrs[UID] != get(storage, "shared").user_attrs[UID]


def test_an_end_that_a_crash_took_back_is_none(storage: Storage, study: optuna.Study) -> None:
    """As if the server had forgotten an end that was not on its disk yet, and the connection broke."""
    worker = storage.ledger.enter(study._study_id, "cpu")
    study.tell(optuna.Trial(study, claim(storage, study, worker)), 1.0)
    assert storage.ledger.budget(study._study_id).running == 0
    with closing(psycopg2.connect(storage.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE trials SET state = 'RUNNING'")
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    budget = storage.ledger.budget(study._study_id)
    assert (budget.running, budget.done) == (1, 0)


def test_a_lost_trial_ended_when_its_worker_was_last_heard_of(storage: Storage, study: optuna.Study) -> None:
    worker = storage.ledger.enter(study._study_id, "cpu")
    lost, alive = claim(storage, study, worker), claim(storage, study, storage.ledger.enter(study._study_id, "cpu"))
    with closing(psycopg2.connect(storage.url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE trials SET datetime_start = datetime_start - interval '9 hours'")
        cursor.execute(
            "UPDATE studies.workers SET heartbeat_at = now() - interval '8 hours' WHERE worker_id = %s", (worker,)
        )
    for trial_id in (lost, alive):
        storage.ledger.end_and_continue(
            study._study_id, trial_id, "lost", params={}, attributes={}, again=trial_id == lost
        )
    hours = [
        (trial.datetime_complete - trial.datetime_start).total_seconds() / 3600
        for trial in study.get_trials(deepcopy=False)[:2]
        if trial.datetime_complete is not None and trial.datetime_start is not None
    ]
    assert hours == pytest.approx([1.0, 9.0], abs=0.1)
