"""The words for how a trial ends, and the ways its state may go, are the same in code, database and documents."""

from __future__ import annotations

import re
from pathlib import Path

from studies.names import Reason
from studies.run import end
from studies.settings import Settings
from studies.storage import open_storage

from ..conftest import TcpServer, execute, rows_of
from .conftest import Studies

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "when-something-failed.md"
ALONE = {Reason.CROWDED}  # which needs a GPU: see test_packing.py
ENDS = [("COMPLETE", ""), ("PRUNED", ""), *(("FAIL", reason.value) for reason in Reason if reason not in ALONE)]

# Each trial meets another fate, once.
FATES = """
import os, signal, subprocess
from pathlib import Path
import optuna

def first_time(trial):
    flag = Path(f"met-{trial.number}")
    return not flag.exists() and (flag.touch() or True)

def fates(trial):
    trial.suggest_float("x", 0, 1)
    fate = trial.number if first_time(trial) else None
    if fate == 1:
        raise optuna.TrialPruned
    if fate == 2:
        return float("nan")
    if fate == 3:
        raise MemoryError
    if fate == 4:
        raise ValueError("it broke")
    if fate == 5:
        raise ConnectionResetError
    if fate == 6:
        subprocess.run(["kill", str(os.getpid())], check=True)
    if fate == 7:
        trial.report(1.0, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    trial.report(0.5, 1)
    return 0.5
"""
STUDY = "{name: fates, objective: 'fates:fates', direction: minimize, n_trials: 8}"

WATCH = """
CREATE TABLE seen (went text);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen VALUES (CASE TG_OP WHEN 'UPDATE' THEN OLD.state || ' -> ' ELSE '' END || NEW.state);
    RETURN NEW;
END $$;
CREATE TRIGGER watch AFTER INSERT OR UPDATE OF state ON trials FOR EACH ROW EXECUTE FUNCTION watch()
"""


def test_the_guide_says_what_to_do_about_each_reason() -> None:
    section = GUIDE.read_text(encoding="utf-8").partition("## A trial failed")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section, re.MULTILINE)) == tuple(Reason)


def test_the_database_sees_these_states_and_words_and_no_others(studies: Studies, tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE words")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="words")
    (studies.directory / "fates.py").write_text(FATES)
    (studies.directory / "fates.yaml").write_text(STUDY)
    with open_storage(Settings.from_environment(studies.environment)) as storage:
        execute(tcp_server.team_url(database="words"), WATCH)
        studies("launch", "./fates.yaml", "--workers", "2")
        went = {row[0] for row in rows_of(storage.url, "SELECT DISTINCT went FROM seen")}
        ends = rows_of(
            storage.url,
            """SELECT DISTINCT t.state::text, coalesce(a.value_json::json #>> '{}', '') FROM trials t
                 LEFT JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = 'reason'""",
        )
    execute(tcp_server.url, "DROP DATABASE words WITH (FORCE)")
    documented = set(re.findall(r"[A-Z]+ -> [A-Z]+", end.__doc__ or ""))
    assert went == documented | {"RUNNING", "WAITING"}  # what a trial starts as
    assert set(ends) == set(ENDS)
