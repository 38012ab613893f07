"""Hosts on one machine, with networks between them and a server that can be cut.

As root each host is a network and a UTS namespace behind a cable (veth) of its own: it has its own name, and its
packets go through the kernel's TCP until a rule drops them without a word or answers them with a reset. Where that is
not allowed, each host reaches the server through a proxy of ours, which can stop forwarding or reset: the worker sees a
silent peer or a reset either way, and only the kernel's timeouts for packets that nobody acknowledges stay untried.
"""

from __future__ import annotations

import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import threading
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from studies.settings import Settings
from studies.storage.embedded import EmbeddedServer

CHUNK = 65536


class Network(Protocol):
    """Some hosts and a server's port, which each of them reaches at `address`."""

    listen_addresses: str

    def address(self, host: int) -> tuple[str, int]:
        """Return where the host finds the server."""

    def command(self, host: int, command: list[str]) -> list[str]:
        """Return what runs the command on the host."""

    def cut(self, host: int) -> None:
        """Let everything between the host and the server vanish, without a word to either."""

    def reset(self, host: int) -> None:
        """Answer whatever the host sends with a reset, until it heals."""

    def heal(self, host: int) -> None:
        """Let the host and the server reach each other again."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_network(n_hosts: int, port: int) -> Network:
    """Return real networks where they may be made, else proxies."""
    if os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables") and shutil.which("unshare"):
        # Root may lack the right to, as in a container.
        with suppress(subprocess.CalledProcessError), Namespaces(n_hosts, port) as network:
            return network
    return Proxies(n_hosts, port)


class Namespaces:
    """See Network."""

    def __init__(self, n_hosts: int, port: int) -> None:
        self.port = port
        self._name = f"st{os.getpid() % 100000}"
        self._subnet = _free_subnet()
        self._hosts = range(n_hosts)
        self.listen_addresses = ",".join(self.address(host)[0] for host in self._hosts)

    def __enter__(self) -> Self:
        try:
            for host in self._hosts:
                space, cable = self._space(host), self._cable(host)
                _do("ip", "netns", "add", space)
                _do("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
                _do("ip", "addr", "add", f"{self.address(host)[0]}/24", "dev", cable)
                _do("ip", "link", "set", cable, "up")
                _do("ip", "-n", space, "addr", "add", f"{self._subnet}.{host}.2/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    _do("ip", "-n", space, "link", "set", device, "up")
                self.cut(host)
                self.reset(host)
                self.heal(host)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            with suppress(subprocess.CalledProcessError):
                self.heal(host)
            for what in (("netns", "del", self._space(host)), ("link", "del", self._cable(host))):
                with suppress(subprocess.CalledProcessError):
                    _do("ip", *what)

    def address(self, host: int) -> tuple[str, int]:
        """See Network."""
        return f"{self._subnet}.{host}.1", self.port

    def command(self, host: int, command: list[str]) -> list[str]:
        """See Network."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', f"host-{host}", *command]
        return ["ip", "netns", "exec", self._space(host), *named]

    def cut(self, host: int) -> None:
        """See Network."""
        for rule in self._dropping(host):
            _do("iptables", "--wait", "--insert", *rule)

    def reset(self, host: int) -> None:
        """See Network."""
        _do("iptables", "--wait", "--insert", *self._resetting(host))

    def heal(self, host: int) -> None:
        """See Network."""
        for rule in (*self._dropping(host), self._resetting(host)):
            with suppress(subprocess.CalledProcessError):
                _do("iptables", "--wait", "--delete", *rule)

    def _dropping(self, host: int) -> tuple[list[str], list[str]]:
        cable = self._cable(host)
        return ["INPUT", "-i", cable, "-j", "DROP"], ["OUTPUT", "-o", cable, "-j", "DROP"]

    def _resetting(self, host: int) -> list[str]:
        return ["INPUT", "-i", self._cable(host), "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]

    def _space(self, host: int) -> str:
        return f"{self._name}-{host}"

    def _cable(self, host: int) -> str:
        return f"{self._name}v{host}"


class Proxies:
    """See Network."""

    listen_addresses = "127.0.0.1"

    def __init__(self, n_hosts: int, port: int) -> None:
        self._proxies = [Proxy(port) for _ in range(n_hosts)]

    def __enter__(self) -> Self:
        for proxy in self._proxies:
            proxy.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self._proxies:
            proxy.mode = "close"
            proxy.join()

    def address(self, host: int) -> tuple[str, int]:
        """See Network."""
        return "127.0.0.1", self._proxies[host].port

    def command(self, host: int, command: list[str]) -> list[str]:
        """See Network."""
        return command

    def cut(self, host: int) -> None:
        """See Network."""
        self._proxies[host].mode = "cut"

    def reset(self, host: int) -> None:
        """See Network."""
        self._proxies[host].mode = "reset"

    def heal(self, host: int) -> None:
        """See Network."""
        self._proxies[host].mode = "pass"


class Proxy(threading.Thread):
    """Forwards one port to another, in one thread. mode: pass, cut, reset or close."""

    def __init__(self, to: int) -> None:
        super().__init__(daemon=True)
        self.mode = "pass"
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._others: dict[socket.socket, socket.socket] = {}

    def run(self) -> None:
        """Forward until closed."""
        with self._listening, selectors.DefaultSelector() as self._selector:
            self._selector.register(self._listening, selectors.EVENT_READ)
            while self.mode != "close":
                # What nobody reads waits in the kernel, as if it were on its way for long.
                for key, _ in self._selector.select(0.05) if self.mode != "cut" else ():
                    self._serve(key.fileobj)
                if self.mode == "reset":
                    for end in list(self._others):  # those that say nothing, too
                        self._drop(end)
                if self.mode == "cut":
                    threading.Event().wait(0.05)
            for end in list(self._others):
                self._drop(end)

    def _serve(self, ready: object) -> None:
        assert isinstance(ready, socket.socket)
        try:
            if ready is self._listening:
                self._accept(ready.accept()[0])
            elif ready in self._others:
                if data := ready.recv(CHUNK):
                    self._others[ready].sendall(data)
                else:
                    self._drop(ready)
        except OSError:
            self._drop(ready)

    def _accept(self, end: socket.socket) -> None:
        try:
            if self.mode == "reset":
                raise ConnectionResetError
            other = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            _close_with_reset(end)
            return
        self._others |= {end: other, other: end}
        for each in (end, other):
            self._selector.register(each, selectors.EVENT_READ)

    def _drop(self, end: socket.socket) -> None:
        other = self._others.pop(end, None)
        if other is not None:
            del self._others[other]
            for each in (end, other):
                self._selector.unregister(each)
                _close_with_reset(each)


class ServerOfHosts(EmbeddedServer):
    """A PostgreSQL server on TCP, as a team has one. Trusts every host, for these networks lead nowhere."""

    def __init__(self, settings: Settings, port: int, listen_addresses: str) -> None:
        super().__init__(settings)
        self.port = port
        self.server_settings = {
            "listen_addresses": f"'{listen_addresses}'",
            "port": str(port),
            "max_connections": "200",
        }

    def team_url(self, address: tuple[str, int]) -> str:
        """Return its URL for whoever finds it at the address."""
        return f"postgresql://studies@{address[0]}:{address[1]}/studies"

    def join(self) -> None:
        """See EmbeddedServer."""
        super().join()
        (self.data / "pg_hba.conf").write_text("local all all trust\nhost all all 0.0.0.0/0 trust\n")
        import psycopg2

        with psycopg2.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_reload_conf()")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _close_with_reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def _free_subnet() -> str:
    """Return the beginning of addresses that this machine has none of: others may make networks here as well."""
    shown = subprocess.run(["ip", "-4", "-brief", "address"], check=True, capture_output=True, text=True).stdout
    return next(f"10.{n}" for n in random.sample(range(64, 250), 186) if f" 10.{n}." not in shown)


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
