"""How workers on another machine reach the launcher's storage: through the ssh connection, and no other way.

A server on a Unix socket, as the embedded one, is reached there by a Unix socket in a directory that is 0700. A server
on TCP is reached by a port of the machine's own loopback; it asks for its password there as here, and shows its
certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2.extensions

from studies.run.launchers.ssh.remote import ROOT_CERTIFICATE
from studies.settings import Settings
from studies.storage import checked_url, url_of
from studies.storage.connections import Connections
from studies.storage.embedded import EmbeddedServer


@dataclass(frozen=True)
class Tunnel:
    """The way to a storage. here: its end on this machine, as `ssh -R` has it. parameters: libpq's, of the storage.

    certificate: the authority's, that a worker verifies the server's with.
    """

    here: str
    parameters: Mapping[str, Any]
    certificate: str | None = None

    @property
    def is_socket(self) -> bool:
        """Whether it is a Unix socket, which its directory protects."""
        return self.here.startswith("/")

    def url(self, directory: str, port: int) -> str:
        """Return the storage's address on the machine. directory: of the launch. port: of its loopback, or any."""
        # The certificate is for the host's name, which nobody looks up.
        there = {"host": directory, "port": 5432} if self.is_socket else {"hostaddr": "127.0.0.1", "port": port}
        if self.certificate is not None:
            there["sslrootcert"] = f"{directory}/{ROOT_CERTIFICATE}"
        return url_of({**self.parameters, **there})


def tunnel_to(settings: Settings) -> Tunnel:
    """Return the way to the storage that the settings name. Raises what opening it raises."""
    if settings.storage is None:
        return _tunnel(psycopg2.extensions.parse_dsn(EmbeddedServer(settings).url), None)
    url = checked_url(settings.storage)
    with closing(Connections(url, 0.0).connect()) as connection:  # it knows what PGPASSWORD and the like add
        info = connection.info
        known = {"user": info.user, "password": info.password, "dbname": info.dbname, "host": info.host}
        return _tunnel({**psycopg2.extensions.parse_dsn(url), **known, "port": info.port}, info)


def _tunnel(parameters: Mapping[str, Any], info: psycopg2.extensions.ConnectionInfo | None) -> Tunnel:
    given = {key: value for key, value in parameters.items() if value}
    host, port = given["host"], given.get("port", 5432)
    if host.startswith("/"):
        return Tunnel(f"{host}/.s.PGSQL.{port}", {key: given[key] for key in given if not key.startswith("ssl")})
    address = given.pop("hostaddr", host)
    root = given.pop("sslrootcert", None) or (info.dsn_parameters.get("sslrootcert") if info else None)
    certificate = None
    if root is not None and root != "system":
        certificate = Path(root).expanduser().read_text()
    return Tunnel(f"[{address}]:{port}" if ":" in address else f"{address}:{port}", given, certificate)
