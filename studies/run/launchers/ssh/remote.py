"""What a machine does before anything is installed there. Sent as text and run by its Python; knows only the library.

It answers each request, a line of JSON, with one: {"answer": ...} or {"refused": "a sentence"}. Before that it may say
how it gets on: {"says": "a line"}. The last request is `serve`: from then on it passes lines between the launcher and
the machine's supervisor.

look      what there is: Python, disk, GPUs, clock
keep      files, sent as a compressed tar, kept under their digest
install   packages, into a private environment
enter     the launch's directory, 0700, made once; ends the connection before this one, which may hang for hours
serve     starts the supervisor, or finds it
"""

from __future__ import annotations

import atexit
import fcntl
import gzip
import hashlib
import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

HELLO = "studies is here"
CONTROL, FORMER, SOCKET, LOG = "control", "connection", ".s.PGSQL.5432", "supervisor.log"  # in its directory
ROOT_CERTIFICATE = "root.crt"
WHOLE = "whole"  # in an environment where everything is installed
START_S = 60.0
SETTLE_S = 1.0  # a connection that ends closes both ways within that
CHUNK = 65536
COLLECTED = "Installing collected packages:"  # pip's last word for minutes
TAIL_LINES, MOST_SAID = 5, 600  # of a command that failed; characters
SAY_S, POLL_S, LINE = 15.0, 1.0, 100  # between two lines of one that runs; characters of each


class Refused(Exception):
    """A sentence for the person who launched."""


def main() -> None:
    """Answer requests until the launcher is gone."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print(HELLO, flush=True)
    while line := sys.stdin.buffer.readline():
        given = json.loads(line)
        request = given.pop("do")
        try:
            answer = {"answer": REQUESTS[request](**given)}
        except (Refused, OSError) as error:
            answer = {"refused": str(error)}
        if isinstance(end := answer.get("answer"), socket.socket):
            with suppress(OSError):  # the supervisor's end: it does not read to the last byte
                relay(end)
            return
        print(json.dumps(answer), flush=True)


def say(line: str) -> None:
    """Tell the launcher something before its request is answered."""
    print(json.dumps({"says": line}), flush=True)


def cache() -> Path:
    """Return where everything that lasts is kept."""
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "studies"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def look(modules: list[str], key: str) -> dict[str, Any]:
    """Return what this machine has. modules: that its Python should be able to import. key: see `install`."""
    probe = "import importlib.util, sys; print(*[m for m in sys.argv[1:] if not importlib.util.find_spec(m)])"
    missing = subprocess.run([sys.executable, "-c", probe, *modules], capture_output=True, text=True, check=False)
    refusal = _refusal()
    return {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "missing": missing.stdout.split(),
        "installed": (environment(key) / WHOLE).exists(),
        "venv": _can_make_environments(),
        "not_writable": refusal,
        "free_bytes": None if refusal else shutil.disk_usage(cache()).free,
        "gpus": _gpus(),
        "time": time.time(),
    }


def _refusal() -> str | None:
    """Return why nothing can be kept here."""
    try:
        with tempfile.TemporaryFile(dir=cache()):
            return None
    except OSError as error:
        return str(error)


def _can_make_environments() -> bool:
    probe = "import ensurepip, venv"
    return subprocess.run([sys.executable, "-I", "-c", probe], capture_output=True, check=False).returncode == 0


def _gpus() -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.partition(" (UUID")[0].partition(": ")[2] for line in listed.stdout.splitlines() if line[:4] == "GPU "]


def keep(digest: str, n_bytes: int) -> str | None:
    """Return the directory with the files of this digest. n_bytes: how many follow; 0 asks whether it is there."""
    path = cache() / "files" / digest
    content = sys.stdin.buffer.read(n_bytes)
    if path.is_dir() or not n_bytes:
        return str(path) if path.is_dir() else None
    tar = gzip.decompress(content)
    if hashlib.sha256(tar).hexdigest() != digest:
        raise Refused("the files that arrived are not those that were sent")
    path.parent.mkdir(exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix="partial-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as files:
            files.extraction_filter = lambda entry, _: entry  # it is one's own, and a link may lead anywhere
            files.extractall(partial)  # noqa: S202
        with suppress(OSError):  # another launch was faster
            partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return str(path)


def environment(key: str) -> Path:
    """Return where the private environment of this key is, for this Python."""
    return cache() / "environments" / f"{key}-{sys.version_info[0]}.{sys.version_info[1]}"


def install(key: str, requirements: list[str], constraints: list[str]) -> str:
    """Return the Python of the private environment of this key, which is made once."""
    path = environment(key)
    path.parent.mkdir(exist_ok=True)
    python, whole = path / "bin" / "python", path / WHOLE
    with path.with_suffix(".lock").open("a") as lock:
        _take(lock)
        if not whole.exists():
            torch = next((line.replace("==", " ") for line in constraints if line.startswith("torch==")), "")
            what = f"{torch} and " if torch else ""
            say(f"installing {what}what it takes to run workers, once: minutes, and with CUDA 6 GB of disk")
            shutil.rmtree(path, ignore_errors=True)
            try:
                _make(path, python, requirements, constraints)
            except BaseException:  # half an environment has gigabytes
                shutil.rmtree(path, ignore_errors=True)
                raise
            whole.touch()
    return str(python)


def _take(lock: TextIO) -> None:
    """Wait until no other launch installs the same here."""
    with suppress(BlockingIOError):
        return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    say("another launch installs the same there; waiting for it")
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _check_launcher(select.select([0], [], [], POLL_S)[0])


def _make(path: Path, python: Path, requirements: list[str], constraints: list[str]) -> None:
    _run([sys.executable, "-m", "venv", str(path)], path)
    pinned, temporary = path / "constraints.txt", path / "tmp"
    pinned.write_text("".join(f"{line}\n" for line in constraints))
    temporary.mkdir()  # pip unpacks there: /tmp may be small, and this disk is known to have room
    # Python compiles what is imported, which is a small part of it.
    options = ["--no-input", "--no-compile", "--progress-bar", "off", "--constraint", str(pinned)]
    _run([str(python), "-m", "pip", "install", *options, *requirements], path, TMPDIR=str(temporary))
    shutil.rmtree(temporary, ignore_errors=True)


def _run(command: list[str], path: Path, **variables: str) -> None:
    """Run a command to its end, or the launcher's; say now and then how far it is. Raises Refused where it fails.

    path: of the environment that it makes.
    """
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        lines = _heard(process, path)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        first = next((at for at, line in enumerate(lines) if line.startswith("ERROR:")), -TAIL_LINES)
        said = " ".join(lines[first:])
        raise Refused(f"`{' '.join(command[1:4])}` exited with {process.returncode}: {said[:MOST_SAID]}")


def _heard(process: subprocess.Popen[bytes], path: Path) -> list[str]:
    """Return the lines that a process has printed, once it has ended."""
    assert process.stdout is not None
    output, rest, lines = process.stdout.fileno(), b"", list[str]()
    say_at = time.monotonic() + SAY_S
    while True:
        ready = select.select([0, output], [], [], POLL_S)[0]
        _check_launcher(ready)
        if output in ready:
            content = os.read(output, CHUNK)
            *whole, rest = (rest + content).split(b"\n")
            lines += [line for one in whole if (line := one.decode(errors="replace").strip())]
            if not content:
                process.wait()
                return lines
        if lines and time.monotonic() > say_at:
            say_at = time.monotonic() + SAY_S
            say(_so_far(lines, path))


def _so_far(lines: list[str], path: Path) -> str:
    """Return how far pip is. path: of the environment."""
    listed = next((line for line in reversed(lines) if line.startswith(COLLECTED)), None)
    if listed is None:
        return lines[-1] if len(lines[-1]) <= LINE else f"{lines[-1][:LINE]}..."
    n_packages, n_done = listed.count(",") + 1, len([*path.glob("lib/python*/site-packages/*.dist-info")])
    return f"unpacking: {min(n_done, n_packages)} of {n_packages} packages"


def _check_launcher(ready: list[Any]) -> None:
    """End where nobody waits for this any more: stdin brings nothing else while a request is answered."""
    if 0 in ready:
        sys.exit()


def enter(directory: str | None) -> str | None:
    """Return the directory of this launch, made where None is given, or None where it is gone."""
    if directory is None:
        made = tempfile.mkdtemp(prefix="studies-", dir="/tmp")  # a socket's path is short; a home may be shared
        atexit.register(_remove_unused, made)
        return made
    if not Path(directory, CONTROL).exists():
        return None
    with suppress(OSError, ValueError):
        former = [int(word) for word in Path(directory, FORMER).read_text().split()]
        for pid in former:  # the relay, and its sshd, which holds the workers' dead connections
            if pid != os.getppid() and _is_ours(pid):
                os.kill(pid, signal.SIGKILL)
    return directory


def _remove_unused(directory: str) -> None:
    if not Path(directory, CONTROL).exists():
        shutil.rmtree(directory, ignore_errors=True)


def _is_ours(pid: int) -> bool:
    """Whether a process is this user's sshd or a Python: not one that only got an old number."""
    status = Path(f"/proc/{pid}")
    name = (status / "comm").read_text()
    return status.stat().st_uid == os.getuid() and name.startswith(("sshd", "python"))


def serve(directory: str, tunnel: str | None, start: dict[str, Any] | None) -> socket.socket:
    """Return a socket to the supervisor. tunnel: the socket that leads to the storage now, a name in the directory.

    start: what it is started with: `command`, `cwd`, `environment`, and the `given` that it reads; None: it runs.
    """
    place = Path(directory)
    if tunnel is not None:
        with suppress(FileNotFoundError):
            (place / "next").unlink()
        (place / "next").symlink_to(tunnel)
        (place / "next").replace(place / SOCKET)
    (place / FORMER).write_text(f"{os.getpid()} {os.getppid()}")
    supervisor = _started(place, **start) if start else None
    deadline = time.monotonic() + START_S
    while True:
        end = socket.socket(socket.AF_UNIX)
        try:
            end.connect(str(place / CONTROL))
            return end
        except OSError:
            end.close()
            if supervisor is None or supervisor.poll() is not None or time.monotonic() > deadline:
                raise Refused(f"its supervisor is gone: {_last_line(place / LOG)}") from None
            time.sleep(0.05)


def _started(
    place: Path,
    command: list[str],
    cwd: str,
    environment: dict[str, str],
    given: dict[str, Any],
    certificate: str | None,
) -> subprocess.Popen[bytes]:
    if certificate is not None:
        (place / ROOT_CERTIFICATE).write_text(certificate)
    path = os.environ.get("PATH", os.defpath)
    with (place / LOG).open("ab") as log:
        supervisor = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **environment, "PATH": f"{Path(command[0]).parent}:{path}"},  # as if activated
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert supervisor.stdin is not None
    with suppress(BrokenPipeError):
        supervisor.stdin.write(json.dumps(given).encode())
        supervisor.stdin.close()
    return supervisor


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"


def relay(end: socket.socket) -> None:
    """Pass lines on, until one side ends. The launcher's end, seen here, is told to the supervisor."""
    print(json.dumps({"answer": "serving"}), flush=True)
    while True:
        ready = select.select([0, end.fileno()], [], [])[0]
        if end.fileno() in ready:
            content = end.recv(CHUNK)
            if not content:
                return
            try:
                _write(content)
            except OSError:
                return
        if 0 in ready:
            content = os.read(0, CHUNK)
            if content:
                end.sendall(content)
            elif _is_cut():
                return
            else:  # the connection stands, and nobody is at its other end
                end.sendall(b'{"close": true}\n')
                while end.recv(CHUNK):
                    pass
                return


def _write(content: bytes) -> None:
    while content:
        content = content[os.write(1, content) :]


def _is_cut() -> bool:
    """Whether the other direction ends as well: then the connection is cut, and the launcher may come back."""
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(SETTLE_S * 1000))


REQUESTS: dict[str, Any] = {"look": look, "keep": keep, "install": install, "enter": enter, "serve": serve}

if __name__ == "__main__":
    main()
