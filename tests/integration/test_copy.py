"""A study in another storage: the same to the last bit, beside what is there, and with files of its own."""

from __future__ import annotations

import io
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from studies.artifacts import artifact_store, attach, checkpoints_of, open_store
from studies.cli import main
from studies.errors import StudyInUse, StudyIsThere
from studies.names import PROVENANCE, UID
from studies.settings import Settings
from studies.storage import Storage, sql_copy
from studies.whole import Whole, copy, delete, whole

from ..conftest import execute, rows_of
from ..reports import make_spec
from .test_backup import opened

RANGE, CHOICE = FloatDistribution(-1, 1), CategoricalDistribution(["a", "b\t\\N"])


def filled(storage: Storage, settings: Settings, name: str = "small") -> optuna.Study:
    """A study with what is hard to carry: text of every kind, no number, infinity, a lost trial, files."""
    study = optuna.create_study(storage=storage.optuna, study_name=name, direction="maximize")
    study.set_user_attr(UID, f"uid of {name}")
    study.set_user_attr("spec", make_spec(name=name).model_dump())
    study.set_user_attr("said", "back\\slash \x1b and 'quotes'\nü 🐘")
    for value in (0.1 + 0.2, float("inf"), float("nan"), -1e-300):
        trial = study.ask({"x": RANGE, "kind": CHOICE})
        trial.report(value, 1)
        trial.set_constraint("size", value if value == value else 1.0)
        if value == -1e-300:
            attach(artifact_store(settings), trial, "log.txt", b"text")
        state = TrialState.COMPLETE if value == value else TrialState.FAIL
        study.tell(trial, value if value == value else None, state=state)
    study.enqueue_trial({"x": 0.5, "kind": "a"})
    running = storage.optuna.claim_trial(
        study._study_id, n_trials=9, worker_id=storage.ledger.enter(study._study_id, "")
    )
    assert running is not None
    storage.optuna.flush()
    storage.ledger.open_study(study._study_id, 9)
    open_store(settings, "checkpoints", checkpoints_of(study)).write("5.safetensors", io.BytesIO(b"weights"))
    return study


def seen(study: optuna.Study) -> list[Any]:
    """What any Optuna program sees of a study, without what is another's in a copy."""
    attributes = {key: value for key, value in study.user_attrs.items() if key != UID}
    trials = [
        (
            each.number, each.state, repr(each.values), each.params, each.distributions, each.datetime_start,
            each.datetime_complete, each.user_attrs, repr(each.intermediate_values), repr(each.constraints),
        )
        for each in study.get_trials(deepcopy=False)
    ]  # fmt: skip
    return [study.study_name, study.directions, attributes, trials]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(None, tmp_path, tmp_path)


def leave(storage: Storage) -> None:
    """Let the workers die, as far as anybody can see."""
    with storage.connections().connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE studies.workers SET heartbeat_at = now() - interval '1 day'")


def test_a_copy_is_the_same_beside_what_was_there(
    database_url: str, other_url: str, settings: Settings, tmp_path: Path
) -> None:
    with opened(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        others = filled(target, settings, "other")
        before = seen(others)
        study = filled(source, settings)
        leave(source)
        copy(source, target, settings, whole(source, "small"))
        copied = optuna.load_study(study_name="small", storage=target.optuna)
        assert seen(copied) == seen(study)
        assert seen(others) == before
        assert copied.user_attrs[UID] != study.user_attrs[UID]
        assert target.ledger.budget(copied._study_id).n_trials == 9
        # What ran on a worker that is gone is lost there, too, and so continued by whoever comes first.
        assert len(target.ledger.budget(copied._study_id).lost) == 1
        assert rows_of(other_url, sql_copy.FIND_STUDY.replace("%(name)s", "'small'")) == [(copied._study_id,)]


def test_the_hours_that_a_study_has_run_come_along(
    database_url: str, other_url: str, settings: Settings, tmp_path: Path
) -> None:
    with opened(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        study_id = filled(source, settings)._study_id
        source.ledger.open_study(study_id, 9, hours=30.0)
        source.ledger.leave(source.ledger.enter(study_id, ""))  # it found no trial
        leave(source)
        began = "started_at = heartbeat_at - interval '1 day'"
        execute(database_url, f"UPDATE studies.workers SET {began} WHERE trial_id IS NULL")
        copy(source, target, settings, whole(source, "small"))
        [(copied,)] = rows_of(other_url, "SELECT study_id FROM studies")
        used = source.ledger.budget(study_id).hours_used
        assert 24 < used < 30
        assert target.ledger.budget(copied).hours_used == pytest.approx(used)


def test_the_copys_files_are_its_own(database_url: str, other_url: str, settings: Settings, tmp_path: Path) -> None:
    with opened(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        filled(source, settings)
        leave(source)
        copy(source, target, settings, whole(source, "small"))
        delete(source, settings, whole(source, "small"))
        copied = optuna.load_study(study_name="small", storage=target.optuna)
        (meta,) = optuna.artifacts.get_all_artifact_meta(copied.trials[3], storage=target.optuna)
        with artifact_store(settings).open_reader(meta.artifact_id) as file:
            assert file.read() == b"text"
        with open_store(settings, "checkpoints", checkpoints_of(copied)).open_reader("5.safetensors") as file:
            assert file.read() == b"weights"


def test_nothing_is_copied_onto_another(database_url: str, other_url: str, settings: Settings, tmp_path: Path) -> None:
    with opened(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        filled(source, settings)
        filled(target, settings)
        leave(source)
        files = set(artifact_store(settings).sizes())
        before = rows_of(other_url, "SELECT * FROM trials")
        with pytest.raises(StudyIsThere, match=r"Study 'small' is in the storage at .* already"):
            copy(source, target, settings, whole(source, "small"))
        assert rows_of(other_url, "SELECT * FROM trials") == before
        assert set(artifact_store(settings).sizes()) == files


def test_it_is_not_copied_under_its_workers(database_url: str, settings: Settings, tmp_path: Path) -> None:
    with opened(database_url, tmp_path) as source:
        filled(source, settings)
        with pytest.raises(StudyInUse, match="has 1 worker running"):
            whole(source, "small")


def test_a_file_that_is_elsewhere_is_left_out(
    database_url: str, other_url: str, settings: Settings, tmp_path: Path
) -> None:
    with opened(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        study = filled(source, settings)
        leave(source)
        for artifact in artifact_store(settings).sizes():
            artifact_store(settings).remove(artifact)
        copy(source, target, settings, whole(source, "small"))
        copied = optuna.load_study(study_name="small", storage=target.optuna)
        assert seen(copied) == seen(study)
        (meta,) = optuna.artifacts.get_all_artifact_meta(copied.trials[3], storage=target.optuna)
        with pytest.raises(ArtifactNotFound):
            artifact_store(settings).open_reader(meta.artifact_id)


def test_what_a_deleted_study_left_on_other_machines_is_said(database_url: str, settings: Settings) -> None:
    with Storage(database_url, settings) as storage:
        study = optuna.create_study(storage=storage.optuna, study_name="spread")
        study.set_user_attr(UID, "77")
        study.set_user_attr("spec", make_spec(name="spread").model_dump())
        assert whole(storage, "spread").left_elsewhere(settings) is None
        for facts in ({"host": socket.gethostname()}, {"host": "gpu2"}, {"host": "gpu1"}, "of another program", {}):
            study.add_trial(optuna.trial.create_trial(value=1.0, user_attrs={PROVENANCE: facts}))
        said = "What its trials kept on gpu1 and gpu2 stays there: ~/.local/share/studies/checkpoints/spread-77."
        assert whole(storage, "spread").left_elsewhere(settings) == said
        assert whole(storage, "spread").left_elsewhere(replace(settings, artifacts="/shared")) is None
        program = {"command": "python train.py --lr {learning_rate}"}
        study.set_user_attr("spec", make_spec(name="spread").model_dump() | {"objective": program})
        assert (
            whole(storage, "spread").left_elsewhere(settings) == said[:-1] + " and ~/.local/share/studies/logs/spread."
        )


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be another user, where this is root."""
    if os.geteuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_another_users_logs_are_named(
    reachable_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path(tempfile.mkdtemp(dir=reachable_directory))
    launch = home / "logs" / "theirs" / "20260101-000000-1"
    launch.mkdir(parents=True)
    (log := launch / "worker-0.log").touch(0)
    launch.chmod(0o555)
    home.chmod(0o755)
    study = optuna.create_study(study_name="theirs")
    monkeypatch.setattr("sys.argv", ["studies", "logs", "theirs"])
    monkeypatch.setenv("STUDIES_HOME", str(home))
    before = signal.getsignal(signal.SIGTERM)
    with somebody_else(), pytest.raises(SystemExit) as ended:
        main()
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 1
    assert f"This user may not read or change {log}; it belongs to " in capsys.readouterr().err
    with somebody_else():
        left = Whole([study], 0, [], [], []).left_here(Settings(None, home, home))
    assert left is not None
    assert left.endswith(f"logs in {launch}." if os.geteuid() else f"logs in {launch.parent}, {launch}.")
    assert Whole([study], 0, [], [], []).left_here(Settings(None, home / "none", home)) is None
