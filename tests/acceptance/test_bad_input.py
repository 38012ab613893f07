"""What a mistake is told: one sentence, the exit code, and nothing half-written."""

from __future__ import annotations

import gzip
import shlex
import socket
import subprocess

import pytest

from ..conftest import TcpServer
from .conftest import Studies


def sentence(studies: Studies, *arguments: str, expect: int = 2) -> str:
    failed = studies.told(*arguments, expect=expect)
    assert failed.stdout == ""
    said = [line for line in failed.stderr.splitlines() if not line.startswith("Preparing: ")]
    assert len(said) == 1, failed.stderr
    assert said[0].startswith("studies: ")
    return said[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["launch", "meli-cn"], "did you mean meli-cnn"),
        (["show", "nothing-like-it"], "starts one of your own); known: cifar10-cnn, "),
        (["status", "meli-cn"], "`studies launch FILE.yaml` starts one of your own); did you mean meli-cnn?"),
        (["launch", "parabola.yaml", "--workers", "0"], "--workers is 0; expected 1 or more"),
        (["launch", "parabola.yaml", "--workers", "-1"], "--workers is -1; expected 1 or more"),
        (["launch", "parabola.yaml", "--workers", "100000"], "--workers is 100000; expected 1000 or less, such as"),
        (["launch", "parabola.yaml", "--workers", "two"], "--workers is 'two'; expected a whole number, such as"),
        (["launch", "parabola.yaml", "--trials", "0"], "--trials 0: n_trials is 0"),
        (["show", "parabola.yaml", "--set", ""], "--set '': it has no =; expected KEY=VALUE, such as --set space."),
        (["show", "parabola.yaml", "--set", "n_trials"], "--set n_trials: it has no =; expected KEY=VALUE"),
        (["show", "parabola.yaml", "--set", "=1"], "--set =1: it has no key before the =; expected KEY=VALUE"),
        (["show", "parabola.yaml", "--set", "space..x=1"], "--set space..x=1: a key is empty; expected KEY=VALUE"),
        (["show", "parabola.yaml", "--set", "n_trials="], "n_trials=: there is no value after the =; expected one, or"),
        (
            ["show", "parabola.yaml", "--set", "n_trials=null"],
            "--set n_trials=null: the key 'n_trials' is missing; only",
        ),
        (["show", "parabola.yaml", "--set", "max_epochs=abc"], "max_epochs is 'abc': expected a whole number"),
        (["show", "parabola.yaml", "--set", "limits.hours=abc"], "hours is 'abc': expected a number"),
        (
            ["show", "parabola.yaml", "--set", "n_trials=3", "--set", "n_trials=4"],
            "--set n_trials=4: n_trials is given already, by --set n_trials=3; leave one of the two out",
        ),
        (
            ["launch", "parabola.yaml", "--trials", "3", "--set", "n_trials=4"],
            "--trials 3: n_trials is given already, by --set n_trials=4; leave one of the two out",
        ),
        (
            ["show", "parabola.yaml", "--set", "pruner.min_epochs=2", "--set", "pruner={name: none}"],
            "pruner.min_epochs is given already, by --set pruner.min_epochs=2; leave",
        ),
        (["launch", "parabola.yaml", "--on", "slurm", "--slurm", ""], "--slurm '' has no key; expected such as"),
        (["dashboard", "--port", "99999"], "--port is '99999'; expected 65535 or less"),
        (["storage", "serve", "--port", "99999"], "--port is '99999'; expected 65535 or less"),
        (["queue", "parabola", "x="], "x=: there is no value after the =; expected one, or null for none"),
        (["queue", "parabola", "x=1", "x=2"], "'x=2' gives x a second time; leave one of the two out"),
        (["launch", "parabola.yaml", "--on", "mars"], "--on is 'mars'; expected one of local"),
        (["launch", "parabola.yaml", "--set", "space.xx=1"], "--set space.xx=1: unknown parameter 'xx'"),
        (["launch", "parabola.yaml", "--set", "space.x=11"], "x = 11 is outside what the objective declares"),
        (["launch", "parabola.yaml", "--set", "start_with=[{x: 99}]"], "x = 99 is outside its space"),
        (["launch", "parabola.yaml", "--set", "require=[x > 20]"], "none of 10,000 random settings keeps x > 20"),
        (
            ["launch", "parabola.yaml", "--set", "metric=accuracy"],
            "--set metric=accuracy: 'mine:Parabola' reports no metric 'accuracy'; known: loss",
        ),
        (["launch", "parabola.yaml", "--set", "direction=maximize"], "'loss' is to minimize"),
        (["launch", "parabola.yaml", "--set", "objective=nowhere.models"], "there is no module 'nowhere'"),
        (["launch", "parabola.yaml", "--set", "objective=mine:Parabole"], "did you mean Parabola?"),
        (
            ["launch", "parabola.yaml", "--dataset", "moon"],
            "--dataset moon: 'mine:Parabola' has no data set 'moon'; known:",
        ),
        (["launch", "parabola.yaml", "--dataset", "1e3"], "--dataset 1e3: 'mine:Parabola' has no data set '1e3'"),
        (["launch", "parabola.yaml", "--set", "spac.x=1"], "--set spac.x=1: unknown key 'spac'; did you mean space?"),
        (["launch", "parabola.yaml", "--set", "sampler.name=grid"], "the grid sampler needs choices"),
        (
            ["launch", "parabola.yaml", "--set", "sampler.name=tpee"],
            "sampler is 'tpee': expected one of gp, tpe, random",
        ),
        (["launch", "parabola.yaml", "--set", "sampler.name=mine:nothing"], "module 'mine' has no 'nothing'"),
        (["launch", "parabola.yaml", "--set", "sampler.options={sed: 1}"], "has no option 'sed'"),
        (["launch", "parabola.yaml", "--set", "pruner.name=mine:Parabola"], "Parabola() takes no arguments"),
        (["status", "meli-cnn"], "has no trial in this storage yet; `studies launch meli-cnn` starts it"),
        (["stop", "meli-cnn"], "has no trial in this storage yet"),
        (["worker", "meli-cnn@2"], "has no trial in this storage yet; `studies launch meli-cnn` starts it"),
        (["train", "mel-cnn"], "No study is named 'mel-cnn', in the catalog or in this storage (`studies list` shows"),
        (["copy", "parabola", "--to", "nofile"], "'nofile', which --to names, is not usable: it has no scheme;"),
        (["worker", "parabola", "--threads", "0"], "--threads is '0'; expected 1 or more, such as --threads 1."),
        (["export", "parabola"], "`studies launch FILE.yaml` starts one of your own"),
        (
            ["confirm", "./parabola.yaml"],
            "Study 'parabola' has no trial in this storage yet; `studies launch ./parabola.y",
        ),
        (["launch", "mine.py"], "mine.py is a script, not a study; `studies init mine.py` writes a study file for it."),
        (["launch", "./mine.py"], "./mine.py is a script, not a study; `studies init ./mine.py` writes"),
        (["report", "./parable.yaml"], "there is no such study file; did you mean parabola.yaml?"),
        (["launch", "parabola"], "No study is named 'parabola', in the catalog or in this storage"),
        (["status", "parabola"], "did you mean ./parabola.yaml?"),
        (["show", "meli-cnn@2"], "has no trial in this storage yet; `studies launch meli-cnn` starts it"),
        (["check", "nobody-confirm"], "No study is named 'nobody'"),
        (["export", "parabola", "--format", "xml"], "--format is 'xml'; expected one of yaml"),
        (["lunch"], "No such command 'lunch'"),
    ],
)
def test_a_mistake_gets_one_sentence(studies: Studies, arguments: list[str], expected: str) -> None:
    assert expected in sentence(studies, *arguments)
    assert not list(studies.directory.glob("*.best.yaml"))


def test_a_spec_points_at_its_line(studies: Studies) -> None:
    with (studies.directory / "parabola.yaml").open("a") as file:
        file.write("n_trails: 3\n")
    assert "parabola.yaml:11: unknown key 'n_trails'; did you mean n_trials?" in sentence(
        studies, "launch", "./parabola.yaml"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "missing.csv"),
        (b"", "titles.csv"),
        (b"1,good title,1,1,c,1,Phones\n2,,1,1,c,1,Phones\n", "line 2"),
        (b"1,caf\xc3\xa9,1,1,c,1,Phones\n2,caf\xe9,1,1,c,1,Phones\n", "UTF-8"),
        (b"".join(b"1,phone n%d,1,1,c,1,Phones\n" % n for n in range(40)) + b"2,fridge,1,1,c,2,Fridges\n", "'Fridges'"),
        (gzip.compress(b"1,some title,1,1,c,1,Phones\n" * 500, mtime=0)[:-20], "titles.csv"),
    ],
)
def test_a_bad_data_file(studies: Studies, content: bytes | None, expected: str) -> None:
    path = studies.directory / "titles.csv"
    if content is not None:
        path.write_bytes(content)
    name = "./missing.csv" if content is None else "./titles.csv"
    assert expected in sentence(studies, "launch", "meli-cnn", "--dataset", name)
    prepared = studies.directory / "home" / "prepared"
    assert not list(prepared.glob("*/manifest.json"))


def test_an_objective_that_does_not_import(studies: Studies) -> None:
    (studies.directory / "broken.py").write_text("import torch\nraise RuntimeError('half a module')\n")
    said = sentence(studies, "launch", "parabola.yaml", "--set", "objective=broken")
    assert "half a module" in said


def test_what_only_looks_or_is_refused_leaves_no_file(studies: Studies) -> None:
    home = studies.directory / "home"
    before = set(home.rglob("*"))
    for looks in (["list"], ["show", "parabola.yaml"], ["status"]):
        studies.told(*looks)
    for refused in (["logs", "parabola"], ["launch", "parabola.yaml", "--set", "objective=nothing.like_it"]):
        sentence(studies, *refused)
    left = [path for path in home.rglob("*") if path not in before and path.name not in ("logs", "parabola")]
    assert left == []


def test_a_home_that_cannot_be_written(studies: Studies) -> None:
    (studies.directory / "file").touch()
    studies.environment["STUDIES_HOME"] = str(studies.directory / "file")
    assert "set STUDIES_HOME" in sentence(studies, "launch", "parabola.yaml")


@pytest.mark.parametrize(
    ("url", "expected", "code"),
    [
        ("mysql://me@here/db", "its scheme is 'mysql'", 2),
        ("somewhere", "it has no scheme", 2),
        ("postgresql://me:hunter2@127.0.0.1:notaport/db", "not a URL that PostgreSQL understands", 2),
        ("postgresql://me:hunter2@127.0.0.1:{free}/db", "No PostgreSQL server answers", 3),
        ("postgresql://me:hunter2@127.0.0.1:{free}/of@mine/db", "in a user or a password write @ as %40", 2),
    ],
)
def test_a_storage_that_is_not_there(studies: Studies, url: str, expected: str, code: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        studies.environment["STUDIES_STORAGE"] = url.replace("{free}", str(probe.getsockname()[1]))
        said = sentence(studies, "status", expect=code)
    assert expected in said
    assert "hunter2" not in said


def test_a_server_that_refuses(studies: Studies, tcp_server: TcpServer) -> None:
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(password="wr0ng@pass")
    said = sentence(studies, "status")
    assert "password authentication failed" in said
    assert "wr0ng" not in said
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="nowhere")
    assert '"nowhere" does not exist' in sentence(studies, "status")


def test_an_export_that_cannot_be_written(studies: Studies) -> None:
    studies("launch", "parabola.yaml", "--trials", "1")
    assert "Cannot write" in sentence(studies, "export", "parabola", "-o", "nowhere/best.yaml")
    assert "-o is empty; expected a file" in sentence(studies, "report", "parabola", "-o", "")
    assert "Cannot write . (Is a directory)" in sentence(studies, "export", "parabola", "-o", ".")


def test_a_file_has_the_format_that_its_name_says(studies: Studies) -> None:
    studies("launch", "parabola.yaml", "--trials", "1")
    for wrong in ("export", "report"):
        said = sentence(studies, wrong, "parabola", "-o", "found.pdf")
        assert "-o is 'found.pdf', and .pdf is none of" in said
    assert not (studies.directory / "found.pdf").exists()
    studies.told("export", "parabola", "-o", "trials.csv")
    assert (studies.directory / "trials.csv").read_text().startswith("number,state,")
    studies.told("export", "parabola", "-o", "found.txt", "--format", "json")
    studies.told("report", "parabola", "-o", "found.MD")
    assert (studies.directory / "found.MD").read_text().startswith("# ")
    assert studies.told("export", "parabola", "-o", "-").stdout.startswith("study: parabola\n")
    assert studies.told("report", "parabola", "--format", "md", "-o", "-").stdout.startswith("# ")
    assert not (studies.directory / "-").exists()


def test_fewer_trials_than_there_are_leave_nothing_to_resume(studies: Studies) -> None:
    studies("launch", "parabola.yaml", "--trials", "2")
    said = studies.told("resume", "parabola", "--trials", "1").stderr
    assert "parabola has its only trial: `studies resume parabola --trials 4` makes room for more" in said


def test_a_traceback_only_when_asked(studies: Studies) -> None:
    process = studies.start("--debug", "launch", "meli-cn")
    _, stderr = process.communicate()
    assert "Traceback" in stderr


def test_nothing_is_done_to_folders_above_the_home(studies: Studies) -> None:
    parent = studies.directory / "closed"
    parent.mkdir(mode=0o700)
    studies.environment["STUDIES_HOME"] = str(parent / "home")
    before = [path.stat().st_mode for path in (parent, *parent.parents)]
    studies("launch", "parabola.yaml", "--trials", "1")
    assert [path.stat().st_mode for path in (parent, *parent.parents)] == before


def test_a_result_that_cannot_be_written_here_is_not_lost(studies: Studies) -> None:
    (studies.directory / "parabola.best.yaml").mkdir()  # which root cannot write to either
    for command in (
        ("launch", "parabola.yaml", "--trials", "2"),
        ("confirm", "parabola", "--top", "1", "--seeds", "2"),
    ):
        said = studies(*command, expect=1).stderr.splitlines()[-1]
        assert "parabola.best.yaml cannot be written in this directory (Is a directory)" in said
        assert "`studies export parabola -o FILE`" in said
    studies.told("export", "parabola", "-o", "best.yaml")


def test_a_limit_of_the_system_is_named(studies: Studies) -> None:
    studies("launch", "parabola.yaml", "--trials", "1")
    limited = ["bash", "-c", f"ulimit -n 40; exec {shlex.join(studies.command)} launch parabola.yaml --trials 2"]
    done = subprocess.run(
        limited, cwd=studies.directory, env=studies.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "no more open files" in done.stderr
    assert "raise `ulimit -n`" in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("check mnist-target", 2, "The working directory was deleted; change to another one"),
        ("launch mnist-target", 2, "The working directory was deleted; change to another one"),
        ("init new", 2, "The working directory was deleted; change to another one"),
        ("list", 0, ""),
    ],
)
def test_a_working_directory_that_was_deleted(studies: Studies, command: str, code: int, expected: str) -> None:
    (studies.directory / "gone").mkdir()
    there = f"cd gone && rmdir ../gone && exec {shlex.join(studies.command)} {command}"
    done = subprocess.run(
        ["bash", "-c", there],
        cwd=studies.directory,
        env=studies.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == bool(expected)
    assert expected in done.stderr
