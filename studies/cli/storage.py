"""The embedded PostgreSQL server: `studies storage up`, `down` and `url`."""

from __future__ import annotations

from typing import Any

import typer

from studies.cli.options import StorageUrl, settings_of
from studies.errors import WrongInput
from studies.settings import Settings, masked

PLACE = 8  # in the help

app = typer.Typer(
    name="storage", help="The embedded PostgreSQL server: start it, stop it, its address.", no_args_is_help=True
)


@app.command("up")
def storage_up() -> None:
    """Start the embedded server and let it run until `studies storage down`; print its address."""
    server = _embedded()
    server.keep()
    typer.echo(server.url)


@app.command("down")
def storage_down() -> None:
    """Stop the embedded server, unless somebody uses it."""
    if not _embedded().down():
        raise WrongInput(reason="The embedded server is in use; `studies stop NAME` ends a study's workers first.")
    typer.echo("The embedded server is stopped.", err=True)


@app.command("url")
def storage_url(storage: StorageUrl = None) -> None:
    """Print the storage's address, for `optuna-dashboard URL` and any other Optuna program."""
    settings = settings_of(storage)
    typer.echo(masked(settings.storage) if settings.storage else _embedded().url)


def _embedded() -> Any:
    from studies.storage.embedded import EmbeddedServer

    return EmbeddedServer(Settings.from_environment())
