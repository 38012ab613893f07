"""The embedded PostgreSQL server: `studies storage up`, `down` and `url`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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


@app.command("backup")
def storage_backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; one that is there is replaced.")],
    storage: StorageUrl = None,
) -> None:
    """Write the whole storage to one file, while studies run. Checkpoints and artifacts are not in it."""
    from studies.storage import is_there, open_storage
    from studies.storage.backup import backup

    settings = settings_of(storage)
    if not is_there(settings):
        raise WrongInput(
            reason="There is no storage here yet; set STUDIES_STORAGE or STUDIES_HOME to the one you mean."
        )
    with open_storage(settings) as opened:
        n_bytes = backup(opened.connections(), path)
    typer.echo(f"Written: {path} ({n_bytes:,} bytes). `studies storage restore {path}` reads it back.", err=True)


@app.command("restore")
def storage_restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `studies storage backup` wrote.")],
    storage: StorageUrl = None,
) -> None:
    """Put a backup into an empty storage, all of it or nothing."""
    from studies.storage import open_storage
    from studies.storage.backup import restore

    with open_storage(settings_of(storage)) as opened:
        restore(opened.connections(), path)
    typer.echo("Restored. `studies list` shows the studies.", err=True)


def _embedded() -> Any:
    from studies.storage.embedded import EmbeddedServer

    return EmbeddedServer(Settings.from_environment())
