"""A storage as one file and back: all of it or nothing, while others write."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path

import optuna
import psycopg2
import pytest

from studies.errors import BackupRefused, StorageNotEmpty, WrongInput
from studies.settings import Settings
from studies.storage import Storage, backup, sql_backup

from ..conftest import execute, rows_of


def opened(url: str, tmp_path: Path) -> Storage:
    return Storage(url, Settings(None, tmp_path, tmp_path))


def filled(url: str, tmp_path: Path) -> Storage:
    """A storage with what is hard to carry: text of every kind, no number, infinity, a running trial, a worker."""
    storage = opened(url, tmp_path)
    study = optuna.create_study(storage=storage.optuna, study_name="tab\t\\N new\nline ü 🐘", direction="maximize")
    study.set_user_attr("said", "back\\slash \x1b and 'quotes'")
    for value in (0.1 + 0.2, float("inf"), float("nan"), -1e-300):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(-1, 1)})
        trial.report(value, 0)
        study.tell(
            trial, None if value != value else value, state=None if value == value else optuna.trial.TrialState.FAIL
        )
    study.ask()
    storage.optuna.flush()
    storage.ledger.open_study(study._study_id, 7)
    storage.ledger.enter(study._study_id, "cpu")
    return storage


def everything(url: str) -> dict[str, list[str]]:
    tables = backup._tables()
    return {table: sorted(repr(row) for row in rows_of(url, f"SELECT * FROM {table}")) for table in tables}


def test_every_row_comes_back_and_counting_goes_on(database_url: str, other_url: str, tmp_path: Path) -> None:
    file = tmp_path / "all.backup"
    with filled(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        backup.backup(source.connections(), file)
        backup.restore(target.connections(), file)
        assert everything(other_url) == everything(database_url)
        assert len(everything(other_url)["trials"]) == 5
        (study,) = target.optuna.get_all_studies()
        assert target.optuna.create_new_trial(study._study_id) > max(
            trial._trial_id for trial in source.optuna.get_all_trials(study._study_id)
        )
        assert target.ledger.enter(study._study_id, "cpu") == 2
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["all.backup"]


def test_a_storage_with_a_study_takes_none(database_url: str, other_url: str, tmp_path: Path) -> None:
    file = tmp_path / "all.backup"
    with filled(database_url, tmp_path) as source, filled(other_url, tmp_path) as target:
        backup.backup(source.connections(), file)
        before = everything(other_url)
        with pytest.raises(StorageNotEmpty, match="a backup goes only into an empty one"):
            backup.restore(target.connections(), file)
        assert everything(other_url) == before


@pytest.mark.parametrize(
    "hurt", ["cut", "flipped", "another ZIP", "another table", "another schema", "no rows", "gone"]
)
def test_half_a_file_restores_nothing(database_url: str, other_url: str, tmp_path: Path, hurt: str) -> None:
    file = tmp_path / "all.backup"
    with filled(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        backup.backup(source.connections(), file)
        content = bytearray(file.read_bytes())
        if hurt == "cut":
            file.write_bytes(content[:-100])
        elif hurt == "flipped":
            content[len(content) // 3] ^= 0xFF
            file.write_bytes(content)
        elif hurt == "gone":
            file.unlink()
        else:
            rewrite(file, hurt)
        with pytest.raises(BackupRefused, match=r"expected a file that `studies storage backup FILE` wrote"):
            backup.restore(target.connections(), file)
        assert everything(other_url)["studies"] == []


def rewrite(file: Path, hurt: str) -> None:
    """A whole ZIP, with something in it that no release here wrote."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(entries["backup.json"])
    if hurt == "another schema":
        about["schema"] = "v9"
    elif hurt == "another table":
        about["tables"]["later"] = ["x"]
    elif hurt == "no rows":
        about["tables"]["trials"].append("later")
    entries["backup.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"notes.txt": b""}.items() if hurt == "another ZIP" else entries.items():
            archive.writestr(name, content)


def test_it_has_one_moment_of_a_storage_that_is_written_to(database_url: str, other_url: str, tmp_path: Path) -> None:
    """Each trial is written with its parameter in one statement: a backup has both or neither."""
    stop = threading.Event()
    with filled(database_url, tmp_path) as source, opened(other_url, tmp_path) as target:
        study_id = source.optuna.get_all_studies()[0]._study_id
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE,
            value=0.0,
            params={"x": 0.0},
            distributions={"x": optuna.distributions.FloatDistribution(-1, 1)},
        )

        def write() -> None:
            while not stop.is_set():
                source.optuna.create_new_trial(study_id, template)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while len(source.optuna.get_all_trials(study_id, deepcopy=False)) < 20:
                pass
            backup.backup(source.connections(), tmp_path / "all.backup")
        finally:
            stop.set()
            writer.join()
        backup.restore(target.connections(), tmp_path / "all.backup")
        ended = [trial for trial in target.optuna.get_all_trials(study_id) if trial.number > 4]
        assert len(ended) >= 15
        assert all(trial.params == {"x": 0.0} and trial.value == 0.0 for trial in ended)
        assert [trial.number for trial in ended] == list(range(5, 5 + len(ended)))


def test_a_file_that_cannot_be_written_says_so_and_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    with filled(database_url, tmp_path) as source:
        with pytest.raises(WrongInput, match="choose another file"):
            backup.backup(source.connections(), tmp_path / "none" / "all.backup")
        kept = tmp_path / "kept.backup"
        kept.write_text("an earlier one")
        connections = source.connections()
        execute(database_url, "ALTER TABLE studies.control RENAME TO elsewhere")
        with pytest.raises(psycopg2.ProgrammingError):
            backup.backup(connections, kept)
    assert kept.read_text() == "an earlier one"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.backup"]


def test_every_table_of_the_storage_is_in_it(database_url: str, tmp_path: Path) -> None:
    opened(database_url, tmp_path).close()
    there = rows_of(
        database_url,
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'studies')",
    )
    names = {table if schema == "public" else f"{schema}.{table}" for schema, table in there}
    assert names == {*backup._tables(), *backup.VERSION_TABLES, *backup.LEFT_OUT_TABLES}
    assert sql_backup.find_rows(["a", "b"]) == "SELECT EXISTS (SELECT FROM a) OR EXISTS (SELECT FROM b)"
