"""PostgresStorage beside RDBStorage, in many processes, and across a server that goes away."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import optuna
import psycopg2
import psycopg2.errors
import pytest
from hypothesis import HealthCheck, given, settings
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer
from studies.storage.postgres import PostgresStorage

MINIMIZE = [StudyDirection.MINIMIZE]
FINISHED = [state for state in TrialState if state.is_finished()]


# --- the same operations give the same reads --------------------------------------------------------------------------

VALUES = st.floats(allow_nan=False, width=32) | st.sampled_from([float("inf"), float("-inf"), 0.1])
REPORTED = VALUES | st.just(float("nan"))
JSON = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.lists(st.integers(0, 3), max_size=2)
KEYS = st.sampled_from(["a", "b", "completed_rung_0"])
DISTRIBUTIONS = st.sampled_from(
    [
        FloatDistribution(0, 1),
        FloatDistribution(0, 2),
        FloatDistribution(1, 2, log=True),
        IntDistribution(0, 1),
        CategoricalDistribution((1, "b", None)),
        CategoricalDistribution((0, 1)),
    ]
)
WHICH = st.integers(0, 3)

OPERATIONS = st.one_of(
    st.tuples(st.just("create")),
    st.tuples(st.just("create_from"), st.sampled_from(list(TrialState)), JSON, REPORTED),
    st.tuples(st.just("set_trial_param"), WHICH, KEYS, st.sampled_from([0.0, 1.0]), DISTRIBUTIONS),
    st.tuples(st.just("set_trial_intermediate_value"), WHICH, st.integers(0, 2), REPORTED),
    st.tuples(st.just("set_trial_user_attr"), WHICH, KEYS, JSON),
    st.tuples(st.just("set_trial_system_attr"), WHICH, KEYS, JSON),
    st.tuples(st.just("set_trial_state_values"), WHICH, st.sampled_from(list(TrialState)), st.none() | VALUES),
    st.tuples(st.just("set_study_user_attr"), KEYS, JSON),
    st.tuples(st.just("best")),
)


@dataclass
class Side:
    """A study, driven through one storage and watched through others."""

    storage: BaseStorage
    watchers: list[BaseStorage]
    study_id: int
    trial_ids: list[int] = field(default_factory=list)

    def do(self, name: str, arguments: tuple[Any, ...]) -> object:
        """Carry out an operation; return what it returned, or the type of what it raised."""
        try:
            return self._do(name, arguments)
        except (KeyError, ValueError, RuntimeError, UpdateFinishedTrialError) as error:
            return type(error)

    def _do(self, name: str, arguments: tuple[Any, ...]) -> object:
        if name == "create":
            self.trial_ids.append(self.storage.create_new_trial(self.study_id))
            return None
        if name == "create_from":
            self.trial_ids.append(self.storage.create_new_trial(self.study_id, _template(*arguments)))
            return None
        if name == "set_study_user_attr":
            return self.storage.set_study_user_attr(self.study_id, *arguments)
        if name == "best":
            return self.storage.get_best_trial(self.study_id).value
        which, *rest = arguments
        if name == "set_trial_state_values" and rest[1] is not None:
            rest[1] = [rest[1]]
        trial_id = self.trial_ids[which] if which < len(self.trial_ids) else 10**8
        return getattr(self.storage, name)(trial_id, *rest)

    def views(self) -> list[object]:
        """Return every read through every storage, without what differs between two studies by nature."""
        if isinstance(self.storage, PostgresStorage):
            self.storage.flush()
        return [self._view(storage) for storage in [self.storage, *self.watchers]]

    def _view(self, storage: BaseStorage) -> object:
        trials = storage.get_all_trials(self.study_id)
        assert [trial._trial_id for trial in trials] == self.trial_ids
        if isinstance(storage, PostgresStorage):  # RDBStorage agrees with itself, and takes its time to
            self._check_other_reads(storage, trials)
        return [_essence(trial) for trial in trials], storage.get_study_user_attrs(self.study_id)

    def _check_other_reads(self, storage: PostgresStorage, trials: list[FrozenTrial]) -> None:
        """See that a trial read by itself, by its state, or counted is the same as among all."""
        singly = [_essence(storage.get_trial(trial_id)) for trial_id in self.trial_ids]
        assert singly == [_essence(trial) for trial in trials]
        for state in TrialState:
            of_it = [trial.number for trial in trials if trial.state == state]
            assert [one.number for one in storage.get_all_trials(self.study_id, states=(state,))] == of_it
            assert storage.get_n_trials(self.study_id, state) == len(of_it)
        ids = [storage.get_trial_id_from_study_id_trial_number(self.study_id, trial.number) for trial in trials]
        assert ids == self.trial_ids


def _template(state: TrialState, attr: object, reported: float) -> FrozenTrial:
    return create_trial(
        state=state,
        value=1.5 if state == TrialState.COMPLETE else None,
        params={"a": 0.5},
        distributions={"a": FloatDistribution(0, 1)},
        user_attrs={"from": attr},
        system_attrs={"fixed_params": {"a": 0.5}},
        intermediate_values={0: reported},
    )


def _essence(trial: FrozenTrial) -> str:
    """All of a trial but its id and times; as text, in which NaN equals itself."""
    ordered = [trial.params, trial.distributions]
    unordered = [trial.user_attrs, trial.system_attrs, trial.intermediate_values]
    dates = [trial.datetime_start is None, trial.datetime_complete is None]
    return repr([trial.number, trial.state, trial.values, ordered, [sorted(d.items()) for d in unordered], dates])


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATIONS, min_size=1, max_size=12))
def test_same_operations_same_reads(
    shared: tuple[RDBStorage, PostgresStorage, PostgresStorage], operations: list[tuple[Any, ...]]
) -> None:
    rdb, fast, reader = shared
    ours = Side(fast, [rdb, reader], fast.create_new_study(MINIMIZE))
    theirs = Side(rdb, [fast, reader], rdb.create_new_study(MINIMIZE))
    for name, *arguments in operations:
        assert ours.do(name, tuple(arguments)) == theirs.do(name, tuple(arguments)), name
        views = ours.views() + theirs.views()
        assert all(view == views[0] for view in views)


@pytest.fixture
def shared(database_url: str, rdb: RDBStorage) -> Iterator[tuple[RDBStorage, PostgresStorage, PostgresStorage]]:
    fast, reader = PostgresStorage(database_url), PostgresStorage(database_url)
    yield rdb, fast, reader
    fast.remove_session()
    reader.remove_session()


# --- many processes ---------------------------------------------------------------------------------------------------


def _processes(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    """Run in fresh processes, all at once, and see that all of them end well."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["studies.storage.postgres", "optuna.storages._rdb.models", __name__])
    processes = [context.Process(target=target, args=given) for given in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _claim_all(url: str, study_id: int, n_trials: int) -> None:
    storage = PostgresStorage(url)
    while (trial_id := storage.claim_trial(study_id, n_trials=n_trials)) is not None:
        storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1))
        for step in range(3):
            storage.set_trial_user_attr(trial_id, f"seconds_{step}", step)
            storage.set_trial_intermediate_value(trial_id, step, float(step))
        storage.set_trial_user_attr(trial_id, "reason", "done")
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [float(trial_id)])
    storage.remove_session()


def test_sixteen_processes_keep_the_budget_and_lose_nothing(database_url: str) -> None:
    storage = PostgresStorage(database_url)
    study_id = storage.create_new_study(MINIMIZE)
    for _ in range(20):
        storage.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    _processes(_claim_all, [(database_url, study_id, 200)] * 16)
    trials = storage.get_all_trials(study_id)
    assert [trial.number for trial in trials] == list(range(200))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    attrs = {"seconds_0": 0, "seconds_1": 1, "seconds_2": 2, "reason": "done"}
    for trial in trials:
        assert (trial.params, trial.user_attrs) == ({"x": 0.5}, attrs)
        assert trial.intermediate_values == {0: 0.0, 1: 1.0, 2: 2.0}
        assert trial.values == [float(trial._trial_id)]
    storage.remove_session()


def _ask_and_tell(url: str, name: str, fast: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage: BaseStorage = PostgresStorage(url) if fast else RDBStorage(url)
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
    for _ in range(10):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        trial.set_user_attr("fast", fast)
        study.tell(trial, x)
    storage.remove_session()


def test_workers_on_both_storages_in_one_study(database_url: str, rdb: RDBStorage) -> None:
    study = optuna.create_study(storage=rdb, study_name="mixed")
    for x in range(6):
        study.enqueue_trial({"x": x / 10})
    _processes(_ask_and_tell, [(database_url, "mixed", n % 2 == 0) for n in range(6)])
    fast = PostgresStorage(database_url)
    trials = study.get_trials()
    assert [trial.number for trial in trials] == list(range(60))
    assert fast.get_all_trials(study._study_id) == trials
    assert sum(trial.user_attrs["fast"] for trial in trials) == 30
    assert [trial.params["x"] for trial in trials[:6]] == [x / 10 for x in range(6)]
    assert fast.get_best_trial(study._study_id) == study.best_trial
    fast.remove_session()


def test_threads_of_one_process(database_url: str) -> None:
    storage = PostgresStorage(database_url)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler())
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40, n_jobs=4)
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(40))
    assert all(trial.params["x"] == trial.value for trial in trials)
    storage.remove_session()


def _open(url: str) -> None:
    PostgresStorage(url).remove_session()


def test_many_open_an_empty_database_at_once(server: EmbeddedServer) -> None:
    connection = psycopg2.connect(server.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE opened_at_once")
        url = server.url.replace("/studies?", "/opened_at_once?")
        _processes(_open, [(url,)] * 6)
        cursor.execute("DROP DATABASE opened_at_once WITH (FORCE)")
    connection.close()


# --- a server that goes away ------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(reachable_directory: Path) -> Iterator[EmbeddedServer]:
    home = reachable_directory / "restarted"
    with EmbeddedServer(Settings(None, home, home / "data")) as server:
        yield server


def _crash(server: EmbeddedServer) -> None:
    """Kill the server like a power cut would, as far as PostgreSQL can tell, and start it again."""
    os.kill(int((server.data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    server.revive()


def test_a_worker_goes_on_after_the_server_crashed(own_server: EmbeddedServer) -> None:
    storage, other = PostgresStorage(own_server.url, wait_s=60), PostgresStorage(own_server.url, wait_s=60)
    study_id = storage.create_new_study(MINIMIZE)
    for operation in (_report, _finish, _read, _claim):
        trial_id = storage.create_new_trial(study_id)
        storage.set_trial_param(trial_id, "x", 0.25, FloatDistribution(0, 1))
        storage.set_trial_intermediate_value(trial_id, 0, 0.5)
        other.get_all_trials(study_id)
        other.set_trial_state_values(other.create_new_trial(study_id), TrialState.COMPLETE, [1.0])  # waits for the disk
        crash = threading.Thread(target=_crash, args=(own_server,))
        crash.start()
        operation(storage, study_id, trial_id)
        crash.join()
        if operation is not _finish:
            storage.set_trial_system_attr(trial_id, "late", True)
            storage.flush()
        trial = other.get_trial(trial_id)
        assert (trial.params, trial.intermediate_values[0]) == ({"x": 0.25}, 0.5)
    trials = other.get_all_trials(study_id)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len(trials) == 9  # two at each crash, and the claimed one
    storage.remove_session()
    other.remove_session()


def _report(storage: PostgresStorage, study_id: int, trial_id: int) -> None:
    storage.set_trial_intermediate_value(trial_id, 1, 0.75)
    assert storage.get_trial(trial_id).intermediate_values == {0: 0.5, 1: 0.75}


def _finish(storage: PostgresStorage, study_id: int, trial_id: int) -> None:
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])


def _read(storage: PostgresStorage, study_id: int, trial_id: int) -> None:
    assert trial_id in [trial._trial_id for trial in storage.get_all_trials(study_id)]


def _claim(storage: PostgresStorage, study_id: int, trial_id: int) -> None:
    assert storage.claim_trial(study_id, n_trials=100) is not None


def test_what_a_crash_took_back_is_written_again(database_url: str) -> None:
    """As if the server had forgotten what it had not put on disk, and the connection broke."""
    storage = PostgresStorage(database_url, wait_s=20)
    study_id = storage.create_new_study(MINIMIZE)
    kept, lost = storage.create_new_trial(study_id), storage.create_new_trial(study_id)
    for trial_id in (kept, lost):
        storage.set_trial_param(trial_id, "x", 0.25, FloatDistribution(0, 1))
        storage.set_trial_user_attr(trial_id, "seconds", 1)
        storage.set_trial_intermediate_value(trial_id, 0, 0.5)
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM trial_params; DELETE FROM trial_user_attributes")
        cursor.execute("DELETE FROM trial_intermediate_values")
        cursor.execute("DELETE FROM trials WHERE trial_id = %s", (lost,))
        cursor.execute("INSERT INTO trials (trial_id, study_id, number, state, datetime_start)"
                       " VALUES (%s, %s, 1, 'RUNNING', localtimestamp)", (lost, study_id))  # fmt: skip
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    connection.close()
    storage.set_trial_state_values(kept, TrialState.COMPLETE, [0.5])
    time.sleep(0.1)  # a report that follows sooner lingers
    with pytest.raises(UpdateFinishedTrialError):  # its id is another worker's trial now
        storage.set_trial_intermediate_value(lost, 1, 0.5)
    reader = PostgresStorage(database_url)
    trial = reader.get_trial(kept)
    assert (trial.params, trial.user_attrs, trial.intermediate_values) == ({"x": 0.25}, {"seconds": 1}, {0: 0.5})
    assert trial == storage.get_trial(kept)
    assert reader.get_trial(lost).intermediate_values == {}
    storage.remove_session()
    reader.remove_session()
