"""What lasts on a machine that workers ran on: what is used stays, and what nobody needs any more goes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studies.run.launchers.ssh import files, kept, remote
from studies.testing.parabola import parabola


@contextmanager
def process(command: list[str], **where: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun, and waits."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **where) as one:  # type: ignore[call-overload]
        assert one.stdout.readline() == b"here\n"
        try:
            yield one
        finally:
            one.stdin.close()


WAITS = "print('here', flush=True); import sys; sys.stdin.read()"


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """A process has inherited the lock of one that has used this, as a supervisor does."""
    code = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); from pathlib import Path; import subprocess\n"
    code += "from studies.run.launchers.ssh import kept; kept._hold(Path(sys.argv[1]))\n"
    code += f"sys.exit(subprocess.run([sys.executable, '-c', {WAITS!r}], pass_fds=kept.held()).returncode)"
    with process([sys.executable, "-c", code, str(path)]):
        yield


@contextmanager
def working_in(path: Path) -> Iterator[None]:
    with process([sys.executable, "-c", WAITS], cwd=path):
        yield


@contextmanager
def started_from(path: Path) -> Iterator[None]:
    with process([sys.executable, "-c", WAITS], env={"PATH": f"{path}/bin:/bin"}):
        yield


@pytest.fixture
def environments(tmp_path: Path) -> Callable[..., Path]:
    def made(name: str, days: float | None) -> Path:
        path = tmp_path / name
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "big").write_bytes(bytes(3_000_000))
        if days is not None:
            (path / kept.WHOLE).touch()
            os.utime(path / kept.WHOLE, (time.time() - days * 86400,) * 2)
        return path

    return made


def left(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if path.is_dir()}


def test_of_old_environments_the_last_one_that_was_used_stays(
    environments: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, days in (("a-3.11", 40), ("b-3.11", 3), ("c-3.11", 9), ("half-3.11", None), ("a-3.12", 99)):
        environments(name, days)
    kept.remove_old_environments(environments("new-3.11", 0))
    assert left(tmp_path) == {"new-3.11", "b-3.11", "a-3.12"}
    said = capsys.readouterr().out
    assert said.count("removed an environment that was last used on 20") == 2
    assert "removed an environment that was never whole: 3.0 MB" in said
    kept.remove_old_environments(environments("newer-3.12", 0))
    assert left(tmp_path) == {"new-3.11", "b-3.11", "a-3.12", "newer-3.12"}


@pytest.mark.parametrize("using", [holding, working_in, started_from])
def test_an_environment_that_is_used_stays(
    using: Callable[..., contextmanager[None]], environments: Callable[..., Path], tmp_path: Path
) -> None:
    environments("last-3.11", 1)
    old, new = environments("old-3.11", 50), environments("new-3.11", 0)
    with using(old):
        kept.remove_old_environments(new)
        assert left(tmp_path) == {"last-3.11", "old-3.11", "new-3.11"}
    kept.remove_old_environments(new)
    assert left(tmp_path) == {"last-3.11", "new-3.11"}


def test_code_that_nobody_has_used_for_long_goes_unless_a_program_has_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "code").mkdir()
    paths = []
    for n in range(4):
        (tmp_path / "code" / "train.py").write_text(f"VALUE = {n}")
        subprocess.run(["git", "init", "-q"], cwd=tmp_path / "code", check=True)
        sent = files.snapshot(parabola("sent", 1, 0.0), tmp_path / "code")
        path = kept.cache() / "files" / sent.digest
        path.parent.mkdir(exist_ok=True)
        kept._unpack(path, sent.digest, sent.compressed)
        paths.append(path)
    (paths[0] / "model.pt").write_text("a night of work")
    for path in paths[:3]:
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    with working_in(paths[1]):
        kept.remove_old_files(paths[0].parent)
    assert left(paths[0].parent) == {paths[n].name for n in (0, 1, 3)}
    assert "removed 1 copy of code that no launch has used for 30 days" in capsys.readouterr().out


def test_the_directory_of_a_supervisor_that_was_killed_goes_with_the_next_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PLACE", str(tmp_path))
    code = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])\n"
    for name in ("studies-dead", "studies-alive"):
        (tmp_path / name).mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "studies-dead" / remote.CONTROL)], check=True)
    alive = "import socket, sys; one = socket.socket(socket.AF_UNIX); one.bind(sys.argv[1])\n" + WAITS
    (tmp_path / "studies-begins").mkdir()
    with process([sys.executable, "-c", alive, str(tmp_path / "studies-alive" / remote.CONTROL)]):
        made = remote.enter(None)
        assert left(tmp_path) == {"studies-alive", "studies-begins", Path(str(made)).name}
