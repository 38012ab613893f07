"""One connection to a machine: an `ssh` process, and at its other end `remote`, run by the machine's Python."""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from studies.files import directory_for_sockets
from studies.run.launchers.ssh import kept, remote
from studies.words import last_line

CONNECT_TIMEOUT_S = 10
SILENCE_S = 5  # between two questions whether the other side is there; after N_SILENT without an answer it is not
N_SILENT = 3
END_S = 5.0
GREET_S = 60.0  # a home on a network may be slow

OPTIONS = {
    "BatchMode": "yes",  # nobody is asked for a password: several machines would ask at once, and again at night
    "ConnectTimeout": str(CONNECT_TIMEOUT_S),
    "ServerAliveInterval": str(SILENCE_S),
    "ServerAliveCountMax": str(N_SILENT),
    "ControlMaster": "yes",
    "ControlPersist": "no",
    "ClearAllForwardings": "yes",  # the user's own, which another connection may hold
    "RequestTTY": "no",
    "RemoteCommand": "none",
}

# The first Python that is new enough reads a program from its stdin: its length in bytes, a newline, itself.
FIND = (
    'for python in "$@"; do '
    'if "$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then exec "$python" -I -S -c '
    '"import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"; fi; done; '
    'echo "no Python: $(python3 --version 2>&1)"'
)
NO_PYTHON = "no Python: "

ADVICE = {
    "Could not resolve hostname": "check the name, or add it to ~/.ssh/config",
    "Permission denied": "`ssh {host}` must work without a password: `ssh-copy-id {host}` sends your key, `ssh-add` "
    "opens one with a passphrase",
    "Host key verification failed": "type `ssh {host}` once and accept the machine's key",
    "has changed and you have": "find out why; then `ssh {host}` says how to remove the old one",
    "Connection refused": "the machine is there, and no sshd answers: check the port in ~/.ssh/config",
    "timed out": "check that it runs and that this network reaches it",
    "No route to host": "check that it runs and that this network reaches it",
    "not responding": "the network was cut; type the same again",
    "Broken pipe": "the network was cut; type the same again",
    "Connection reset": "the network was cut; type the same again",
}


class Cut(Exception):
    """The connection has ended. The text is what ssh said last."""


class Refused(Exception):
    """The machine answered, and cannot. The text is a sentence's part."""


class Connection:
    """See the module. python: the machine's, or None to look for one. `greet` comes first."""

    def __init__(self, host: str, python: str | None) -> None:
        self.host, self._python = host, python
        self._is_silent = False
        self._sockets = tempfile.TemporaryDirectory(prefix="studies-ssh-", dir=directory_for_sockets())  # 0700
        self._control = Path(self._sockets.name, "control")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        self._writing = threading.Lock()
        options = [f"-o{key}={value}" for key, value in OPTIONS.items()]
        self._ssh = subprocess.Popen(
            ["ssh", *options, f"-oControlPath={self._control}", "-T", "--", host, command(python)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is the launcher's to hand on
        )

    def greet(self) -> None:
        """Wait until a Python is at the other end. Raises Cut, and Refused without one; nothing is left then."""
        silent = threading.Timer(GREET_S, self._give_up)
        silent.start()
        try:
            self._greet()
        except BaseException:
            self.cut()
            if self._is_silent:
                raise Refused(
                    f"no shell answered within {GREET_S:.0f} s; what waits there, in .bashrc or the like? "
                    f"`ssh {self.host} true` has to end by itself"
                ) from None
            raise
        finally:
            silent.cancel()

    def _give_up(self) -> None:
        self._is_silent = True
        self._ssh.kill()

    def _greet(self) -> None:
        program = _program()
        self.send(str(len(program)).encode() + b"\n" + program)
        while (line := self.line()) != remote.HELLO:  # a login may print what it likes
            if line.startswith(NO_PYTHON):
                found = line.removeprefix(NO_PYTHON)
                raise Refused(f"it has no {self._python or 'Python 3.11 or newer'} (python3 --version: {found})")

    def send(self, content: bytes) -> None:
        """Send bytes. Raises Cut."""
        stdin = self._ssh.stdin
        assert stdin is not None
        try:
            with self._writing:
                stdin.write(content)
                stdin.flush()
        except (OSError, ValueError):
            raise Cut(self._why()) from None

    def tell(self, **message: Any) -> None:
        """Send a line of JSON. Raises Cut."""
        self.send(json.dumps(message).encode() + b"\n")

    def line(self) -> str:
        """Return the next line. Raises Cut."""
        stdout = self._ssh.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise Cut(self._why())
        return line.decode(errors="replace").rstrip("\n")

    def ask(self, do: str, content: bytes = b"", heard: Callable[[str], None] | None = None, **given: Any) -> Any:
        """Return the answer to a request of `remote`. Raises Cut, and Refused with its sentence.

        heard: called with each line that the machine says before it answers.
        """
        self.send(json.dumps({"do": do, **given}).encode() + b"\n" + content)
        while "says" in (answer := json.loads(self.line())):
            if heard is not None:
                heard(answer["says"])
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["answer"]

    def forward(self, there: str, here: str) -> str:
        """Have what connects to `there`, on the machine, come out at `here`; return the port, where ssh chose it.

        Both as `ssh -R` has them. Raises Refused, with what ssh said.
        """
        asked = ["ssh", f"-oControlPath={self._control}", "-O", "forward", "-R", f"{there}:{here}", "--", self.host]
        done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(last_words(done.stderr) or f"ssh exited with {done.returncode}")
        return done.stdout.strip()

    def close(self) -> None:
        """End the connection: the other side sees that nobody is here any more."""
        assert self._ssh.stdin is not None
        with suppress(OSError):
            self._ssh.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._ssh.wait(END_S)
        self.cut()

    def cut(self) -> None:
        """End the connection now: the other side sees a cut."""
        self._ssh.kill()
        self._ssh.wait()
        for file in (self._ssh.stdin, self._ssh.stdout, self._said):
            with suppress(OSError):  # what was not sent yet
                file.close()  # type: ignore[union-attr]
        self._sockets.cleanup()

    def _why(self) -> str:
        """Return what ssh said last, or how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._ssh.wait(END_S)
        if self._said.closed:
            return "it was closed"
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        return last_words(said) or f"ssh exited with {self._ssh.poll()}"


def _program() -> bytes:
    """Return what that Python runs: `remote`, for which `kept` is there as if it had been imported."""
    name, source = kept.__name__, inspect.getsource(kept)
    made = (
        f"import sys, types\nkept = sys.modules[{name!r}] = types.ModuleType({name!r})\nexec({source!r}, vars(kept))\n"
    )
    return f"{made}exec({inspect.getsource(remote)!r})".encode()


def command(python: str | None) -> str:
    """Return what the machine's shell runs, whichever shell that is. python: the only one to try."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    others = [f"python3.{minor}" for minor in (14, 13, 12, 11)]
    names = [python] if python else [version, "python3", *(name for name in others if name != version)]
    return " ".join(["exec sh -c", shlex.quote(FIND), "sh", *map(_quoted, names)])


def _quoted(path: str) -> str:
    """Quote a path for a shell, which is to find the home in it."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def explained(host: str, why: str) -> str:
    """Return what ssh said of a machine that could not be reached, and what to do about it."""
    todo = next((todo for part, todo in ADVICE.items() if part in why), "try `ssh {host}` by hand")
    return f"{why.rstrip('.')}; {todo.format(host=host)}"


def last_words(said: str) -> str:
    """Return the last line of what ssh said; of a machine with another key the one before, which says so."""
    changed = [line.strip() for line in said.splitlines() if "has changed and you have" in line]
    return changed[-1] if changed else last_line(said)
