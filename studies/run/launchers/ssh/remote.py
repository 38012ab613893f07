"""What a machine does before anything is installed there. Sent as text and run by its Python, with `kept`.

Both know only the library.

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
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from studies.run.launchers.ssh.kept import PLACE, Refused, cache, environments, held, install, is_installed, keep, why

HELLO = "studies is here"
CONTROL, FORMER, SOCKET, LOG = "control", "connection", ".s.PGSQL.5432", "supervisor.log"  # in its directory
ROOT_CERTIFICATE = "root.crt"
START_S = 60.0
SETTLE_S = 1.0  # a connection that ends closes both ways within that
CHUNK = 65536


def main() -> None:
    """Answer requests until the launcher is gone."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    print(HELLO, flush=True)
    while line := sys.stdin.buffer.readline():
        given = json.loads(line)
        request = given.pop("do")
        try:
            answer = {"answer": REQUESTS[request](**given)}
        except Refused as error:
            answer = {"refused": str(error)}
        except OSError as error:
            answer = {"refused": why(error)}
        if isinstance(end := answer.get("answer"), socket.socket):
            with suppress(OSError):  # the supervisor's end: it does not read to the last byte
                relay(end)
            return
        print(json.dumps(answer), flush=True)


def look(modules: list[str], key: str) -> dict[str, Any]:
    """Return what this machine has. modules: that its Python should be able to import. key: see `install`."""
    probe = "import importlib.util, sys; print(*[m for m in sys.argv[1:] if not importlib.util.find_spec(m)])"
    missing = subprocess.run([sys.executable, "-c", probe, *modules], capture_output=True, text=True, check=False)
    refusal = _refusal()
    return {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "missing": missing.stdout.split(),
        "installed": is_installed(key),
        "n_environments": 0 if refusal else len(environments()),
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


def enter(directory: str | None) -> str | None:
    """Return the directory of this launch, made where None is given, or None where it is gone."""
    if directory is None:
        _remove_abandoned()
        made = tempfile.mkdtemp(prefix="studies-", dir=PLACE)
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


def _remove_abandoned() -> None:
    """Remove the directories of supervisors that were killed: one that lives listens at its socket."""
    with suppress(OSError):
        listening = Path("/proc/net/unix").read_text()
        for control in Path(PLACE).glob(f"studies-*/{CONTROL}"):
            with suppress(OSError):  # not this user's, or it goes at this moment
                if control.stat().st_uid == os.getuid() and str(control) not in listening:
                    shutil.rmtree(control.parent, ignore_errors=True)


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
            pass_fds=held(),  # as long as it lives, what it uses stays there
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
