"""The studies in a browser, and who may look: `studies dashboard`, `dashboard user`."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies.cli.options import Port, StorageUrl, say, settings_of
from studies.errors import NoSuchUser, WrongInput
from studies.words import one_line, plural

if TYPE_CHECKING:
    from studies.storage.accounts import Accounts

PLACE = 5.5  # in the help

NAME_LENGTH = 80
PATIENCE_S = 10.0  # for a server that went away: a person in front of a page waits no longer

app = typer.Typer()
dashboard = typer.Typer(name="dashboard", invoke_without_command=True)
user = typer.Typer(name="user", help="Who may use a dashboard that others can reach.", no_args_is_help=True)
app.add_typer(dashboard)
dashboard.add_typer(user)

UserName = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]


@dashboard.callback()
def serve_dashboard(
    context: typer.Context,
    port: Port = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on; another than this machine's needs users.")] = (
        "127.0.0.1"
    ),
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate, in PEM, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="A reverse proxy in front, whose X-Forwarded-* is believed. Repeatable."),
    ] = None,
    storage: StorageUrl = None,
) -> None:
    """Serve the studies in a browser.

    It shows how they stand and what to do about them, with optuna-dashboard beside it, for this machine alone unless
    --host says otherwise.

    Each study's note and artifacts in optuna-dashboard hold the figures of its report, a minute after trials have ended
    at the latest.
    """
    if context.invoked_subcommand is not None:
        return
    from studies.storage import open_storage
    from studies.web.serve import Where, serve

    settings = settings_of(storage)
    patience_s = min(settings.storage_wait_s, PATIENCE_S)
    with open_storage(replace(settings, storage_wait_s=patience_s)) as opened, suppress(KeyboardInterrupt):
        serve(opened, settings, Where(host, port, tls_cert, tls_key, proxy or ()), _say)


@user.command("add")
def user_add(
    name: UserName,
    role: Annotated[str, typer.Option(metavar="viewer|editor", help="A viewer looks; an editor may change things.")],
    storage: StorageUrl = None,
) -> None:
    """Add a user, or give one another password and role. The password is asked for, or read from stdin."""
    from studies.storage.accounts import Role
    from studies.web.passwords import Passwords

    if role not in list(Role):
        raise WrongInput(reason=f"--role is {role!r}; expected {' or '.join(Role)}.")
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise WrongInput(reason=f"The name is {name!r}; expected 1 to {NAME_LENGTH} characters without spaces around.")
    password = _password()
    with _accounts(storage) as accounts:
        accounts.set_user(name, Role(role), Passwords().hash(password))
        _note(accounts, f"made {name} {_a(role)}")
    _say(f"{name} is {_a(role)} now; `studies dashboard --host ADDRESS` serves.")


@user.command("list")
def user_list(storage: StorageUrl = None) -> None:
    """List the users with their roles, and the labels of their tokens."""
    from studies.tables import aligned

    with _accounts(storage) as accounts:
        rows = [(one.name, one.role.value, ", ".join(one.tokens) or "-") for one in accounts.users()]
    say(aligned([("user", "role", "tokens"), *rows]))


@user.command("remove")
def user_remove(name: UserName, storage: StorageUrl = None) -> None:
    """Remove a user; their sessions and tokens end at once."""
    with _accounts(storage) as accounts:
        if not accounts.remove_user(name):
            raise NoSuchUser(name=name)
        _note(accounts, f"removed {name}")
    _say(f"{name} is no user any more.")


@user.command("token")
def user_token(
    name: UserName,
    label: Annotated[str, typer.Option(help="What it is for; one of the same label is replaced.")] = "script",
    storage: StorageUrl = None,
) -> None:
    """Print a token for scripts, with its user's role. Send it as `Authorization: Bearer TOKEN`. It is shown once."""
    with _accounts(storage) as accounts:
        token = accounts.add_token(name, label)
        if token is None:
            raise NoSuchUser(name=name)
        _note(accounts, f"made a token of {name}'s: {label}")
    say(token)


@user.command("audit")
def user_audit(
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many, the newest last.")] = 50,
    storage: StorageUrl = None,
) -> None:
    """Print who did what, and from which address."""
    with _accounts(storage) as accounts:
        for act in reversed(accounts.audit(lines)):
            say(f"{act.at.astimezone():%Y-%m-%d %H:%M:%S}  {act.user}  {act.address}  {act.action}")


@contextmanager
def _accounts(storage: str | None) -> Iterator[Accounts]:
    from studies.storage import open_storage
    from studies.storage.accounts import Accounts

    with open_storage(settings_of(storage)) as opened:
        accounts = Accounts(opened)
        try:
            yield accounts
        finally:
            accounts.close()


def _a(role: str) -> str:
    return f"{'an' if role == 'editor' else 'a'} {role}"


def _note(accounts: Accounts, action: str) -> None:
    """Keep what was done here beside what users did, with the name that the system has for this user."""
    try:
        person = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        person = f"user {os.geteuid()}"
    accounts.add_audit(f"{person}@{socket.gethostname()}", "command line", one_line(action))


def _password() -> str:
    """Ask for a new password twice; where nobody types, read a line. Raises WrongInput."""
    from studies.web.passwords import MAX_LENGTH, MIN_LENGTH

    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise WrongInput(
                reason="The password on stdin is not text in UTF-8; save it as UTF-8, or type it."
            ) from None
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise WrongInput(
            reason=f"The password has {plural(len(password), 'character')}; expected {MIN_LENGTH} to {MAX_LENGTH}, "
            "typed or on stdin."
        )
    return password


def _say(line: str) -> None:
    say(line, err=True)
