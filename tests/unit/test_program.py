"""The parts of programs as objectives: commands, reports, the helper that a program imports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from studies import program
from studies.logs.log import HALF_BYTES, Log, Reader, older_of
from studies.run.program import ProgramFailed, ProgramObjective
from studies.run.reports import Journal, Lines, PatternTooSlow, WrittenFile, number_in, reports_in
from studies.run.source import missing_script
from studies.spec import Program, StudySpec
from studies.spec.program import compiled, filled

TRIAL = {
    "seed": 7,
    "max_epochs": 3,
    "trial": 0,
    "n_gpus": 1,
    "scratch": "/scratch",
    "checkpoints": "/scratch/checkpoints",
}


@pytest.mark.parametrize(
    ("command", "params", "expected"),
    [
        ("train --lr {lr}", {"lr": 1e-05}, ["train", "--lr", "1e-05"]),
        ("train --lr={lr} {x}", {"lr": 0.1, "x": "a b; rm -rf /"}, ["train", "--lr=0.1", "a b; rm -rf /"]),
        ("train {params}", {"lr": 0.1, "deep": True}, ["train", "--lr", "0.1", "--deep", "true"]),
        ("train {params:hydra}", {"lr": 0.1, "sizes": [1, 2]}, ["train", "lr=0.1", "sizes=[1, 2]"]),
        ("train --depth {depth} --lr {lr}", {"lr": 0.1}, ["train", "--lr", "0.1"]),
        ("train --depth={depth} {lr}", {"lr": 0.1}, ["train", "0.1"]),
        ("train -- {depth} {lr}", {"lr": 0.1}, ["train", "0.1"]),
        ("train {seed} {scratch}/x", {}, ["train", "7", "/scratch/x"]),
        ("awk '{print $1}' {{lr}}", {"lr": 0.1}, ["awk", "{print $1}", "{lr}"]),
        ('train \'{"a": {"lr": {lr}}}\'', {"lr": {"b": {"c": 1}}}, ["train", '{"a": {"lr": {"b": {"c": 1}}}}']),
        ("train --deep{deep:flag} {x}", {"deep": True, "x": 1}, ["train", "--deep", "1"]),
        ("train --deep{deep:flag} -x {x}", {"deep": False, "x": 1}, ["train", "-x", "1"]),
        ("train --deep/--no-deep{deep:flag}", {"deep": False}, ["train", "--no-deep"]),
        ("train --deep/--no-deep{deep:flag}", {}, ["train"]),
        ("bash -c 'train {params}'", {"lr": 0.1}, ["bash", "-c", "train --lr 0.1"]),
    ],
)
def test_a_command_is_filled_without_a_shell(command: str, params: dict[str, Any], expected: list[str]) -> None:
    assert filled(Program(command=command).words, params, TRIAL) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": ""}, "it is empty; expected such as python train.py --lr {learning_rate}"),
        ({"command": "train 'x"}, "it cannot be split"),
        ({"command": "train", "reports": {"pattern": "("}}, "it is no regular expression"),
        ({"command": "train", "reports": {"pattern": r"(?P<Epoch>\d)"}}, "it names no metric"),
        ({"command": "train", "reports": {"csv": "a", "jsonl": "b"}}, "it has csv and jsonl"),
    ],
)
def test_a_wrong_program_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match="1 validation error") as caught:
        Program.model_validate(given)
    assert words in caught.value.errors()[0]["msg"]


def spec_of(**objective: Any) -> StudySpec:
    space = {"lr": {"low": 0.1, "high": 1.0}, "depth": {"low": 1, "high": 3, "when": {"kind": ["a"]}}}
    return StudySpec.model_validate(
        {
            "name": "mine", "objective": objective, "metric": "score", "direction": "maximize", "n_trials": 1,
            "space": {"kind": ["a", "b"], **space},
        }
    )  # fmt: skip


def test_a_stored_program_is_what_was_written() -> None:
    spec = spec_of(command=["python", "train.py"], reports={"csv": "metrics.csv"})
    stored = json.loads(json.dumps(spec.model_dump()))
    assert stored["objective"] == {"command": ["python", "train.py"], "reports": {"csv": "metrics.csv"}}
    assert "grace_s" not in stored["resources"]
    assert StudySpec.model_validate(stored) == spec
    assert list(spec.resolve({}).parameters) == ["kind", "lr", "depth"]


def told(journal: Journal, *reports: dict[str, Any]) -> list[tuple[float, dict[str, float]]]:
    return [(epoch.number, epoch.metrics) for report in reports if (epoch := journal.add(report)) is not None]


def test_an_epoch_is_whole_with_the_metric_and_counts_once() -> None:
    journal = Journal(["score"])
    found = told(
        journal,
        {"epoch": 0, "train_loss": 0.5},
        {"epoch": 0, "score": 1.0},
        {"epoch": 0, "score": 2.0},
        {"epoch": 1, "train_loss": 0.4, "name": "text", "flag": True},
        {"epoch": "2", "score": "3.5."},
        {"score": None},
    )
    assert found[:2] == [(0.0, {"train_loss": 0.5, "score": 1.0}), (2.0, {"score": 3.5})]
    assert found[2][0] == 3.0
    assert found[2][1]["score"] != found[2][1]["score"]  # null is not a number
    assert journal.names == {"train_loss", "score"}


def test_reports_without_an_epoch_go_on_after_the_last_one() -> None:
    assert [number for number, _ in told(Journal(["score"]), {"score": 1}, {"score": 1})] == [1.0, 2.0]
    assert [number for number, _ in told(Journal(["score"], begin=4), {"loss": 1}, {"score": 1})] == [5.0]


@pytest.mark.parametrize("name", ["Epoch", "EPOCH", "epoch"])
def test_an_epoch_is_one_however_it_is_capitalised(name: str) -> None:
    assert told(Journal(["score"]), {name: 3, "loss": 1}, {name: 3, "score": 2}) == [(3.0, {"loss": 1.0, "score": 2.0})]


def test_an_epoch_is_not_guessed_where_two_names_are_it() -> None:
    assert told(Journal(["score"]), {"Epoch": 7, "EPOCH": 8, "score": 2})[0][0] == 1.0
    assert told(Journal(["score"]), {"Epoch": 7, "epoch": 8, "score": 2})[0][0] == 8.0
    assert told(Journal(["Epoch"]), {"Epoch": 7}) == [(1.0, {"Epoch": 7.0})]


OF_EPOCH = r"epoch (?P<epoch>\d+).*?loss (?P<loss>\S+)"


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        (OF_EPOCH, "epoch 1 loss .5 epoch 2 loss .4", [("1", ".5"), ("2", ".4")]),
        (OF_EPOCH, "epoch 10: loss .5, val_loss .6 | epoch 20: loss .4", [("10", ".5,"), ("20", ".4")]),
        (r"loss (?P<loss>\S+)", "loss .5 val_loss .6", [(None, ".5")]),
        (r"(?P<epoch>\d+).*?loss (?P<loss>\S+)", "0/9 loss .5 8/8 val_loss .6", [("0", ".5")]),
        (r"\[(?P<epoch>\d+).*?loss (?P<loss>\S+)", "[1/9] loss .5 [45/45] val_loss .6", [("1", ".5")]),
        (r"epoch (?P<epoch>\d+)|loss (?P<loss>\S+)", "epoch 1 loss .5 val_loss .6", [("1", None), (None, ".5")]),
        (r"(?P<loss>\d*)", "12 34", [(None, "12")]),
    ],
)
def test_a_line_has_several_reports_where_each_begins_alike(pattern: str, line: str, expected: Any) -> None:
    found = [(report.get("epoch"), report.get("loss")) for report in reports_in(compiled(pattern), line)]
    assert found == expected


# Of these only the last is none that tries ever more ways: its time grows with the square of the line.
@pytest.mark.parametrize(
    ("pattern", "line"), [(r"(?P<x>(a|aa)+)$", "a" * 99 + "b"), (r"(?P<x>\s+)$", " " * 64_000 + "b")]
)
def test_a_pattern_that_takes_too_long_is_given_up(pattern: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.run.reports.MATCH_S", 0.01)
    with pytest.raises(PatternTooSlow) as caught:
        [*reports_in(compiled(pattern), line)]
    words = f"objective.reports.pattern '{pattern}' takes more than 0.01 s in the line '"
    assert str(caught.value).startswith(words)
    assert str(caught.value).endswith(
        "; write it without a repeat inside a repeat, as in (a+)+, and with one .* at most"
    )
    assert len(str(caught.value)) < 300


def test_lines_end_at_carriage_returns_and_in_the_middle_of_reads() -> None:
    lines = Lines()
    found = [line for part in (b"one\r", b"tw", b"o\r\n\xe9\nlast") for line in lines.add(part)]
    assert [*found, *lines.end()] == ["one", "two", "�", "last"]


def test_colours_are_no_part_of_a_line() -> None:
    """`\\W*` of a pattern skips the first half of `ESC[31m`, and 31 would be the loss."""
    printed = b"\x1b[1mepoch \x1b[32m1\x1b[0m loss \x1b[31m0.5\x1b[0m\x1b[K\n\x1b[A\n"
    assert [*Lines().add(printed)] == ["epoch 1 loss 0.5"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.5", 1234.5),
        ("1,234,567", 1234567.0),
        ("-12,345.0%", -12345.0),
        (".5", 0.5),
        ("0.5,", 0.5),
        ("90%", 90.0),
    ],
)
def test_numbers_as_programs_print_them(text: str, number: float) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize("text", ["1,234", "0,5", "1.2.3", "n/a", "", "12,34.5"])
def test_what_is_no_number_is_kept_to_be_named(text: str) -> None:
    journal = Journal(["score"])
    assert journal.add({"score": text, "epoch": "1"}) is None
    assert journal.no_numbers == {"score": text}


@pytest.mark.parametrize(
    "text",
    [
        "epoch,score\n1,.5\n",
        "epoch;score\n1;.5\n",
        "epoch\tscore\n1\t.5\n",
        "epoch, score\r\n1, .5\r\n",
        '"epoch","score"\n"1",".5"\n',
        "\ufeffepoch,score\n1,.5\n",
        ",epoch,score\n0,1,.5,more\n",
        "epoch,score\n1,.5\n,\n",
    ],
)
def test_tables_as_programs_write_them(tmp_path: Path, text: str) -> None:
    written = WrittenFile(tmp_path / "metrics.csv", "csv")
    (tmp_path / "metrics.csv").write_text(text, encoding="utf-8", newline="")
    assert {"epoch": "1", "score": ".5"} in [*written.rows(ended=True)]


def test_a_quote_that_is_never_closed_ends_a_table(tmp_path: Path) -> None:
    written = WrittenFile(tmp_path / "metrics.csv", "csv")
    (tmp_path / "metrics.csv").write_text('epoch,score\n1,.5\n2,"' + "x" * 200_000)
    assert [*written.rows(ended=True)] == [{"epoch": "1", "score": ".5"}]


def test_a_file_of_before_is_told_from_what_a_program_writes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,score\n1,5\n")
    appended = WrittenFile(path, "csv")
    path.write_text("epoch,score\n1,5\n2,6\n3,")
    assert [*appended.rows()] == [{"epoch": "2", "score": "6"}]
    path.write_text("epoch,score\n1,5\n2,6\n3,7")
    assert [*appended.rows(ended=True)] == [{"epoch": "3", "score": "7"}]
    replaced = WrittenFile(path, "csv")
    assert [*replaced.rows(ended=True)] == []
    path.write_text("epoch,loss,score\n1,0.5,9\n")
    assert [*replaced.rows(ended=True)] == [{"epoch": "1", "loss": "0.5", "score": "9"}]
    again = WrittenFile(path, "csv")
    os.utime(path, (1, 1))  # written once more, with the same content
    assert len([*again.rows(ended=True)]) == 1


def test_a_log_is_bounded_and_ends_with_how_it_ended(tmp_path: Path) -> None:
    log = Log(tmp_path / "trial-0.log")
    for _ in range(300):
        log.write(b"x" * 2**16)
    log.close("exited with 0")
    assert log.path.read_bytes().splitlines()[-1].startswith(b"[studies] exited with 0 after ")
    assert log.path.stat().st_size + older_of(log.path).stat().st_size <= 2 * HALF_BYTES


def test_the_helper_needs_nothing_but_python_and_may_be_copied(tmp_path: Path) -> None:
    code = "from studies import program; import sys; print([m for m in sys.modules if m.startswith('studies')], "
    code += "{'torch', 'optuna', 'pydantic', 'numpy', 'typer'} & set(sys.modules))"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert imported == "['studies', 'studies.program'] set()\n"
    shutil.copy(program.__file__, tmp_path / "program.py")
    code = (
        "import program; program.report(1, loss=1.0); print(program.params, program.seed, program.checkpoints.is_dir())"
    )
    for environment in ({}, {"STUDIES_PARAMS": "gone", "STUDIES_REPORTS": "gone"}):
        found = subprocess.run(
            [sys.executable, "-S", "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert found.stdout == "{} 0 True\n"


def test_a_report_to_a_study_that_is_gone_is_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "reports")
    for reports in (tmp_path / "reports", tmp_path / "nothing"):  # one that nobody reads, and none
        monkeypatch.setenv("STUDIES_REPORTS", str(reports))
        program.report(1, loss=1.0)


def test_a_log_is_read_on_when_its_file_changes(tmp_path: Path) -> None:
    log = Log(tmp_path / "trial-0.log")
    reader = Reader(log.path)
    log.write(b"first\n")
    assert b"".join(reader.new()) == b"first\n"
    flood = b"x" * (HALF_BYTES - 10)
    log.write(flood)
    log.write(b"second\n")
    assert b"".join(reader.new()) == flood + b"second\n"
    assert not reader.ended
    log.close("exited with 0")
    assert b"exited" in b"".join(reader.new())
    assert reader.ended
    reader.close()
    again = Reader(log.path)
    assert b"".join(again.new()).startswith(b"first\nxxx")
    again.close()


def test_a_program_gets_no_secret_of_the_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STUDIES_STORAGE", "STUDIES_WEBHOOK", "STUDIES_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "postgresql://me:s3cret@host/studies")
    code = "import os; print(sorted(os.environ.items())); from studies import program; program.report(1, score=2)"
    spec = spec_of(command=[sys.executable, "-c", code])
    training = ProgramObjective(spec).logging_to(tmp_path).start({"lr": 0.5}, None, seed=3, device="cpu", number=4)
    assert training.epoch() == {"score": 2.0}
    training.close()
    printed = (tmp_path / "trial-4.log").read_text()
    assert "STUDIES_TRIAL" in printed
    assert "s3cret" not in printed
    assert (training.memory_mib or 0) > 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 3", "exited with 3"),
        ("kill -SEGV $$", "was killed by SIGSEGV (segmentation fault)"),
        ("bash -c 'kill -KILL $$'; exit $?", "exited with 137 (128 + SIGKILL)"),
    ],
)
def test_how_a_program_ended_is_said_with_its_signal(tmp_path: Path, command: str, words: str) -> None:
    training = ProgramObjective(spec_of(command=["bash", "-c", f"ulimit -c 0; {command}"])).logging_to(tmp_path)
    started = training.start({}, None, seed=0, device="cpu")
    with pytest.raises(ProgramFailed, match=re.escape(f"the program {words}")):
        started.epoch()
    started.close()


def test_a_pattern_that_never_ends_fails_the_trial_and_its_program_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studies.run.reports.MATCH_S", 0.01)
    spec = spec_of(command=["bash", "-c", f"echo {'a' * 99}b; sleep 600"], reports={"pattern": "(?P<score>(a|aa)+)$"})
    started = ProgramObjective(spec).logging_to(tmp_path).start({}, None, seed=0, device="cpu")
    with pytest.raises(ProgramFailed, match=r"takes more than .* s in the line 'aaa") as caught:
        started.epoch()
    assert not caught.value.was_asked_to_end  # the worker goes on
    started.close()


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("python -u train.py --lr 1", "train.py"),
        ("bash there.sh gone.sh", None),
        ("torchrun --nproc-per-node 2 train.py", "train.py"),
        ("python -m my.train", None),
        ("python {scratch}/train.py", None),
        ("my-program --template train.py", None),
    ],
)
def test_a_script_that_is_not_there_is_known_before_a_trial(tmp_path: Path, command: str, missing: str | None) -> None:
    (tmp_path / "there.sh").touch()
    assert missing_script(command.split(), tmp_path) == missing
    assert missing_script(command.split(), tmp_path / "in-an-image") is None
