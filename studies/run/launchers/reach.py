"""Who reaches the storage: workers on other machines need one that is not this machine's own."""

from __future__ import annotations

import os

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from studies.errors import WrongInput
from studies.settings import Settings

THIS_MACHINE = ("", "localhost", "127.0.0.1", "::1")


def host_of(url: str) -> str:
    """Return where a storage is; empty for a socket of this machine, and for what is no URL, which others say."""
    try:
        given = parse_dsn("postgresql://" + url.partition("://")[2])
    except ProgrammingError:
        return ""
    host = given.get("host") or os.environ.get("PGHOST", "")
    return "" if host.startswith("/") else host


def only_here(settings: Settings) -> str | None:
    """Return what to call a storage that this machine alone reaches; None where others may."""
    if settings.storage is None:
        return "the embedded storage"
    host = host_of(settings.storage)
    return f"the storage at {host or 'localhost'}" if host in THIS_MACHINE else None


def refusal(starts: str, storage: str) -> WrongInput:
    """Return the error for a storage that is `only_here`. starts: where workers would be."""
    return WrongInput(
        reason=f"{starts}, and {storage} can be reached from this machine alone; `studies storage serve --host ADDRESS "
        "--detach` starts one for all, and prints what to set STUDIES_STORAGE to."
    )
