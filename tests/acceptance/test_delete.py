"""A study is deleted with all that was kept for it, and with nothing of any other."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from urllib.parse import urlsplit, urlunsplit

import optuna

from studies.names import PROVENANCE
from studies.storage import open_storage
from studies.study import get

from ..conftest import execute, rows_of
from ..waiting import PATIENCE_S, wait_for
from .conftest import Studies
from .test_faults import finish

KEPT = ("--set", "max_epochs=3")


def files(studies: Studies) -> set[str]:
    """What is kept beside the storage."""
    home = studies.directory / "home"
    kept = [path for name in ("checkpoints", "artifacts", "logs") for path in (home / name).rglob("*")]
    return {str(path.relative_to(home)) for path in kept}


def answered(studies: Studies, answer: str, *words: str) -> str:
    """Type a command in a terminal, and answer its question; return what it said."""
    here, there = pty.openpty()
    try:
        os.write(here, answer.encode())
        done = subprocess.run(
            [*studies.command, *words], cwd=studies.directory, env=studies.environment, stdin=there,
            capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
    finally:
        os.close(here)
        os.close(there)
    assert done.returncode == 0, done.stderr
    return done.stderr


def as_trainer(url: str) -> str:
    """The address for a new role that may do what a team's worker may, on the tables that are there."""
    execute(url, "CREATE ROLE trainer LOGIN PASSWORD 'trainer'")
    execute(url, "GRANT USAGE ON SCHEMA public, studies TO trainer")
    execute(url, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public, studies TO trainer")
    given = urlsplit(url)
    return urlunsplit(given._replace(netloc=f"trainer:trainer@{given.netloc.rpartition('@')[2]}"))


def test_a_deleted_study_leaves_nothing_and_the_other_everything(studies: Studies) -> None:
    studies("launch", "./parabola.yaml", "--trials", "2", *KEPT)
    studies("confirm", "parabola", "--top", "1", "--seeds", "2")
    others = files(studies)
    failing = ("--set", "name=other", "--set", "space={seconds: 0.5, mood: raises}", "--set", "limits.max_failures=99")
    launch = studies.start("launch", "./parabola.yaml", "--trials", "99", *failing)
    wait_for(lambda: any(name.startswith("artifacts/") for name in files(studies) - others))  # a traceback
    assert studies.told("delete", "other", "--yes", expect=2).stderr == (
        "studies: Study 'other' has 1 worker running; `studies stop other` asks them to leave, then type the same "
        "again.\n"
    )
    launch.send_signal(signal.SIGINT)
    finish(launch, expect=130)

    assert "cannot be asked about here; --yes deletes" in studies.told("delete", "other", expect=2).stderr
    assert "Nothing was deleted." in answered(studies, "n\n", "delete", "other")
    with open_storage(studies.settings) as storage:
        before = files(studies)
        said = studies.told("delete", "other", "--yes", "--storage", as_trainer(storage.url), expect=2).stderr
        assert "does not let this user do that (permission denied" in said
        assert files(studies) == before
    assert "Deleted: other with " in answered(studies, "y\n", "delete", "other")
    assert files(studies) == others
    assert "No study is named 'other'" in studies.told("delete", "other", "--yes", expect=2).stderr

    studies.told("report", "parabola")
    with open_storage(studies.settings) as storage:
        elsewhere = optuna.trial.create_trial(value=1.0, user_attrs={PROVENANCE: {"host": "gpu1"}})
        get(storage, "parabola").add_trial(elsewhere)
    said = studies.told("delete", "parabola", "--yes").stderr
    assert said.startswith("Deleted: parabola and parabola-confirm with ")
    assert "\nWhat its trials kept on gpu1 stays there: ~/.local/share/studies/checkpoints/parabola-" in said
    assert said.endswith("Still in this directory: parabola.best.yaml, parabola.report.html.\n")
    assert files(studies) <= {"checkpoints", "artifacts"}
    with open_storage(studies.settings) as storage:
        for table in ("studies", "trials", "trial_user_attributes", "studies.workers", "studies.control"):
            assert rows_of(storage.url, f"SELECT count(*) FROM {table}") == [(0,)]
