"""A write whose answer is lost, for the connection is cut once the server has carried it out, takes effect once."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from studies.names import FROM, START_WITH, UID
from studies.settings import Settings
from studies.storage import Storage, open_storage
from studies.storage.accounts import Accounts, Role
from studies.storage.copy import Copy, copy_rows

from ..conftest import TcpServer, execute, let_a_lease_pass, rows_of


class LosesAnswers:
    """Forwards a port to another. The answer to the next statement with `text` in it is lost with its connection."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.text: bytes | None = None
        self.n_lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listening.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, suppress(OSError):
            losing = threading.Event()
            threading.Thread(target=self._answer, args=(client, server, losing), daemon=True).start()
            while data := client.recv(2**20):
                if self.text is not None and self.text in data:
                    self.text = None
                    losing.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(2**20):
                if losing.is_set():
                    self.n_lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy(tcp_server: TcpServer) -> Iterator[LosesAnswers]:
    with closing(LosesAnswers(tcp_server.port)) as proxy:
        yield proxy


@pytest.fixture
def cut(tcp_server: TcpServer, proxy: LosesAnswers) -> Iterator[Storage]:
    """A storage of its own, through the proxy."""
    name = f"test_{uuid.uuid4().hex}"
    execute(tcp_server.url, f"CREATE DATABASE {name}")
    through = tcp_server.team_url(database=name).replace(f":{tcp_server.port}/", f":{proxy.port}/")
    with open_storage(replace(Settings.from_environment(), storage=through)) as storage:
        yield storage


@pytest.fixture
def losing(proxy: LosesAnswers) -> Callable[..., Any]:
    """Call something, of which the answer to the statement with this text is lost."""

    def call(text: str, do: Callable[[], Any]) -> Any:
        n_lost, proxy.text = proxy.n_lost, text.encode()
        answer = do()
        assert proxy.n_lost == n_lost + 1
        return answer

    return call


def test_a_trial_is_queued_once(cut: Storage, losing: Callable[..., Any]) -> None:
    study = optuna.create_study(storage=cut.optuna)
    for x in (1, 1, 2):  # the same may be asked for twice
        losing("create_trial", lambda x=x: study.enqueue_trial({"x": x}, user_attrs={"of": "one"}))
    study.enqueue_trial({"x": 1}, user_attrs={FROM: {"study": 'it\'s "one"'}, START_WITH: 0})
    assert [trial.system_attrs["fixed_params"] for trial in study.trials] == [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 1}]


def test_one_that_has_ended_already_and_one_that_begins_are_created_once(
    cut: Storage, losing: Callable[..., Any]
) -> None:
    study = optuna.create_study(storage=cut.optuna)
    losing("create_trial", lambda: study.add_trial(create_trial(value=1.0)))
    losing("create_trial", study.ask)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.RUNNING]


def test_a_study_is_created_and_deleted_once(cut: Storage, losing: Callable[..., Any]) -> None:
    study_id = losing("INTO studies", lambda: cut.optuna.create_new_study([StudyDirection.MINIMIZE], "one"))
    assert [study._study_id for study in cut.optuna.get_all_studies()] == [study_id]
    cut.optuna.set_study_user_attr(study_id, "a", 1)
    with pytest.raises(optuna.exceptions.DuplicatedStudyError):
        losing("INTO studies", lambda: cut.optuna.create_new_study([StudyDirection.MINIMIZE], "one"))
    losing("FROM studies", lambda: cut.optuna.delete_study(study_id))
    assert cut.optuna.get_all_studies() == []


def test_the_ledger_answers_as_if_nothing_had_been_lost(cut: Storage, losing: Callable[..., Any]) -> None:
    study = optuna.create_study(storage=cut.optuna)
    ledger, study_id = cut.ledger, study._study_id
    ledger.open_study(study_id, 5)
    worker = losing("INTO studies.workers", lambda: ledger.enter(study_id, "cpu"))
    assert [found.worker_id for found in ledger.workers(study_id)] == [worker]
    lost = study.ask()._trial_id
    given: dict[str, Any] = {"params": {"x": 1}, "attributes": {"continues": 0}}
    continued = lambda: ledger.end_and_continue(study_id, lost, "stopped", **given, again=True)  # noqa: E731
    assert losing("SET state = 'FAIL'", continued)
    assert not continued()
    paused = study.ask()
    cut.optuna.set_trial_state_values(paused._trial_id, TrialState.PRUNED)
    assert losing("'WAITING'", lambda: ledger.resume(study_id, paused._trial_id, **given))
    assert [trial.state.name for trial in study.trials] == ["FAIL", "PRUNED", "WAITING"]
    let_a_lease_pass(cut.url)
    assert losing("is_watched = false", ledger.take_left_alone) == [study_id]
    assert ledger.take_left_alone() == []


def test_a_copy_that_is_there_is_no_failure(cut: Storage, storage: Storage, losing: Callable[..., Any]) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="copied")
    study.set_user_attr(UID, "own")
    study.enqueue_trial({"x": 1})
    copies = [Copy("copied", "uid", {})]
    losing("COMMIT\0", lambda: copy_rows(storage.connections(), cut.connections(), copies))
    assert len(optuna.load_study(storage=cut.optuna, study_name="copied").trials) == 1


def test_users_of_the_dashboard(cut: Storage, losing: Callable[..., Any]) -> None:
    with closing(Accounts(cut)) as accounts:
        losing("INTO studies_accounts.users", lambda: accounts.set_user("ana", Role.VIEWER, "hash"))
        secret = losing("INTO studies_accounts.sessions", lambda: accounts.open_session("ana", 60))
        assert accounts.of_session(secret) == ("ana", Role.VIEWER)
        token = losing("INTO studies_accounts.tokens", lambda: accounts.add_token("ana", "ci"))
        assert accounts.of_token(token) == ("ana", Role.VIEWER)
        losing("INTO studies_accounts.audit", lambda: accounts.add_audit("ana", "127.0.0.1", "signed in"))
        assert rows_of(cut.url, "SELECT user_name, action FROM studies_accounts.audit") == [("ana", "signed in")]
        assert losing("FROM studies_accounts.users", lambda: accounts.remove_user("ana"))
        assert not accounts.remove_user("ana")
