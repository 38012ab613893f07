"""Studies on two machines: whole, cut off, given up, interrupted, killed, refused."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

import psutil
import pytest

from studies.record.reading import read_stored
from studies.record.study import StudyRecord
from studies.run.launchers.ssh import connection, files
from studies.run.launchers.ssh.connection import Connection, Refused
from studies.storage import open_storage
from studies.storage.embedded import EmbeddedServer

from ..acceptance.conftest import Studies
from ..conftest import TcpServer, execute
from ..waiting import PATIENCE_S, wait_for
from .conftest import Host, Lab

SLOW = ("--set", "space.seconds=0.8")
ON = ("--on", "ssh:gpu1,gpu2:2")


def record(studies: Studies) -> StudyRecord:
    with open_storage(studies.settings) as storage:
        return read_stored(storage, "parabola")


def check_clean(hosts: tuple[Host, Host]) -> None:
    """No process and no directory of a launch is left on any machine; sshd's own take a moment."""

    def left() -> list[str]:
        return [path for host in hosts for path in [*host.processes(), *host.left()]]

    wait_for(lambda: not left(), left)


def check_exact(studies: Studies, n_trials: int) -> None:
    """Every trial of the budget is complete, with all its epochs and the value that its parameters have."""
    trials = [trial for trial in record(studies).trials if trial.continued_by is None]
    assert [trial.state for trial in trials] == ["complete"] * n_trials
    for trial in trials:
        assert list(trial.curve.values()) == [(trial.params["x"] - 2) ** 2 + 1 / epoch for epoch in range(1, 6)]


class Launched:
    """A launch that runs, and what it has said so far."""

    def __init__(self, studies: Studies, process: subprocess.Popen[str], said: Path) -> None:
        self.studies, self.process, self._said = studies, process, said

    @property
    def said(self) -> str:
        return self._said.read_text()

    def wait_for(self, pattern: str) -> None:
        def is_said() -> bool:
            assert self.process.poll() is None or re.search(pattern, self.said), self.said
            return bool(re.search(pattern, self.said))

        wait_for(is_said, lambda: self.said)

    def end(self, expect: int = 0) -> None:
        assert self.process.wait(PATIENCE_S) == expect, self.said
        assert "Traceback" not in self.said


@contextmanager
def launched(studies: Studies, *arguments: str) -> Iterator[Launched]:
    said = studies.directory / "said.txt"
    with said.open("w") as out:
        command = [*studies.command, "launch", "./parabola.yaml", *ON, *arguments]
        process = subprocess.Popen(
            command, cwd=studies.directory, env=studies.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            yield Launched(studies, process, said)  # type: ignore[arg-type]
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def test_a_study_is_exact_and_tells_what_code_it_ran(studies: Studies, hosts: tuple[Host, Host]) -> None:
    for command in (
        ["init", "-q"],
        ["add", "mine.py"],
        ["-c", "user.name=me", "-c", "user.email=m@e", "commit", "-qm1"],
    ):
        subprocess.run(["git", *command], cwd=studies.directory, check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=studies.directory, text=True).strip()
    (studies.directory / ".gitignore").write_text("secret.txt\nhome/\n")
    (studies.directory / "secret.txt").write_text("never sent")
    said = studies("launch", "./parabola.yaml", *ON, "--trials", "12").stderr
    assert re.search(r"^gpu1  Python 3", said, re.MULTILINE)
    check_exact(studies, 12)
    sent = {trial.provenance["snapshot"] for trial in record(studies).trials}
    assert len(sent) == 1
    assert {trial.provenance["commit"] for trial in record(studies).trials} == {commit}
    there = Path(f"~{hosts[0].user}/.cache/studies/files").expanduser() / sent.pop()
    assert {"mine.py", "parabola.yaml", ".gitignore"} <= {path.name for path in there.iterdir()}
    assert not (there / "secret.txt").exists()
    check_clean(hosts)
    logs = studies("logs", "parabola").stdout
    assert len(re.findall(r"trial \d+ complete", logs)) == 12
    assert {"worker-gpu1-0.log", "worker-gpu2-0.log", "worker-gpu2-1.log"} == set(re.findall(r"worker-.*log", logs))
    assert "has all its 12 trials" in studies("launch", "./parabola.yaml", *ON, "--trials", "12").stderr


def test_cut_connections_are_opened_again_and_cost_no_trial(studies: Studies, hosts: tuple[Host, Host]) -> None:
    studies.environment["STUDIES_LEASE_S"] = "4"
    first, second = hosts
    with launched(studies, *SLOW, "--trials", "40") as launch:
        launch.wait_for(r"([3-9]|\d\d) complete")
        first.network.cut(0)  # silence, which takes longer than a lease to notice
        second.network.reset(0)  # every connection is refused
        launch.wait_for("connection to gpu2 is cut")
        second.network.heal(0)
        launch.wait_for("gpu2 is connected again")
        launch.wait_for("connection to gpu1 is cut")
        first.network.heal(0)
        launch.wait_for("gpu1 is connected again")
        studies.hurry()
        launch.end()
        assert "died" not in launch.said
        assert "given up" not in launch.said
    check_exact(studies, 40)
    assert all(trial.reason == "lost" for trial in record(studies).trials if trial.continued_by is not None)
    check_clean(hosts)


def test_a_machine_that_is_gone_is_given_up_and_welcome_back(studies: Studies, hosts: tuple[Host, Host]) -> None:
    studies.environment |= {"STUDIES_LEASE_S": "4", "STUDIES_STORAGE_WAIT_S": "5"}
    gone = hosts[1]
    with launched(studies, *SLOW, "--trials", "45") as launch:
        launch.wait_for(r"([3-9]|\d\d) complete")
        gone.network.reset(0)
        launch.wait_for("gpu2 is given up .*; its trials go on elsewhere")
        wait_for(lambda: not any("ssh.supervisor" in line for line in gone.processes()))
        gone.network.heal(0)
        launch.wait_for("gpu2 is connected again")
        studies.hurry()
        launch.end()
    check_exact(studies, 45)
    check_clean(hosts)


@pytest.mark.parametrize("how", ["Ctrl-C", "studies stop"])
def test_workers_everywhere_leave_when_they_are_asked(studies: Studies, hosts: tuple[Host, Host], how: str) -> None:
    with launched(studies, *SLOW, "--trials", "99") as launch:
        launch.wait_for(r"([3-9]|\d\d) complete")
        if how == "Ctrl-C":
            launch.process.send_signal(signal.SIGINT)
        else:
            assert "3 workers will stop after the current epoch" in studies("stop", "parabola").stderr
        launch.end(expect=130)
    trials = record(studies).trials
    assert len([trial for trial in trials if trial.state == "complete"]) < 99
    assert {trial.reason for trial in trials if trial.state == "fail"} <= {"stopped"}
    assert not [trial for trial in trials if trial.state == "running"]
    check_clean(hosts)


def test_nothing_is_left_anywhere_after_a_launcher_was_killed(studies: Studies, hosts: tuple[Host, Host]) -> None:
    with launched(studies, *SLOW, "--trials", "99") as launch:
        launch.wait_for(r"([3-9]|\d\d) complete")
        launch.process.kill()
        check_clean(hosts)
    wait_for(lambda: not EmbeddedServer(studies.settings).in_use())
    wait_for(lambda: not EmbeddedServer(studies.settings).answers())
    home = str(studies.directory)
    wait_for(
        lambda: not [one for one in psutil.process_iter(["cmdline"]) if home in " ".join(one.info["cmdline"] or ())]
    )
    assert {trial.reason for trial in record(studies).trials if trial.state == "fail"} <= {"stopped"}


def is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_password_is_on_no_command_line(studies: Studies, hosts: tuple[Host, Host], tcp_server: TcpServer) -> None:
    execute(tcp_server.url, "CREATE DATABASE ssh_test")
    studies.environment["STUDIES_STORAGE"] = tcp_server.team_url(database="ssh_test")
    with launched(studies, *SLOW, "--trials", "20") as launch:
        launch.wait_for(r"[1-9] complete")
        words = [line for host in hosts for line in host.processes()]
        assert sum("ssh.supervisor" in line for line in words) == 2
        assert not [line for line in words if "s3cret" in line]
        for host in hosts:  # what a supervisor uses is held, and so not removed
            locks = [*Path(f"~{host.user}/.cache/studies/files").expanduser().glob("*.lock")]
            assert sum(is_held(lock) for lock in locks) == 2
        studies.hurry()
        launch.end()
        assert "s3cret" not in launch.said
    check_exact(studies, 20)
    assert not (studies.directory / "home" / "postgres").exists()
    for log in (studies.directory / "home").rglob("*.log"):
        assert "s3cret" not in log.read_text()
    execute(tcp_server.url, "DROP DATABASE ssh_test WITH (FORCE)")


def test_what_is_missing_is_said_for_each_machine_and_nothing_is_started(
    studies: Studies, lab: Lab, hosts: tuple[Host, Host]
) -> None:
    with lab.host("closed") as closed, lab.host("strict", "AllowStreamLocalForwarding no"):
        (lab.place / "keys" / closed.user).unlink()
        on = ("--on", "ssh:gpu1,closed,nowhere.invalid")
        said = studies("launch", "./parabola.yaml", *on, expect=2).stderr
        assert "Workers cannot run on closed and nowhere.invalid, so nothing was started" in said
        assert re.search(r"^gpu1 +Python 3", said, re.MULTILINE)
        assert re.search(r"^closed +.*Permission denied.*`ssh-copy-id closed`", said, re.MULTILINE)
        assert re.search(r"^nowhere.invalid +.*Could not resolve hostname.*~/.ssh/config", said, re.MULTILINE)
        assert "No study is named 'parabola'" in studies("status", "parabola", expect=2).stderr
        strict = studies("launch", "./parabola.yaml", "--on", "ssh:strict", expect=2).stderr
        assert "its sshd forwards no Unix sockets (AllowStreamLocalForwarding)" in strict
        assert "studies storage serve" in strict
        there = ("--python", "/nowhere/python")
        no_python = studies("launch", "./parabola.yaml", "--on", "ssh:gpu1", *there, expect=2).stderr
        assert "gpu1  it has no /nowhere/python (python3 --version: Python 3" in no_python
    (studies.directory / "mine.py").write_text("raise RuntimeError('broken there as here')\n")
    assert "broken there as here" in studies("launch", "./parabola.yaml", "--on", "ssh:gpu1", expect=2).stderr
    check_clean(hosts)


def test_a_python_without_the_packages_is_refused(lab: Lab, studies: Studies, hosts: tuple[Host, Host]) -> None:
    subprocess.run([lab.python, "-m", "venv", "--without-pip", lab.place / "bare"], check=True)
    bare = str(lab.place / "bare" / "bin" / "python")
    said = studies("launch", "./parabola.yaml", "--on", "ssh:gpu1", "--python", bare, expect=2).stderr
    assert re.search(rf"gpu1  {bare} has no .*torch.*; install them there, or leave out --python", said)


@contextmanager
def reached(host: str, lab: Lab) -> Iterator[Connection]:
    with closing(Connection(host, str(lab.python))) as connection:
        connection.greet()
        yield connection


def test_a_machine_whose_shell_waits_for_ever_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GREET_S", 3.0)
    with lab.host("silent", "ForceCommand sleep 1000") as silent:
        monkeypatch.setenv("PATH", str(lab.ssh()), prepend=":")
        with pytest.raises(Refused, match=r"no shell answered within 3 s; .* `ssh silent true` has to end by itself"):
            Connection(silent.name, None).greet()


def tiny_wheel(place: Path) -> Path:
    """A wheel of the test's own: torch would take longer than all other tests."""
    wheel = place / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr("tiny.py", "VALUE = 7\n")
        content.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        content.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr("tiny-1.0.dist-info/RECORD", "")
    return wheel


def test_an_environment_is_made_once(lab: Lab, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(lab.ssh()), prepend=":")
    wheel = tiny_wheel(lab.place)
    given = {"key": "of-a-test", "requirements": [f"tiny @ file://{wheel}"], "constraints": ["tiny==1.0"]}
    with reached("gpu1", lab) as there:
        assert not there.ask("look", modules=["json", "tiny"], key="of-a-test")["installed"]
        with pytest.raises(Refused, match=r"`-m pip install` exited with 1: ERROR: Cannot install tiny.*==2\.0"):
            there.ask("install", **given | {"constraints": ["tiny==2.0"]})
        python = there.ask("install", **given)
        wheel.unlink()
        assert there.ask("install", **given) == python
        found = there.ask("look", modules=["json", "tiny"], key="of-a-test")
    assert found["installed"]
    assert found["missing"] == ["tiny"]  # its own Python has got nothing
    ran = subprocess.run(
        ["ssh", "gpu1", python, "-c", "'import tiny; print(tiny.VALUE)'"], capture_output=True, check=False
    )
    assert ran.stdout == b"7\n", ran.stderr


def test_a_full_disk_is_named_and_nothing_half_is_left(
    lab: Lab, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(lab.ssh()), prepend=":")
    cache = Path(f"~{hosts[1].user}/.cache").expanduser()
    cache.mkdir(exist_ok=True)
    owner = f"uid={pwd.getpwnam(hosts[1].user).pw_uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=2m,{owner}", "none", str(cache)], check=True)
    no_room = r"no room is left in /.*/\.cache/studies"
    try:
        with reached("gpu2", lab) as there:
            big = files.Files(files._tar({"model.bin": os.urandom(4 * 2**20)}))
            with pytest.raises(Refused, match=rf"{no_room} \(No space left on device\); make room and type the same"):
                there.ask("keep", big.compressed, digest=big.digest, n_bytes=len(big.compressed))
            with pytest.raises(Refused, match=rf"`-I -m ensurepip` exited with 1: {no_room}; ERROR: "):
                there.ask("install", key="of-none", requirements=["tiny"], constraints=["tiny==1.0"])
            assert not [path for path in (cache / "studies").glob("*/*") if path.suffix != ".lock"]
    finally:
        subprocess.run(["umount", "--lazy", str(cache)], check=True)


def test_an_installation_ends_with_its_launch_and_another_waits_for_it(
    lab: Lab, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first download hangs, as with a network that is cut."""
    monkeypatch.setenv("PATH", str(lab.ssh()), prepend=":")
    wheel, asked, said = tiny_wheel(lab.place), Event(), SimpleQueue[str]()

    class Index(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if not asked.is_set():
                asked.set()
                self.rfile.read(1)  # until pip is killed
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(lab.place))) as server,
        ExitStack() as stack,
    ):
        stack.callback(server.shutdown)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{wheel.name}"
        given = {"key": "of-two", "requirements": [f"tiny @ {url}"], "constraints": ["tiny==1.0"]}
        first, second = (stack.enter_context(reached("gpu1", lab)) for _ in range(2))
        first.tell(do="install", **given)
        assert asked.wait(PATIENCE_S)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        python = pool.submit(second.ask, "install", heard=said.put, **given)
        assert said.get(timeout=PATIENCE_S) == "another launch installs the same there; waiting for it"
        first.close()
        assert said.get(timeout=PATIENCE_S).startswith("installing what it takes to run workers, once")
        assert python.result(timeout=PATIENCE_S).endswith("/bin/python")
