"""What the SSH launcher reads, sends and says, without a machine to say it to; `tests/ssh` has two."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2.extensions
import pytest

from studies.errors import WrongInput
from studies.run.launchers import make_launcher
from studies.run.launchers.ssh import files, readiness
from studies.run.launchers.ssh.connection import command, explained, last_words
from studies.run.launchers.ssh.packages import packages
from studies.run.launchers.ssh.tunnel import Tunnel, tunnel_to
from studies.run.launchers.ssh.where import Place, places
from studies.settings import Settings
from studies.spec import StudySpec
from studies.testing.parabola import parabola


def names(sent: files.Files) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(sent.tar)) as tar:
        return set(tar.getnames())


def git(directory: Path, *command: str) -> None:
    subprocess.run(["git", "-c", "user.name=me", "-c", "user.email=m@e", *command], cwd=directory, check=True)


def test_machines_and_their_workers_are_read() -> None:
    assert places("gpu1,gpu2:4, me@gpu3", 2) == [Place("gpu1", 2), Place("gpu2", 4), Place("me@gpu3", 2)]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("", "expected machines as `ssh` names them, such as --on ssh:gpu1,gpu2:4"),
        ("gpu1,,gpu2", "expected machines as `ssh` names them"),
        ("-oProxyCommand=evil", "expected machines as `ssh` names them"),
        ("gpu1:0", "wants '0' workers on gpu1; expected 1 to 1000"),
        ("gpu1:2222", "wants '2222' workers on gpu1; expected 1 to 1000, such as --on ssh:gpu1,gpu2:4; another port"),
        ("gpu1:many", "wants 'many' workers on gpu1"),
        ("gpu1:2222:4", "another port of its sshd belongs in"),
        ("gpu1,gpu2,gpu1", "names gpu1 twice; give it one number, such as gpu1:2"),
    ],
)
def test_what_are_no_machines_is_refused(where: str, said: str) -> None:
    with pytest.raises(WrongInput) as refused:
        places(where, 1)
    assert said in str(refused.value)


def test_without_ssh_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrongInput, match="needs the command ssh, and it is not in PATH; install"):
        make_launcher("ssh:gpu1", parabola("one", 1, 0.0), Settings(None, tmp_path, tmp_path), 1)
    assert not list(tmp_path.iterdir())


def test_the_code_that_is_sent_is_what_git_has_and_would_add(tmp_path: Path) -> None:
    for name in ("kept.py", "gone.py", "sub/deep.py", "ignored.csv", "with space\n.py", "ünï.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    (tmp_path / "link").symlink_to("/mnt/data")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("1")
    (tmp_path / ".gitignore").write_text("*.csv\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "kept.py", "gone.py", ".gitignore", "link")
    (tmp_path / "gone.py").unlink()
    sent = files.snapshot(parabola("sent", 1, 0.0), tmp_path)
    known = {
        "kept.py",
        "sub/deep.py",
        ".gitignore",
        "link",
        "with space\n.py",
        "ünï.py",
        "\udcff.py",
        ".studies-snapshot.json",
    }
    assert names(sent) == known
    below = files.snapshot(parabola("sent", 1, 0.0), tmp_path / "sub")
    assert names(below) == {"deep.py", ".studies-snapshot.json"}


def test_a_link_to_a_file_beside_the_directory_brings_the_file(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("VALUE = 7")
    directory = tmp_path / "mine"
    directory.mkdir()
    for name, target in (("common.py", "../shared.py"), ("same.py", "common.py"), ("gone.py", "../gone.py")):
        (directory / name).symlink_to(target)
    git(directory, "init", "-q")
    with tarfile.open(fileobj=io.BytesIO(files.snapshot(parabola("sent", 1, 0.0), directory).tar)) as tar:
        kept = {entry.name: entry.linkname for entry in tar.getmembers()}
        assert tar.extractfile("common.py").read() == b"VALUE = 7"  # type: ignore[union-attr]
    assert (kept["common.py"], kept["gone.py"]) == ("", "../gone.py")


def test_what_is_sent_has_the_same_name_wherever_and_whenever_it_is_packed(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        git(directory, "init", "-q")
        (directory / "train.py").write_text("print('the same')")
        made.append(files.snapshot(parabola("sent", 1, 0.0), directory))
        time.sleep(0.01)
    assert made[0].digest == made[1].digest
    (tmp_path / "two" / "train.py").write_text("print('another')")
    assert files.snapshot(parabola("sent", 1, 0.0), tmp_path / "two").digest != made[0].digest


def test_without_git_it_is_what_the_objective_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "train.py").write_text("import part\n")
    for name in ("job/part.py", "job/other.py", "rows.csv"):
        (tmp_path / name).write_text("1")
    program = {"command": "python train.py --lr {lr}", "directory": "job"}
    given = {"objective": program, "dataset": "rows.csv", "space": {"lr": {"low": 0.1, "high": 1.0}}}
    spec = StudySpec.model_validate(parabola("sent", 1, 0.0).model_dump(exclude={"space"}) | given)
    assert names(files.snapshot(spec, tmp_path)) == {
        "job/train.py", "job/part.py", "rows.csv", ".studies-snapshot.json"
    }  # fmt: skip


def test_more_than_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    git(tmp_path, "init", "-q")
    (tmp_path / "data.bin").write_bytes(bytes(11))
    with pytest.raises(WrongInput, match=r"has 11 B, of which data.bin has 11 B; expected at most 10 B: put data into"):
        files.snapshot(parabola("sent", 1, 0.0), tmp_path)


def test_this_package_is_sent_as_it_is_and_runs_from_where_it_arrives(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(files.package().tar)) as tar:
        tar.extraction_filter = lambda entry, _: entry
        tar.extractall(tmp_path)
    probe = "import studies, objectives, importlib.metadata as m; print(studies.__file__, m.version('studies'))"
    arrived = subprocess.run(
        [sys.executable, "-P", "-c", probe], cwd="/", env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert arrived.stdout.split()[0] == str(tmp_path / "studies" / "__init__.py")
    assert not {name for name in names(files.package()) if "__pycache__" in name or name.startswith("tests")}


def test_the_same_versions_are_installed_but_not_this_machines_builds() -> None:
    needed = packages(Settings.from_environment({}))
    assert any(line.startswith("torch>=") for line in needed.requirements)
    assert any(line.startswith("torch==") for line in needed.constraints)
    assert not [line for line in [*needed.requirements, *needed.constraints] if "+" in line or " " in line]
    assert not any(line.startswith("boto3") for line in needed.requirements)
    in_a_bucket = packages(Settings.from_environment({"STUDIES_ARTIFACTS": "s3://bucket"}))
    assert any(line.startswith("boto3") for line in in_a_bucket.requirements)
    assert in_a_bucket.key != needed.key


def test_a_version_that_something_here_cannot_live_with_is_left_to_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, version, needs in (("studies", "1.0", "old>=2"), ("old", "1.0", "fine>=1"), ("fine", "1.0+cpu", "")):
        (tmp_path / f"{name}-{version}.dist-info").mkdir()
        facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        facts += f"Requires-Dist: {needs}\n" if needs else ""
        (tmp_path / f"{name}-{version}.dist-info" / "METADATA").write_text(facts)
    monkeypatch.syspath_prepend(tmp_path)
    assert packages(Settings.from_environment({})).constraints == ["fine==1.0"]


@pytest.mark.parametrize("shell", [one for one in ("sh", "bash", "zsh", "fish", "tcsh") if shutil.which(one)])
def test_the_machines_shell_finds_a_python_whatever_its_path(tmp_path: Path, shell: str) -> None:
    odd = tmp_path / "it's $HOME; a `path`"
    odd.mkdir()
    (odd / "python").symlink_to(sys.executable)
    program = b"import sys; print(sys.version_info[0], sys.stdin.readline())"
    given = str(len(program)).encode() + b"\n" + program + b"and the rest\n"
    ran = subprocess.run([shell, "-c", command(str(odd / "python"))], input=given, capture_output=True, check=False)
    assert ran.stdout == b"3 and the rest\n\n", ran.stderr
    home = command("~/env/bin/python").split()[-1]
    assert home == "~/env/bin/python"  # the shell there knows the home
    none = subprocess.run([shell, "-c", command("/nowhere/python")], input=given, capture_output=True, check=False)
    assert none.stdout.startswith(b"no Python: ")


def test_what_ssh_says_comes_with_what_to_do() -> None:
    said = explained("gpu1", "me@gpu1: Permission denied (publickey).")
    assert said.startswith("me@gpu1: Permission denied (publickey); `ssh gpu1` must work without a password")
    assert explained("gpu1", "client_loop: send disconnect: Broken pipe").endswith(
        "network was cut; type the same again"
    )
    assert explained("gpu1", "kex_exchange: odd") == "kex_exchange: odd; try `ssh gpu1` by hand"


def test_a_key_that_has_changed_is_not_to_be_accepted() -> None:
    changed = "Host key for gpu1 has changed and you have requested strict checking."
    said = last_words(f"@ WARNING: REMOTE HOST @\n{changed}\nHost key verification failed.\n")
    assert said == changed
    assert "find out why" in explained("gpu1", said)
    unknown = last_words("No ED25519 host key is known for gpu1.\r\nHost key verification failed.\r\n")
    assert "accept the machine's key" in explained("gpu1", unknown)


def test_what_a_machine_lacks_is_said() -> None:
    found = {
        "not_writable": None, "free_bytes": 10**9, "installed": False, "missing": ["torch"], "venv": False,
        "n_environments": 0, "python": "3.11.2", "gpus": ["A100", "A100"], "time": time.time() + 300,
    }  # fmt: skip
    disk, venv = readiness.missing(found, None)
    assert disk == "1.0 GB of disk are free for ~/.cache/studies; it needs 10.0 GB"
    assert "install python3-venv" in venv
    disk, _ = readiness.missing(found | {"n_environments": 2}, None)
    assert disk.endswith("needs 10.0 GB; 2 environments are there, and it may be deleted while no study runs there")
    assert readiness.missing(found, "/env/python") == [
        "/env/python has no torch; install them there, or leave out --python"
    ]
    assert readiness.missing(found | {"installed": True}, None) == []
    line = readiness.described(found)
    assert line.startswith("Python 3.11.2, 2 x A100, 1.0 GB free; its clock is ")
    assert "ahead" in line


def test_a_server_on_a_port_is_reached_by_loopback_and_shows_its_certificate() -> None:
    tunnel = Tunnel(
        "db.lab:5432", {"host": "db.lab", "user": "me", "password": "a& +b", "sslmode": "verify-full"}, "PEM"
    )
    url = tunnel.url("/tmp/there", 40000)
    assert parse_qs(urlsplit(url).query) == {
        "host": ["db.lab"], "hostaddr": ["127.0.0.1"], "port": ["40000"], "user": ["me"], "password": ["a& +b"],
        "sslmode": ["verify-full"], "sslrootcert": ["/tmp/there/root.crt"],
    }  # fmt: skip
    assert psycopg2.extensions.parse_dsn(url)["password"] == "a& +b"


def test_the_embedded_server_is_reached_by_a_socket(tmp_path: Path) -> None:
    tunnel = tunnel_to(Settings(None, tmp_path, tmp_path))
    assert tunnel.is_socket
    assert tunnel.here.endswith("/.s.PGSQL.5432")
    there = psycopg2.extensions.parse_dsn(tunnel.url("/tmp/there", 0))
    assert (there["host"], there["port"], there["user"]) == ("/tmp/there", "5432", "studies")
