"""The PostgreSQL behind the front: on a Unix socket alone, with three roles that all need their passwords."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2

from studies.errors import EmbeddedServerFailed
from studies.settings import Settings
from studies.storage import sql_team
from studies.storage.cluster import SERVER_SETTINGS
from studies.storage.connections import without_libpq_variables
from studies.storage.embedded import EmbeddedServer
from studies.storage.ledger import Ledger
from studies.storage.postgres import PostgresStorage
from studies.storage.team.passwords import OWNER, ROLES, VIEWER, WORKER, passwords, scram

MAX_CONNECTIONS = 400  # of a hundred workers


class TeamServer(EmbeddedServer):
    """A server in a directory of its own. Its URL here is the owner's."""

    server_settings = SERVER_SETTINGS | {"max_connections": str(MAX_CONNECTIONS)}
    rules = f"local studies {','.join(ROLES)} scram-sha-256\n"  # nobody else, and no superuser

    def __init__(self, settings: Settings, home: Path) -> None:
        super().__init__(settings, home)
        self._settings = settings
        self.passwords = passwords(self.home / "passwords.json")

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self._sockets / f".s.PGSQL.{self.port}"

    @property
    def url(self) -> str:
        """The owner's address behind the Unix socket."""
        sockets = quote(str(self._sockets), safe="/")
        return f"postgresql://{OWNER}:{self.passwords[OWNER]}@/studies?host={sockets}&port={self.port}"

    def _first_statements(self) -> str:
        return sql_team.CREATE_TEAM.format(owner=scram(self.passwords[OWNER]))

    def _start(self) -> None:
        """Start it. Where the owner's password is another by now, in its file or in PostgreSQL, the file's holds."""
        try:
            super()._start()
        except EmbeddedServerFailed as error:
            if "password authentication failed" not in str(error):
                raise
            self._stop()
            self._run_alone("data", sql_team.SET_OWNER.format(owner=scram(self.passwords[OWNER])))
            super()._start()

    def listens(self) -> bool:
        """Whether anything takes connections on its socket, which is quickly asked."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def set_up(self) -> None:
        """Create the tables and functions of this release, the roles with their passwords, and what each may do."""
        PostgresStorage(self.url, wait_s=0, environment=False).remove_session()
        Ledger(self.url, lease_s=self._settings.lease_s, wait_s=0, environment=False).close()
        with without_libpq_variables():
            connection = psycopg2.connect(self.url)
        with closing(connection), connection, connection.cursor() as cursor:
            cursor.execute(sql_team.CREATE_ROLES, {role: scram(self.passwords[role]) for role in (WORKER, VIEWER)})
            cursor.execute(sql_team.GRANT)
