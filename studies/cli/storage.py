"""Where studies are kept: the embedded PostgreSQL server, a team's own one, backups of either."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studies.cli import background
from studies.cli.options import Detach, Port, StorageUrl, say, settings_of
from studies.errors import WrongInput
from studies.settings import Settings, masked
from studies.words import last_line

if TYPE_CHECKING:
    from studies.storage.team.place import Place

PLACE = 8  # in the help

Directory = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where a team's server keeps everything (default: team in STUDIES_HOME)."),
]

app = typer.Typer(
    name="storage",
    help="Where studies are kept: servers and backups.",
    no_args_is_help=True,
)


@app.command("up")
def storage_up() -> None:
    """Start the embedded server, and print its address. It runs until `studies storage down`."""
    server = _embedded()
    server.keep()
    say(server.url)


@app.command("down")
def storage_down(
    team: Annotated[bool, typer.Option("--team", help="Stop the server of `studies storage serve` instead.")] = False,
    directory: Directory = None,
) -> None:
    """Stop the embedded server, or the team's. The embedded one goes on while somebody uses it."""
    if team:
        _stop_team(_team_directory(directory))
        say("The team's server is stopped.", err=True)
        return
    if not _embedded().down():
        raise WrongInput(reason="The embedded server is in use; `studies stop NAME` ends a study's workers first.")
    say("The embedded server is stopped.", err=True)


@app.command("serve")
def storage_serve(
    host: Annotated[
        str, typer.Option(help="The address of this machine to listen at; 0.0.0.0 is all of them.")
    ] = "127.0.0.1",
    port: Port = 5432,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="A name by which others reach this machine. Repeatable."),
    ] = None,
    directory: Directory = None,
    detach: Detach = False,
    show: Annotated[bool, typer.Option("--show", help="Print the lines to paste elsewhere, with passwords.")] = False,
    print_unit: Annotated[bool, typer.Option("--print-unit", help="Print a user unit for systemd.")] = False,
) -> None:
    """Serve PostgreSQL to a team over TLS. It makes the certificate and passwords; Ctrl-C stops it."""
    from studies.storage.team.place import Place

    place = Place(_team_directory(directory))
    if print_unit:
        from studies.storage.team.unit import unit

        more = [word for name in names or () for word in ("--name", name)]
        given = ["--host", host, "--port", str(port), *more, "--directory", str(place.directory)]
        typer.echo(unit(given), nl=False)
    elif show:
        say(place.lines())
    elif detach:
        _serve_in_background(place)
        say(place.lines())
    else:
        from studies.storage.team.serve import Where, serve

        settings = Settings.from_environment()
        settings.directory(str(place.directory))
        serve(settings, place.directory, Where(host, port, names or []), _say, _served)


def _served(place: Place) -> None:
    if sys.stdout.isatty():  # the lines hold passwords: a journal or a log does not get them
        say(place.lines())
    _say(f"Serving at {place.address()}, with TLS; `studies storage serve --show` prints the lines to paste elsewhere.")
    _say("Ctrl-C or `studies storage down --team` stops it.")


def _say(line: str) -> None:
    say(line, err=True)


def _serve_in_background(place: Place) -> None:
    """Start what was typed again in the background, and return once it serves or exit as it does."""
    settings = Settings.from_environment()
    settings.directory(str(place.directory))
    pid = background.spawn(place.log, settings)
    while not place.is_served_by(pid):
        time.sleep(0.1)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _say(last_line(place.log.read_text(errors="replace")))
            raise typer.Exit(os.waitstatus_to_exitcode(status))
    _say(f"Serving at {place.address()} in the background (process {pid}, log {place.log}).")
    _say("`studies storage down --team` stops it.")


def _stop_team(directory: Path) -> None:
    from studies.errors import ServesNothing
    from studies.storage.team.place import Place

    place = Place(directory)
    place.address()  # it has run, or there is nothing to stop
    if not (place.stop() or _stop_orphan(directory)):
        raise ServesNothing(what="runs", directory=directory)


def _stop_orphan(directory: Path) -> bool:
    """Stop the PostgreSQL whose front was killed."""
    from studies.storage.team.server import TeamServer

    server = TeamServer(Settings.from_environment(), directory)
    return server.listens() and server.down()


def _team_directory(given: Path | None) -> Path:
    return given.expanduser().absolute() if given else Settings.from_environment().home / "team"


@app.command("url")
def storage_url(storage: StorageUrl = None) -> None:
    """Print the storage's address. It is for `optuna-dashboard URL` and any other Optuna program."""
    settings = settings_of(storage)
    say(masked(settings.storage) if settings.storage else _embedded().url)


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
    say(f"Written: {path} ({n_bytes:,} bytes). `studies storage restore {path}` reads it back.", err=True)


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
    say("Restored. `studies list` shows the studies.", err=True)


def _embedded() -> Any:
    from studies.storage.embedded import EmbeddedServer

    return EmbeddedServer(Settings.from_environment())
