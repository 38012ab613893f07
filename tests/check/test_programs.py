"""Checking programs: sound ones, and one mistake at a time; every program really runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from studies.check import Result, check
from studies.errors import SpecRefused
from studies.settings import Settings
from studies.spec import StudySpec

HEAD = """
import os, random, sys, time
from studies import program
random.seed(int(sys.argv[2]))
lr = float(sys.argv[1])
"""
SOUND = HEAD + "for epoch in range(1, 4):\n    program.report(epoch, score=lr * epoch + random.random())\n"
COMMAND = "python train.py {lr} {seed}"

MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "ghost-parameter": (SOUND, {"space": {"lr": {"low": 0.1, "high": 1.0}, "depth": [1, 2]}}),
    "seed-not-used": (SOUND.replace("int(sys.argv[2])", "0"), {"command": "python train.py {lr}"}),
    "program-not-found": (SOUND, {"command": "no-such-program {lr} {seed}"}),
    "shared-report-file": (SOUND, {"reports": {"csv": "metrics.csv"}}),
    "program-fails": (HEAD + "sys.exit('error: unrecognized arguments: --lr')", {}),
    "metric-not-reported": (SOUND.replace("score=", "scroe="), {}),
    "nothing-reported": (HEAD + "print('done')", {}),
    "metric-not-a-number": (SOUND.replace("score=", "score=float('nan') + "), {}),
    "reports-only-once": (SOUND.replace("range(1, 4)", "range(3, 4)"), {}),
    "program-fails-later": (SOUND.replace("range(1, 4)", "[1, 'two']"), {}),
    "pattern-too-slow": (HEAD + "print('a' * 99 + 'b')", {"reports": {"pattern": "(?P<score>(a|aa)+)$"}}),
    "reports-too-often": (SOUND.replace("range(1, 4)", "range(1, 8)"), {"command": f"{COMMAND} {{max_epochs}}"}),
    "several-values-an-epoch": (SOUND + "    program.report(epoch, score=1.0)\n", {}),
    "not-repeatable": (SOUND.replace("random.random()", "time.time()"), {}),
    "second-run-fails": (HEAD + "open('last.pt', 'x')\n" + SOUND, {}),
    "shared-file": (SOUND + "    open('last.pt', 'w').write(str(epoch))\n", {}),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("studies.run.reports.MATCH_S", 0.05)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def checked(here: Path, code: str, command: str = COMMAND, seconds: float = 300.0, **given: Any) -> Result:
    (here / "train.py").write_text(code)
    objective = {"command": command} | ({"reports": given.pop("reports")} if "reports" in given else {})
    known = {
        "name": "script", "objective": objective, "metric": "score", "direction": "maximize", "n_trials": 1,
        "max_epochs": 3, "space": {"lr": {"low": 0.1, "high": 1.0}},
    }  # fmt: skip
    settings = Settings(None, here / "home", here / "home" / "data")
    return check(StudySpec.model_validate(known | given), settings, seconds=seconds)


def test_a_sound_program_has_no_findings(here: Path) -> None:
    result = checked(here, SOUND)
    assert result.findings == []
    assert [fact.name for fact in result.facts] == ["first report"]
    assert [each.reason for each in result.not_checked] == ["a program is not looked into"]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(here: Path, name: str) -> None:
    code, given = MISTAKES[name]
    found = [finding for finding in checked(here, code, **given).findings if finding.name == name]
    assert len(found) == 1


def test_what_is_found_says_what_to_do(here: Path) -> None:
    (finding,) = checked(here, MISTAKES["metric-not-reported"][0]).findings
    assert finding.what == "it reports scroe, and never 'score'; did you mean scroe?"
    (finding,) = checked(here, MISTAKES["program-fails"][0]).findings
    assert finding.what == "with its defaults it exited with 1: error: unrecognized arguments: --lr"
    assert finding.fix == "correct the options in objective.command"


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("print('Epoche 2: Verlust 0.3 val-Loss:', 0.5)", "`metric: val_loss`, `direction: minimize` and, below"),
        ("print('\\repoch 1 loss .5 val_acc=.75')", r"`reports: {pattern: 'epoch\W*(?P<epoch>\d+).*?\bval_acc\W*?"),
        ("open('rows.csv', 'w').write('a')", "write rows.csv below {scratch}, and write `reports: {csv: '{scratch}/r"),
        ("print('epoch 1 [1/2] loss 3\\nepoch 1 [2/2] loss 2\\ntest acc 1')", "`metric: test_acc`"),
        ("print('acc 0,5')", "correct objective.reports.pattern, or report with studies.program"),
    ],
)
def test_what_a_program_prints_says_how_to_find_it(here: Path, code: str, fix: str) -> None:
    (finding,) = checked(here, f"{HEAD}{code}\n", reports={"pattern": "(?P<score>x)"}).findings
    assert finding.name == "nothing-reported"
    assert fix in finding.fix


def test_a_program_that_trains_as_long_as_it_is_told_is_sound(here: Path) -> None:
    assert checked(here, SOUND, command=f"{COMMAND} {{max_epochs}}").findings == []


def test_a_program_that_reports_at_its_end_is_not_to_train_for_one_epoch(here: Path) -> None:
    code, _ = MISTAKES["reports-only-once"]
    (finding,) = checked(here, code, command=f"{COMMAND} {{max_epochs}}").findings
    assert finding.fix.endswith("or set max_epochs: 1 and give the program a number of epochs in place of {max_epochs}")
    (finding,) = checked(here, code).findings
    assert finding.fix.endswith("pass {max_epochs} to the program, or set max_epochs: 1")


def test_a_file_of_each_run_or_trial_and_a_log_are_not_shared(here: Path) -> None:
    path = "f'run-{os.getpid()}.pt'", "program.checkpoints / 'last.pt'", "'train.log'", "'.cache'"
    assert checked(here, SOUND + "".join(f"    open({each}, 'a').write(str(epoch))\n" for each in path)).findings == []


def test_parameters_that_a_program_reads_itself_are_no_ghosts(here: Path) -> None:
    reading = SOUND.replace("float(sys.argv[1])", "program.params['lr']")
    reading = reading.replace("int(sys.argv[2])", "program.seed")
    assert checked(here, reading, command="python train.py").findings == []
    indirect = reading.replace("program.params['lr']", "[*program.params.values()][0]").replace("lr", "rate")
    result = checked(here, indirect, command="python train.py")
    assert result.findings == []
    assert "whether lr is used" in [each.name for each in result.not_checked]


def test_a_script_that_a_script_starts_is_read_too(here: Path) -> None:
    (here / "run.sh").write_text("python train.py 0.5 $STUDIES_SEED\n")
    assert checked(here, SOUND, command="bash run.sh").findings[0].name == "ghost-parameter"
    reading = SOUND.replace("float(sys.argv[1])", "program.params['lr']")
    assert checked(here, reading, command="bash run.sh").findings == []


def test_a_program_that_says_nothing_in_time_is_not_checked(here: Path) -> None:
    result = checked(here, HEAD + "time.sleep(600)", seconds=1.0)
    assert result.sound
    assert any("no report within" in each.reason for each in result.not_checked)


def test_an_unknown_placeholder_is_refused_as_a_launch_would(here: Path) -> None:
    with pytest.raises(SpecRefused, match=r"unknown placeholder \{rate\}"):
        checked(here, SOUND, command="python train.py {rate}")
