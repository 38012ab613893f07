"""What users type. Every command parses, calls one function and prints; imports happen inside, so that help is fast.

Data goes to stdout, progress and messages to stderr.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from studies import __version__
from studies.errors import EXIT_CODES, INTERRUPTED, WRONG_INPUT, SpaceRefused, StudiesError, WrongInput
from studies.settings import Settings, masked

if TYPE_CHECKING:
    from studies.report.summary import StudyReport

CODES = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

app = typer.Typer(
    help="Hyperparameter studies that are exact, crash-safe and honest.",
    epilog=CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
storage_app = typer.Typer(help="The embedded PostgreSQL server: start it, stop it, its address.", no_args_is_help=True)
app.add_typer(storage_app, name="storage")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study of the catalog, or the path of a study file.")]
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="A study that has been launched.")]
StorageUrl = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="A PostgreSQL server, in place of STUDIES_STORAGE."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the study file. Repeatable."),
]
Dataset = Annotated[str | None, typer.Option(help="Another of the objective's data sets, or the path of a file.")]


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"studies {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    os.environ.pop("STUDIES_DEBUG", None)
    if debug:
        os.environ["STUDIES_DEBUG"] = "1"


def main() -> NoReturn:
    """Run a command, and turn an error into one sentence and its exit code."""
    # `docker stop` and a service manager say SIGTERM where a person types Ctrl-C: leave as orderly.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
    except StudiesError as error:
        _fail(error, str(error), error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "format_message"):  # what Typer says of a wrong option or command
            _fail(error, " ".join(error.format_message().split()), WRONG_INPUT)
        _fail(error, f"{type(error).__name__}: {error}; --debug shows where", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: Exception, message: str, code: int) -> NoReturn:
    if os.environ.get("STUDIES_DEBUG"):
        raise error
    typer.echo(f"studies: {masked(message)}", err=True)
    sys.exit(code)


# --- looking ------------------------------------------------------------------------------------------------------


@app.command("list")
def list_studies(storage: StorageUrl = None) -> None:
    """Show the catalog, with each study's data set and results so far."""
    from studies import tables

    typer.echo(tables.catalog(Settings.from_environment().with_storage(storage)))


@app.command()
def show(name: Name, overrides: Overrides = None) -> None:
    """Show a study: what it tunes, its data set and its space."""
    from studies import spec, tables

    file = spec.SpecFile.find(name)
    chosen = file.spec(overrides or ())
    try:
        typer.echo(tables.study(chosen, Settings.from_environment()))
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A study; all of them without it.")] = None,
    storage: StorageUrl = None,
) -> None:
    """Show trials by state, the workers and the best value so far."""
    from studies import tables

    typer.echo(tables.status(Settings.from_environment().with_storage(storage), name))


@app.command()
def watch(name: StudyName, storage: StorageUrl = None) -> None:
    """Follow a running study until it is done; Ctrl-C leaves it running."""
    from studies.report.progress import read_progress
    from studies.storage import open_storage
    from studies.study import get, spec_of
    from studies.view import make_view

    with open_storage(Settings.from_environment().with_storage(storage)) as opened, make_view() as view:
        study = get(opened, name)
        direction = spec_of(study).direction
        while True:
            progress = read_progress(opened.ledger, study._study_id, name, direction)
            view.update(progress)
            if progress.budget.done >= progress.budget.n_trials:
                break
            time.sleep(1)
    typer.echo(f"{name} is done; `studies export {name}` writes its best parameters.", err=True)


# --- running ------------------------------------------------------------------------------------------------------


@app.command()
def launch(
    name: Name,
    workers: Annotated[int, typer.Option(help="How many trials train at a time.")] = 1,
    trials: Annotated[int | None, typer.Option(help="How many trials the study has in the end.")] = None,
    dataset: Dataset = None,
    overrides: Overrides = None,
    on: Annotated[str, typer.Option("--on", help="Where the workers run: local.")] = "local",
    timeout: Annotated[float | None, typer.Option(metavar="MINUTES", help="Stop the study after this long.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the study goes on.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Create or resume a study and run it to its end, with a live view; the best parameters go to NAME.best.yaml."""
    from studies import spec
    from studies.launch import launch as run
    from studies.launchers import LAUNCHERS
    from studies.view import make_view

    settings = Settings.from_environment().with_storage(storage)
    if workers < 1:
        raise WrongInput(reason=f"--workers is {workers}; expected 1 or more, such as --workers 4.")
    if on not in LAUNCHERS:
        raise WrongInput(reason=f"--on is {on!r}; expected one of {', '.join(LAUNCHERS)}.")
    if timeout is not None and timeout <= 0:
        raise WrongInput(reason=f"--timeout is {timeout:g}; expected minutes above 0, such as --timeout 30.")
    changes = list(overrides or ())
    changes += [] if trials is None else [f"n_trials={trials}"]
    changes += [] if dataset is None else [f"dataset={json.dumps(dataset)}"]
    file = spec.SpecFile.find(name)
    chosen = file.spec(changes)
    if detach:
        _detach(chosen.name, settings)
        return
    try:
        with make_view() as view:
            ran = run(chosen, settings, workers, on, view, math.inf if timeout is None else timeout * 60)
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None
    if not ran:
        typer.echo(
            f"{chosen.name} has all its {chosen.n_trials} trials; nothing was run. "
            f"`studies launch {name} --trials {2 * chosen.n_trials}` goes on with it.",
            err=True,
        )
    _show_best(chosen.name, settings)


def _detach(name: str, settings: Settings) -> None:
    log = settings.directory("logs", name) / f"launch-{time.strftime('%Y%m%d-%H%M%S')}.log"
    command = [sys.executable, "-m", "studies", *(word for word in sys.argv[1:] if word != "--detach")]
    # A storage URL in argv may hold a password, and argv is for everybody to see: it goes by the environment.
    command = _without_storage(command)
    environment = os.environ | ({"STUDIES_STORAGE": settings.storage} if settings.storage else {})
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=streams, setsid=True)
    typer.echo(f"{name} runs in the background (process {pid}, log {log}).", err=True)
    typer.echo(f"`studies watch {name}` follows it, `studies stop {name}` ends it.", err=True)


def _without_storage(command: list[str]) -> list[str]:
    kept: list[str] = []
    for word in command:
        if kept and kept[-1] == "--storage":
            kept.pop()
        elif not word.startswith("--storage="):
            kept.append(word)
    return kept


def _show_best(name: str, settings: Settings) -> None:
    from studies import tables
    from studies.exporters import export as rendered
    from studies.exporters import write_whole

    report = _report(name, settings)
    typer.echo(tables.best(report), err=True)
    if report.best is not None:
        file = Path(f"{name}.best.yaml")
        write_whole(file, rendered(report, "yaml"))
        typer.echo(
            f"Written: {file}. Next: `studies report {name}` writes a page about it, `studies dashboard` shows every "
            f"trial, `studies launch {name} --trials {2 * report.spec.n_trials}` searches on.",
            err=True,
        )


def _report(name: str, settings: Settings) -> StudyReport:
    from studies.report.summary import read_report
    from studies.storage import open_storage

    with open_storage(settings) as opened:
        return read_report(opened, name)


@app.command()
def worker(
    name: StudyName,
    gpu: Annotated[int | None, typer.Option(help="Which GPU to use; the first one without it, if any.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all cores without it.")] = None,
    storage: StorageUrl = None,
) -> None:
    """Run one worker here, on a study that was launched anywhere with the same storage."""
    from studies.launchers.local import visible_gpus

    gpus = visible_gpus()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when the worker loads it
    if gpu is not None and str(gpu) not in gpus:
        raise WrongInput(reason=f"--gpu is {gpu}; this machine has {', '.join(gpus) or 'no GPU'}.")
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu) if gpu is not None else gpus[0]
    from studies.worker import Stop, listen_to_signals, say_to_stderr, work

    stop = Stop()
    listen_to_signals(stop)
    device = "cuda" if gpus else "cpu"
    why = work(name, Settings.from_environment().with_storage(storage), device, stop, say_to_stderr)
    say_to_stderr(f"left: {why}")
    if why.endswith("received"):
        sys.exit(INTERRUPTED)


@app.command()
def stop(name: StudyName, storage: StorageUrl = None) -> None:
    """Ask every worker of a study, on every machine, to leave after its current epoch."""
    from studies.storage import open_storage
    from studies.study import get

    with open_storage(Settings.from_environment().with_storage(storage)) as opened:
        study_id = get(opened, name)._study_id
        opened.ledger.request_stop(study_id, "`studies stop` was typed")
        alive = [worker for worker in opened.ledger.workers(study_id) if worker.alive]
    typer.echo(
        f"{name}: {len(alive)} workers leave after their epoch; `studies launch {name}` goes on from there.",
        err=True,
    )


# --- taking away --------------------------------------------------------------------------------------------------


@app.command()
def export(
    name: StudyName,
    format: Annotated[str, typer.Option("--format", metavar="yaml|csv|parquet|json")] = "yaml",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file; stdout without it.")] = None,
    storage: StorageUrl = None,
) -> None:
    """Write the best parameters as YAML, or every trial as CSV, Parquet or JSON."""
    from studies.exporters import EXPORTERS, write_whole
    from studies.exporters import export as rendered

    if format not in EXPORTERS:
        raise WrongInput(reason=f"--format is {format!r}; expected one of {', '.join(EXPORTERS)}.")
    content = rendered(_report(name, Settings.from_environment().with_storage(storage)), format)
    if output is not None:
        write_whole(output, content)
        typer.echo(f"Written: {output}", err=True)
    elif isinstance(content, str):
        typer.echo(content, nl=False)
    else:
        raise WrongInput(reason=f"{format} is not text; expected a file, such as -o {name}.{format}.")


@app.command()
def report(
    name: StudyName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; NAME.report.html without it.")
    ] = None,
    format: Annotated[str, typer.Option("--format", metavar="html|md", help="md goes to stdout without -o.")] = "",
    storage: StorageUrl = None,
) -> None:
    """Write the study as one page to read: the answer, how sure it is, and what it rests on."""
    from studies.exporters import write_whole
    from studies.report.page import FORMATS, render

    kind = format or ("md" if output is not None and output.suffix == ".md" else "html")
    if kind not in FORMATS:
        raise WrongInput(reason=f"--format is {kind!r}; expected one of {', '.join(FORMATS)}.")
    page = render(_report(name, Settings.from_environment().with_storage(storage)), kind)
    if output is None and kind == "md":
        typer.echo(page, nl=False)
        return
    file = output or Path(f"{name}.report.html")
    write_whole(file, page)
    typer.echo(f"Written: {file}", err=True)


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    storage: StorageUrl = None,
) -> None:
    """Serve optuna-dashboard on the storage, for this machine alone unless --host says otherwise."""
    from studies.storage import open_storage
    from studies.web.dashboard import serve

    with (
        open_storage(Settings.from_environment().with_storage(storage)) as opened,
        suppress(KeyboardInterrupt),
    ):
        serve(
            opened,
            host,
            port,
            lambda url: typer.echo(f"The dashboard is at {url} ; Ctrl-C ends it.", err=True),
        )


@storage_app.command("up")
def storage_up() -> None:
    """Start the embedded server and let it run until `studies storage down`; print its address."""
    server = _embedded()
    server.keep()
    typer.echo(server.url)


@storage_app.command("down")
def storage_down() -> None:
    """Stop the embedded server, unless somebody uses it."""
    if not _embedded().down():
        raise WrongInput(reason="The embedded server is in use; `studies stop NAME` ends a study's workers first.")
    typer.echo("The embedded server is stopped.", err=True)


@storage_app.command("url")
def storage_url(storage: StorageUrl = None) -> None:
    """Print the storage's address, for `optuna-dashboard URL` and any other Optuna program."""
    settings = Settings.from_environment().with_storage(storage)
    typer.echo(masked(settings.storage) if settings.storage else _embedded().url)


def _embedded() -> Any:
    from studies.storage.embedded import EmbeddedServer

    return EmbeddedServer(Settings.from_environment())
