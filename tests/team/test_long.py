"""A team's server for minutes, killed again and again; `tests/acceptance/test_team.py` has the short form."""

from __future__ import annotations

import threading
from pathlib import Path

from studies.settings import Settings
from studies.storage import open_storage
from studies.storage.backup import backup, restore
from studies.storage.embedded import EmbeddedServer

from ..acceptance.conftest import make_studies
from ..acceptance.test_team import Make, served, study
from ..conftest import reachable_directory
from ..served import Served

__all__ = ["make_studies", "reachable_directory", "served"]

KILLS = ["postgres", "front", "both"] * 3


def test_nine_kills_and_a_study_that_is_exact(make_studies: Make, served: Served) -> None:
    study(make_studies, served, 120, 6, KILLS)


def test_backups_while_a_study_runs_are_whole_each(make_studies: Make, served: Served, tmp_path: Path) -> None:
    files: list[Path] = []
    ended = threading.Event()

    def keep_backing_up() -> None:
        while not ended.is_set():
            with open_storage(Settings(served.url("viewer"), tmp_path, tmp_path)) as storage:
                files.append(tmp_path / f"{len(files)}.backup")
                backup(storage.connections(), files[-1])

    thread = threading.Thread(target=keep_backing_up)
    thread.start()
    try:
        study(make_studies, served, 60, 6, [])
    finally:
        ended.set()
        thread.join()
    assert len(files) >= 10
    n_trials = []
    for number, file in enumerate(files[:: len(files) // 5]):
        home = make_studies(f"restored-{number}").directory / "home"
        home.mkdir()
        with EmbeddedServer(Settings(None, home, home)), open_storage(Settings(None, home, home)) as storage:
            restore(storage.connections(), file)
            found = storage.optuna.get_all_studies()
            n_trials += [storage.optuna.get_n_trials(study._study_id) for study in found]
    assert n_trials == sorted(n_trials)
    assert n_trials[-1] >= 30
