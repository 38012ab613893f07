"""Two "machines" on this one: each an OpenSSH server of its own, a user of its own, a network that can be cut."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from benchmarks.networks import Proxies, free_port

from ..acceptance.conftest import Studies, make_studies
from ..waiting import wait_for

__all__ = ["make_studies"]

SSHD = "/usr/sbin/sshd"

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {place}/host_key
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
AuthorizedKeysFile {place}/keys/%u
PrintMotd no
"""

# In the order in which ssh reads it: what comes first stays.
CLIENT = """
{hosts}
Host *
    UserKnownHostsFile {place}/known_hosts
    IdentityFile {place}/key
    IdentitiesOnly yes
    StrictHostKeyChecking yes
"""


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    if os.geteuid() != 0 or not Path(SSHD).exists():
        pytest.fail("only root may add users and start an OpenSSH server: sudo make test-ssh, with openssh-server")


@dataclass
class Host:
    """A machine: its name for `ssh`, the user that it is, and its network."""

    name: str
    user: str
    network: Proxies

    def processes(self) -> list[str]:
        """The command lines of what runs there."""
        uid, found = pwd.getpwnam(self.user).pw_uid, []
        for process in psutil.process_iter(["uids"]):
            with suppress(psutil.Error):
                if process.info["uids"] and process.info["uids"].real == uid:
                    found.append(" ".join(process.cmdline()) or process.name())
        return found

    def left(self) -> list[str]:
        """The files of launches that are still there."""
        uid, found = pwd.getpwnam(self.user).pw_uid, []
        for path in Path("/tmp").glob("studies-*"):
            with suppress(FileNotFoundError):  # it goes at this moment
                found += [str(path)] if path.stat().st_uid == uid else []
        return found


class Lab:
    """Some machines, and what a person has who reaches them by `ssh`."""

    def __init__(self, place: Path, python: Path) -> None:
        self.place, self.python = place, python
        self.hosts: dict[str, Host] = {}
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key"))
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "host_key"))
        (place / "keys").mkdir()

    @contextmanager
    def host(self, name: str, *options: str) -> Iterator[Host]:
        """Add a machine. options: lines of its sshd_config."""
        user, port = f"studies-{name}-{os.getpid()}", free_port()  # another run may have one of this name
        home = self.place / user
        _run("useradd", "--create-home", "--home-dir", str(home), "--password", "*", "--shell", "/bin/bash", user)
        shutil.copy(self.place / "key.pub", self.place / "keys" / user)
        config = self.place / f"sshd_{name}"
        config.write_text("\n".join([*options, CONFIG.format(port=port, place=self.place)]))
        log = (self.place / f"sshd_{name}.log").open("wb")
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
        try:
            wait_for(lambda: _answers(port), told=lambda: (self.place / f"sshd_{name}.log").read_text())
            with Proxies(1, port) as network:
                self.hosts[name] = Host(name, user, network)
                self._configure()
                yield self.hosts[name]
        finally:
            left = self.hosts.pop(name).left() if name in self.hosts else []
            sshd.kill()
            sshd.wait()
            log.close()
            subprocess.run(["pkill", "-9", "-u", user], check=False)
            for path in left:
                shutil.rmtree(path, ignore_errors=True)
            _run("userdel", "--force", "--remove", user)

    def _configure(self) -> None:
        key = (self.place / "host_key.pub").read_text().split()[:2]
        hosts, known = [], []
        for host in self.hosts.values():
            port = host.network.address(0)[1]
            hosts.append(f"Host {host.name}\n    HostName 127.0.0.1\n    Port {port}\n    User {host.user}\n")
            known.append(" ".join([f"[127.0.0.1]:{port}", *key]) + "\n")
        (self.place / "known_hosts").write_text("".join(known))
        (self.place / "config").write_text(CLIENT.format(hosts="\n".join(hosts), place=self.place))

    def ssh(self) -> Path:
        """A directory with an `ssh` that has this laboratory's configuration."""
        directory = self.place / "bin"
        directory.mkdir(exist_ok=True)
        script = directory / "ssh"
        script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.place}/config "$@"\n')
        script.chmod(0o755)
        return directory


def _answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"


@contextmanager
def python_for_all(place: Path) -> Iterator[Path]:
    """Yield a Python with everything that this one has, which any user may run; this one may be in root's home."""
    mounted = {"python": sys.base_prefix, "site": sysconfig.get_path("purelib")}
    with ExitStack() as stack:
        for name, path in mounted.items():
            (place / name).mkdir()
            _run("mount", "--bind", path, str(place / name))
            stack.callback(_run, "umount", "--lazy", str(place / name))
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        venv = place / "venv"
        site = venv / "lib" / version / "site-packages"
        site.mkdir(parents=True)
        (site / "all.pth").write_text(f"{place / 'site'}\n")
        (venv / "bin").mkdir()
        (venv / "pyvenv.cfg").write_text(f"home = {place / 'python' / 'bin'}\n")
        (venv / "bin" / version).symlink_to(place / "python" / "bin" / version)
        python = venv / "bin" / "python"  # a script, for its shared library would be looked for in root's home
        libraries = f"LD_LIBRARY_PATH={place / 'python' / 'lib'}"
        python.write_text(f'#!/bin/sh\n{libraries} exec {venv / "bin" / version} "$@"\n')
        python.chmod(0o755)
        yield python


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    place = Path(tempfile.mkdtemp(prefix="studies-lab-"))
    place.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    with python_for_all(place) as python:
        yield Lab(place, python)
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def hosts(lab: Lab) -> Iterator[tuple[Host, Host]]:
    with lab.host("gpu1") as first, lab.host("gpu2") as second:
        yield first, second


@pytest.fixture
def studies(lab: Lab, make_studies: Callable[[str], Studies]) -> Studies:
    """The command, with an `ssh` that knows the machines, and a Python for them."""
    made = make_studies("ssh")
    made.environment["PATH"] = f"{lab.ssh()}:{made.environment['PATH']}"
    made.environment["STUDIES_PYTHON"] = str(lab.python)
    made.be_heard_elsewhere("mine.py")
    return made
