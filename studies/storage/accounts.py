"""The dashboard's users, in the storage: who they are, what they may do, and what they did."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from studies.errors import NotSetUp, RoleMayNot
from studies.settings import masked
from studies.storage import sql_accounts
from studies.storage.connections import Rows

if TYPE_CHECKING:
    from studies.storage import Storage


class Role(StrEnum):
    """What a user of the dashboard may do."""

    VIEWER = "viewer"  # look
    EDITOR = "editor"  # look, and change what there is


@dataclass(frozen=True)
class User:
    """A user, and the labels of the tokens that scripts of theirs have."""

    name: str
    role: Role
    tokens: list[str]


@dataclass(frozen=True)
class Act:
    """What somebody did, when, and from which address."""

    at: datetime
    user: str
    address: str
    action: str


class Accounts:
    """Users, sessions, tokens and the audit. Safe to share between threads.

    On a team's server they are the owner's: who may not read them is told so where they are asked for or changed, with
    RoleMayNot. The tables are made with the first user. Sessions and tokens are secrets of 32 random bytes; the storage
    has their SHA-256 alone.
    """

    def __init__(self, storage: Storage) -> None:
        self._connections = storage.connections()
        self._is_there = False

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def exist(self) -> bool:
        """Whether there is any user. A database role that may not read them sees none."""
        return self._readable() and self._run(sql_accounts.HAS_USERS) == [(True,)]

    def users(self) -> list[User]:
        """Return all users, by name."""
        rows = self._run(sql_accounts.READ_USERS) if self.are_there() else []
        return [User(name, Role(role), tokens) for name, role, tokens in rows]

    def password_of(self, name: str) -> str | None:
        """Return the hash of a user's password, None for nobody's name."""
        rows = self._run(sql_accounts.READ_USER, name=name) if self._readable() else []
        return rows[0][1] if rows else None

    def set_user(self, name: str, role: Role, password_hash: str) -> None:
        """Add a user, or give one another password and role, which ends their sessions and tokens."""
        if not self.are_there():
            try:
                with self._connections.may_create(), self._connections.alone("accounts") as cursor:
                    cursor.execute(sql_accounts.CREATE_ACCOUNTS)
            except NotSetUp:
                raise self._refused() from None
        self._run(sql_accounts.SET_USER, name=name, role=role.value, password=password_hash)

    def remove_user(self, name: str) -> bool:
        """Remove a user, with their sessions and tokens; return False when there is none of this name."""

        def removed() -> Rows:
            return [] if self._run(sql_accounts.READ_USER, name=name) else [(name,)]

        given = {"name": name}
        return self.are_there() and bool(self._connections.run(sql_accounts.REMOVE_USER, given, recover=removed))

    def open_session(self, name: str, seconds: float) -> str:
        """Begin a session that ends after so many seconds; return its secret."""
        secret = secrets.token_urlsafe(32)
        self._run(sql_accounts.OPEN_SESSION, digest=_digest(secret), name=name, seconds=seconds)
        return secret

    def close_session(self, secret: str) -> None:
        """End a session."""
        self._run(sql_accounts.CLOSE_SESSION, digest=_digest(secret))

    def add_token(self, name: str, label: str) -> str | None:
        """Give a user's script a token; one of the same label is replaced. Return it, or None for nobody's name."""
        secret = secrets.token_urlsafe(32)
        given = {"digest": _digest(secret), "name": name, "label": label}
        return secret if self.are_there() and self._run(sql_accounts.ADD_TOKEN, **given) else None

    def of_session(self, secret: str) -> tuple[str, Role] | None:
        """Return whose session this is and what they may do now, or None."""
        return self._owner(sql_accounts.READ_SESSION, secret)

    def of_token(self, secret: str) -> tuple[str, Role] | None:
        """Return whose token this is and what they may do now, or None."""
        return self._owner(sql_accounts.READ_TOKEN, secret)

    def add_audit(self, name: str, address: str, action: str) -> None:
        """Keep what a user did."""
        at = self._connections.now().astimezone()
        self._run(sql_accounts.ADD_AUDIT, at=at, name=name, address=address, action=action)

    def audit(self, n: int) -> list[Act]:
        """Return the last n things that users did, the newest first."""
        rows = self._run(sql_accounts.READ_AUDIT, n=n) if self.are_there() else []
        return [Act(*row) for row in rows]

    def _owner(self, statement: str, secret: str) -> tuple[str, Role] | None:
        rows = self._run(statement, digest=_digest(secret)) if self._readable() else []
        return (rows[0][0], Role(rows[0][1])) if rows else None

    def are_there(self) -> bool:
        """Whether the tables are there. Raises RoleMayNot where this database role may not read them."""
        if not self._readable() and self._connections.run(sql_accounts.MAY_READ):
            raise self._refused()
        return self._is_there

    def _readable(self) -> bool:
        self._is_there = self._is_there or self._connections.run(sql_accounts.MAY_READ) == [(True,)]
        return self._is_there

    def _refused(self) -> RoleMayNot:
        reason = "the dashboard's users are for the owner to see and to change"
        return RoleMayNot(url=masked(self._connections.url), reason=reason)

    def _run(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        return self._connections.run(statement, given)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
