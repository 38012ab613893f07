"""PostgresStorage does what Optuna's storages do, on real PostgreSQL, in as few statements as promised."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

import optuna
import psycopg2
import psycopg2.extensions
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState, create_trial

from studies.errors import StorageUnreachable
from studies.search.rungs import SuccessiveHalving
from studies.storage import calls, connections, sql, sql_ledger, tables
from studies.storage.connections import Connections
from studies.storage.ledger import Ledger
from studies.storage.memory import Census
from studies.storage.postgres import PostgresStorage

from ..waiting import wait_for

MINIMIZE = [StudyDirection.MINIMIZE]


def let_nothing_linger(storage: PostgresStorage) -> None:
    """End the timer that would send what lingers, in the middle of a test or after it."""
    lingering = storage._writer._lingering
    if lingering._timer is not None:
        lingering._timer.cancel()
        lingering._timer = None


@pytest.fixture
def storage(database_url: str) -> Iterator[PostgresStorage]:
    storage = PostgresStorage(database_url, wait_s=5)
    yield storage
    storage.remove_session()


@pytest.fixture
def other(database_url: str) -> Iterator[PostgresStorage]:
    """The same storage, as another process has it open."""
    storage = PostgresStorage(database_url, wait_s=5)
    yield storage
    storage.remove_session()


class TestOptunaSuite(StorageTestCase):
    """Optuna's behaviour suite, unchanged."""


# --- opening ----------------------------------------------------------------------------------------------------------


def test_optuna_leaves_it_as_it_is(storage: PostgresStorage) -> None:
    assert optuna.storages.get_storage(storage) is storage


def test_schema_version_is_the_one_optuna_creates(rdb: RDBStorage) -> None:
    assert rdb.get_current_version() == rdb.get_head_version() == tables.SCHEMA_VERSION


def test_both_url_schemes(database_url: str) -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg2"):
        storage = PostgresStorage(database_url.replace("postgresql:", f"{scheme}:", 1))
        assert storage.get_all_studies() == []
        storage.remove_session()


def test_url_parameters_reach_the_driver(database_url: str) -> None:
    asks_for_tls = database_url.replace("host=", "sslmode=require&host=localhost&port=1&ignored_host=")
    with pytest.raises((StorageUnreachable, psycopg2.ProgrammingError)):
        PostgresStorage(asks_for_tls)
    connection = Connections(database_url + "&application_name=mine", 1).connect()
    assert connection.info.dsn_parameters["application_name"] == "mine"
    connection.close()


def test_connections_that_only_a_crowd_needed_are_closed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, another = (Connections(f"{database_url}&application_name={name}", 1) for name in ("crowd", "other"))
    n_open = "SELECT count(*), count(*) FILTER (WHERE wait_event = 'advisory') FROM pg_stat_activity"
    n_open += " WHERE application_name = 'crowd'"
    deadline = time.monotonic() + 60
    with ThreadPoolExecutor(5) as pool:
        with closing(another.connect()) as holds, holds.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(77)")
            crowd = [pool.submit(ours.run, "SELECT pg_advisory_xact_lock_shared(77)") for _ in range(5)]
            while another.run(n_open) != [(5, 5)]:
                assert time.monotonic() < deadline
        assert [one.result() for one in crowd] == [[("",)]] * 5
    assert another.run(n_open) == [(5, 0)]
    monkeypatch.setattr(connections, "IDLE_S", 0.0)
    for _ in range(6):
        ours.run("SELECT 1")
    while another.run(n_open) != [(1, 0)]:  # the server ends their processes in its own time
        assert time.monotonic() < deadline
    for one in (ours, another):
        one.close()


def test_unreachable_says_so_at_once_and_hides_the_password() -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnreachable) as caught:
        PostgresStorage("postgresql://me:secret@127.0.0.1:1/studies", wait_s=100)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - began < 50


def test_other_schema_version_is_refused(database_url: str) -> None:
    connections = Connections(database_url, 1)
    connections.run("UPDATE alembic_version SET version_num = 'v3.0.0.d'", {})
    with pytest.raises(RuntimeError, match="storage upgrade"):
        PostgresStorage(database_url)
    connections.close()


# --- the service's own operations -------------------------------------------------------------------------------------


def test_claim_pops_the_oldest_waiting_trial_first(storage: PostgresStorage, rdb: RDBStorage) -> None:
    study = optuna.create_study(storage=rdb, study_name="queue")
    study.enqueue_trial({"x": 1.0})
    study.enqueue_trial({"x": 2.0})
    study_id = storage.get_study_id_from_name("queue")
    claimed = [storage.claim_trial(study_id) for _ in range(3)]
    trials = [storage.get_trial(trial_id) for trial_id in claimed if trial_id is not None]
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [trial.system_attrs.get("fixed_params") for trial in trials] == [{"x": 1.0}, {"x": 2.0}, None]
    assert [rdb.get_trial(trial._trial_id).state for trial in trials] == [TrialState.RUNNING] * 3


def test_claim_keeps_the_budget(storage: PostgresStorage, other: PostgresStorage) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.FAIL]
    for state, reader in zip(states, [storage, other, storage, other], strict=True):
        trial_id = reader.claim_trial(study_id, n_trials=5)
        assert trial_id is not None
        reader.set_trial_state_values(trial_id, state, [1.0] if state == TrialState.COMPLETE else None)
    for continued in (1, 2):  # the pruned one, and one that failed
        waiting = create_trial(state=TrialState.WAITING, user_attrs={"continues": continued})
        storage.create_new_trial(study_id, waiting)
    claimed = 0
    while [storage, other][claimed % 2].claim_trial(study_id, n_trials=5) is not None:
        claimed += 1
    assert claimed == 3
    assert [trial.number for trial in storage.get_all_trials(study_id)] == list(range(7))
    assert storage.claim_trial(study_id, n_trials=5) is None
    assert storage.claim_trial(study_id) is not None


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
def test_a_trial_continued_later_frees_its_place(storage: PostgresStorage, state: TrialState) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    trial_id = storage.claim_trial(study_id, n_trials=1)
    assert trial_id is not None
    storage.set_trial_state_values(trial_id, state)
    assert storage.claim_trial(study_id, n_trials=1) is None
    waiting = create_trial(state=TrialState.WAITING, user_attrs={"continues": 0})
    queued = storage.create_new_trial(study_id, waiting)
    assert storage.claim_trial(study_id, n_trials=1) == queued
    assert storage.claim_trial(study_id, n_trials=1) is None


def test_claim_of_no_study(storage: PostgresStorage, other: PostgresStorage) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    assert storage.claim_trial(study_id) is not None
    other.delete_study(study_id)
    with pytest.raises(KeyError):
        storage.claim_trial(study_id)
    with pytest.raises(KeyError):
        storage.get_all_trials(study_id)


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (
            lambda s, t: s.set_trial_param(t, "n" * 513, 0.5, FloatDistribution(0, 1)),
            "has 513 characters; expected 512",
        ),
        (lambda s, t: s.set_trial_param(t, 5, 0.5, FloatDistribution(0, 1)), "the parameter's name 5 is of type int"),
        (lambda s, t: s.set_trial_user_attr(t, "n" * 513, 1), "the attribute's name 'nnn"),
        (
            lambda s, t: s.set_trial_intermediate_value(t, 2**31, 0.5),
            "is 2,147,483,648; expected 2,147,483,647 at most",
        ),
    ],
)
def test_what_the_tables_do_not_take_is_refused_where_it_is_given(
    storage: PostgresStorage, write: Callable[[PostgresStorage, int], None], error: str
) -> None:
    trial_id = storage.create_new_trial(storage.create_new_study(MINIMIZE))
    with pytest.raises((TypeError, ValueError), match=error):
        write(storage, trial_id)
    storage.set_trial_user_attr(trial_id, "n" * 512, 1)
    storage.flush()


def test_what_lingers_arrives_with_the_report_and_by_itself(storage: PostgresStorage, rdb: RDBStorage) -> None:
    trial_id = storage.create_new_trial(storage.create_new_study(MINIMIZE))
    storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1))
    storage.set_trial_param(trial_id, "kind", 1, CategoricalDistribution(("a", "b")))
    storage.set_trial_user_attr(trial_id, "seconds", 3)
    storage.set_trial_intermediate_value(trial_id, 1, 0.25)
    seen = rdb.get_trial(trial_id)
    assert seen.params == {"x": 0.5, "kind": "b"}
    assert (seen.intermediate_values, seen.user_attrs) == ({1: 0.25}, {"seconds": 3})
    storage.set_trial_user_attr(trial_id, "note", "late")
    storage.set_trial_intermediate_value(trial_id, 2, 0.75)
    wait_for(lambda: "note" in rdb.get_trial(trial_id).user_attrs)
    wait_for(lambda: len(rdb.get_trial(trial_id).intermediate_values) == 2)
    storage.set_trial_user_attr(trial_id, "reason", "done")
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])
    assert rdb.get_trial(trial_id) == storage.get_trial(trial_id)


def test_own_trial_ended_by_somebody_else(
    storage: PostgresStorage, other: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.storage.lingering.LINGER_S", 60)
    study_id = storage.create_new_study(MINIMIZE)
    first, second, third, fourth = (storage.create_new_trial(study_id) for _ in range(4))
    storage.set_trial_intermediate_value(fourth, 0, 1.0)
    for trial_id in (first, second, third, fourth):
        other.set_trial_state_values(trial_id, TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_intermediate_value(first, 0, 1.0)
    storage.record_heartbeat(second)
    assert storage.get_trial(second).state == TrialState.FAIL
    storage.set_trial_intermediate_value(fourth, 1, 1.0)  # lingers
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(fourth, TrialState.COMPLETE, [1.0])
    assert [trial.state for trial in storage.get_all_trials(study_id)] == [TrialState.FAIL] * 4
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(third, TrialState.COMPLETE, [1.0])
    let_nothing_linger(storage)


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_stale_trials_are_failed_and_called_back(database_url: str) -> None:
    failed: list[int] = []
    storage = PostgresStorage(
        database_url,
        heartbeat_interval=1,
        grace_period=1,
        heartbeat_stale_trial_callback=lambda study, trial: failed.append(trial.number),
    )
    study = optuna.create_study(storage=storage)
    silent = storage.create_new_trial(study._study_id)
    never_began = storage.create_new_trial(study._study_id)
    storage.record_heartbeat(silent)
    assert storage._get_stale_trial_ids(study._study_id) == []
    Connections(database_url, 1).run(
        "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '2 s' WHERE trial_id = %(id)s", {"id": silent}
    )
    study.optimize(lambda trial: 1.0, n_trials=1)
    assert failed == [0]
    states = {trial._trial_id: trial.state for trial in study.trials}
    assert (states[silent], states[never_began]) == (TrialState.FAIL, TrialState.RUNNING)
    storage.remove_session()


def test_rdb_storage_sees_our_heartbeat(database_url: str, rdb: RDBStorage, storage: PostgresStorage) -> None:
    trial_id = storage.create_new_trial(storage.create_new_study(MINIMIZE))
    storage.record_heartbeat(trial_id)
    rdb.record_heartbeat(trial_id)
    storage.record_heartbeat(trial_id)
    rdb.heartbeat_interval = 60
    assert rdb._get_stale_trial_ids(storage.get_study_id_from_name(storage.get_all_studies()[0].study_name)) == []
    storage.record_heartbeat(10**6)  # no such trial: ignored, as RDBStorage does


@pytest.mark.parametrize("given", [{"heartbeat_interval": 0}, {"heartbeat_interval": 1, "grace_period": -1}])
def test_wrong_heartbeat_settings(database_url: str, given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive integer"):
        PostgresStorage(database_url, **given)  # type: ignore[arg-type]


# --- processes --------------------------------------------------------------------------------------------------------


def test_a_pickled_storage_reads_the_same_and_owns_nothing(storage: PostgresStorage) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_user_attr(trial_id, "key", [1, None])
    twin = pickle.loads(pickle.dumps(storage))
    assert twin.get_all_trials(study_id) == storage.get_all_trials(study_id)
    assert twin._remembered.own(trial_id) is None
    twin.remove_session()


def test_a_forked_child_does_not_disturb_its_parent(storage: PostgresStorage) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    mine = storage.create_new_trial(study_id)
    child = os.fork()
    if child == 0:
        os._exit(0 if _in_child(storage, study_id, mine) else 1)
    assert os.waitpid(child, 0)[1] == 0
    storage.set_trial_intermediate_value(mine, 0, 0.5)
    storage.set_trial_state_values(mine, TrialState.COMPLETE, [0.5])
    assert [(trial.number, trial.value) for trial in storage.get_all_trials(study_id)] == [(0, 0.5), (1, 2.0)]


def _in_child(storage: PostgresStorage, study_id: int, parents: int) -> bool:
    trial_id = storage.create_new_trial(study_id)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [2.0])
    return storage._remembered.own(parents) is None and storage.get_trial(parents).state == TrialState.RUNNING


def test_every_statement_may_have_another_connection(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that hands out connections by the transaction."""
    monkeypatch.setattr(Connections, "_give_back", lambda self, connection: connection.close())
    storage = PostgresStorage(database_url)
    study = optuna.create_study(storage=storage, pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1))
    for _ in range(5):
        _run_by_ask(study, n_reports=3)
    assert [trial.values for trial in study.trials] == [[1.0]] * 5
    assert storage.claim_trial(study._study_id, n_trials=5) is None
    storage.remove_session()


# --- statements -------------------------------------------------------------------------------------------------------


class Counting(psycopg2.extensions.cursor):
    """Counts what is sent on any connection that uses it."""

    sent: list[str] = []  # noqa: RUF012

    def execute(self, query: object, vars: object = None) -> None:
        Counting.sent.append(" ".join(str(query).split())[:60])
        super().execute(query, vars)  # type: ignore[arg-type]


def _count(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def connect(self: Connections) -> psycopg2.extensions.connection:
        return psycopg2.connect(self.url, cursor_factory=Counting)

    storage._connections.close()
    monkeypatch.setattr(Connections, "connect", connect)
    monkeypatch.setattr("studies.storage.lingering.LINGER_S", 60)
    let_nothing_linger(storage)  # what started before must not send in between
    Counting.sent.clear()
    return Counting.sent


def test_statements_of_a_trial(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=4, max_resource=16, reduction_factor=4)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner)
    _run_by_ask(study, n_reports=3)
    sent = _count(storage, monkeypatch)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    assert len(sent) == 2  # is anything waiting; create
    for step in range(3):
        storage._remembered.own(trial._trial_id).reported_at = -math.inf  # type: ignore[union-attr]  # long ago
        trial.set_user_attr(f"seconds_{step}", 1.5)
        trial.report(0.5, step)
        assert not trial.should_prune()  # between rungs
    assert len(sent) == 2 + 3
    study.tell(trial, 0.5)
    assert len(sent) == 2 + 3 + 1
    let_nothing_linger(storage)


def test_reports_faster_than_a_statement_travel_together(
    storage: PostgresStorage, rdb: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = storage.create_new_study(MINIMIZE)
    storage.get_study_directions(study_id)
    sent = _count(storage, monkeypatch)
    trial_id = storage.create_new_trial(study_id)
    for step in range(100):
        storage.set_trial_user_attr(trial_id, "last", step)
        storage.set_trial_intermediate_value(trial_id, step, float(step))
    assert storage.get_trial(trial_id).intermediate_values == {step: float(step) for step in range(100)}
    assert (rdb.get_trial(trial_id).intermediate_values, rdb.get_trial(trial_id).user_attrs) == ({0: 0.0}, {"last": 0})
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])
    assert len(sent) == 3  # create, the first report, everything else
    assert rdb.get_trial(trial_id) == storage.get_trial(trial_id)
    assert rdb.get_trial(trial_id).user_attrs == {"last": 99}
    let_nothing_linger(storage)


def test_a_report_and_what_the_pruner_asks_about_it_are_one_statement(
    storage: PostgresStorage, rdb: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(storage=storage, pruner=SuccessiveHalving(min_resource=1, reduction_factor=2))
    trial = study.ask()
    sent = _count(storage, monkeypatch)
    for step in (1, 2, 3):  # with rungs at 1 and 2
        with storage.together(trial._trial_id):
            trial.report(0.5, step)
            trial.should_prune()
        assert len(sent) == step
        assert rdb.get_trial(trial._trial_id).intermediate_values == dict.fromkeys(range(1, step + 1), 0.5)
        storage._remembered.own(trial._trial_id).reported_at = -math.inf  # type: ignore[union-attr]  # as if epochs took their time
    let_nothing_linger(storage)


def test_statements_of_a_claimed_trial(storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    _run_by_ask(study, n_reports=1)
    storage.get_all_trials(study._study_id)
    sent = _count(storage, monkeypatch)
    trial_id = storage.claim_trial(study._study_id, n_trials=10)
    assert trial_id is not None
    trial = optuna.Trial(study, trial_id)
    trial.suggest_float("x", 0, 1)
    storage.set_trial_user_attr(trial_id, "train_loss", 0.25)
    storage.set_trial_intermediate_value(trial_id, 0, 0.5)
    storage.set_trial_user_attr(trial_id, "reason", "done")
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])
    assert len(sent) == 3
    storage.get_all_trials(study._study_id)
    storage.get_best_trial(study._study_id)
    assert len(sent) == 5
    let_nothing_linger(storage)


def _run_by_ask(study: optuna.Study, n_reports: int) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("kind", ["a", "b"])
    for step in range(n_reports):
        trial.report(1.0, step)
    study.tell(trial, 1.0)


@pytest.fixture(params=["with statistics", "without"])
def many_trials(storage: PostgresStorage, request: pytest.FixtureRequest) -> int:
    """A study of 3,000 finished trials among others; its id."""
    study_ids = [storage.create_new_study(MINIMIZE) for _ in range(5)]
    run = storage._connections.run
    for study_id in study_ids:
        run(
            """INSERT INTO trials (study_id, number, state, datetime_start, datetime_complete)
               SELECT %(study_id)s, i, 'COMPLETE', localtimestamp, localtimestamp FROM generate_series(0, 2999) i""",
            {"study_id": study_id},
        )
    run("""INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
           SELECT trial_id, 'x', 0.5, %(x)s FROM trials""",
        {"x": optuna.distributions.distribution_to_json(FloatDistribution(0, 1))})  # fmt: skip
    run("""INSERT INTO trial_values (trial_id, objective, value, value_type)
           SELECT trial_id, 0, number, 'FINITE' FROM trials""", {})  # fmt: skip
    run("""INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
           SELECT trial_id, step, 1, 'FINITE' FROM trials, generate_series(0, 2) step""", {})  # fmt: skip
    for kind in ("user", "system"):
        run(
            f"INSERT INTO trial_{kind}_attributes (trial_id, key, value_json) SELECT trial_id, 'k', '1' FROM trials", {}
        )
    run("INSERT INTO trial_heartbeats (trial_id, heartbeat) SELECT trial_id, localtimestamp FROM trials", {})
    run("ANALYZE" if request.param == "with statistics" else "ALTER TABLE trials SET (autovacuum_enabled = off)", {})
    return study_ids[-1]


# All but parts of others, and what makes tables, asks whether they are there, looks at no table, reads every study, or
# deletes one.
OTHERS = {"TRIAL_COLUMNS", "METRICS", "REPEATS", "HOURS_USED", "IS_LOST", "LAST_HEARD", "TAKE_LEFT_ALONE",
          "CREATE_LEDGER", "HAS_LEDGER", "HAS_TABLES", "HAS_FUNCTIONS", "READ_SCHEMA_VERSION",
          "SETTLE", "READ_STUDIES", "READ_STARTED", "READ_FOREIGN", "COUNT_ENDED", "NOTICE_SILENCE", "READ_SERVER",
          "TRY_LOCK", "CREATE_DATABASE", "VIOLATES", "FORGET"}  # fmt: skip
STATEMENTS = vars(sql) | vars(sql_ledger)
PLAIN = {name: text for name, text in STATEMENTS.items() if name.isupper() and name[0] != "_" and name not in OTHERS}
WHOLE = {"DELETE_STUDY", "COUNT_STATES", "COUNT_EPOCHS", "READ_BEST", "COUNT_INFEASIBLE", "COUNT_VERDICTS",
         "READ_LAST_FAILURE", "READ_VALUES"}  # fmt: skip
INSERTS = {"CREATE_STUDY"}


def test_plain_statements_use_an_index(storage: PostgresStorage, many_trials: int, database_url: str) -> None:
    Ledger(database_url, lease_s=60, wait_s=1).close()
    storage._reader.read_changes(storage._remembered.study(many_trials))
    given = storage._remembered.study(many_trials).seen()
    given |= {"trial_id": given["after"], "name": "x", "start": datetime.now(), "grace_s": 60, "key": "k", "value": "1"}
    given |= {"study": many_trials, "trial": given["after"], "worker": 1, "lease": 60, "numbers": [7], "keys": ["k"]}
    given |= {
        "values": ["1"],
        "others": 0,
        "unfinished": [given["after"]],
        "n": 5,
        "why": "",
        "host": "h",
        "pid": 1,
        "device": "cpu",
        "directions": ["MINIMIZE"],
    }
    given |= {"again": True, "params": "{}", "reason": '"lost"', "reason_key": "reason", "link_key": "continued_by"}
    given |= {"verdict_key": "verdict", "detail_key": "detail", "maximize": True, "number": 7, "winner": 7}
    given |= {"content": b"", "limit": 1, "paused_key": "paused", "hours": None, "usage": None}
    given |= {"spec_key": "spec", "spec": "{}", "created": given["after"], "studies": [many_trials]}
    given |= {"user_keys": ["k"], "user_values": ["1"], "system_keys": ["k"], "system_values": ["1"]}

    def plan(text: str, setting: str) -> str:
        *_, last = text.split(";")
        rows = storage._connections.run(f"SET LOCAL enable_seqscan = {setting}; EXPLAIN {last}", given)
        return "\n".join(line for (line,) in rows)

    for name, text in PLAIN.items():
        # As planned for these tables, none of a trial's is read through, unless for a whole study (a fifth).
        if name not in WHOLE:
            assert "Seq Scan on trial" not in plan(text, "on"), name
        # Other tables may be so small that reading them through is best, but there is an index for when they grow.
        assert "Seq Scan" not in plan(text, "off"), name
        assert ("Index" in plan(text, "off")) == (name not in INSERTS), name


def test_functions_look_at_what_is_new_alone(storage: PostgresStorage, many_trials: int, database_url: str) -> None:
    study = storage._remembered.study(many_trials)
    storage._reader.read_changes(study)
    connection = psycopg2.connect(database_url)
    with connection, connection.cursor() as cursor:

        def n_read() -> dict[str, int]:
            cursor.execute("SELECT relname, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
                           " WHERE relname LIKE 'trial%'")  # fmt: skip
            return dict(cursor.fetchall())

        given = study.seen() | {"n_trials": 10**6, "start": datetime.now(), "state": "RUNNING", "worker_id": None}
        given |= {"watched": [given["after"]], "signatures": [0]}
        cursor.execute(calls.CLAIM, given | vars(study.census))  # the first one counts all
        [(_, _, _, *counted)] = cursor.fetchall()
        census = vars(Census(*counted))
        cursor.execute(calls.rungs("true"), given | {"after_attribute": -1})
        writes = {"user_keys": ["a"], "user_values": ["1"], "steps": [1], "reported": [0.5], "reported_types": ["NAN"]}
        before = n_read()
        for _ in range(8):  # a plan is kept after the fifth call
            cursor.execute(calls.CLAIM, given | census)
            [(trial_id, number, _popped, *counted)] = cursor.fetchall()
            census = vars(Census(*counted))
            cursor.execute(calls.REPORT, {"trial_id": trial_id, "step": 0, "value": 1, "value_type": "FINITE"})
            cursor.execute(calls.write(writes), writes | {"trial_id": trial_id})
            cursor.execute(calls.CHANGES, given)
            assert len(cursor.fetchall()) == 1 + number - 3000 + 1
            cursor.execute(calls.IS_WAITING, given)
            cursor.execute(calls.rungs("true"), given | {"after_attribute": 10**6})
            cursor.execute(calls.CREATE, given)
            cursor.execute("DELETE FROM trials WHERE trial_id = %s", cursor.fetchall()[0][:1])
        assert {name: n - before[name] for name, n in n_read().items() if n - before[name] > 1000} == {}
    connection.close()
