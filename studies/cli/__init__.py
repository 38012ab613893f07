"""What users type. Every command parses, calls one function and prints; imports happen inside, so that help is fast.

Data goes to stdout, progress and messages to stderr. One module for each noun, found by its being here: to add a
command, write it into one of them, or into a new file with a variable `app`, a `typer.Typer()`. With a name,
`typer.Typer(name="data")`, its commands are typed after that name. PLACE says where they stand in `studies --help`:
by default last.
"""

from __future__ import annotations

import importlib
import io
import math
import os
import pkgutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from studies import __version__
from studies.cli.mistyped import sentence
from studies.errors import EXIT_CODES, FAILED, INTERRUPTED, WRONG_INPUT, CommandInterrupted, StudiesError, shortage_in
from studies.settings import masked
from studies.words import one_line

CODES = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

# torch's threads wait for each other at the end of each operation, by OpenMP's default for a millisecond without
# letting go of a core. Beside another training with a thread for each core this one then takes 3.6 times as long as
# with this many spins (`benchmarks/results/busy-cores.md`).
SPINS = "1000"  # some microseconds

app = typer.Typer(
    help="Hyperparameter studies that are exact, crash-safe and honest.",
    epilog=CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
for commands in sorted(modules, key=lambda module: getattr(module, "PLACE", math.inf)):
    if hasattr(commands, "app"):
        app.add_typer(commands.app)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"studies {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    if "OMP_WAIT_POLICY" not in os.environ:  # read when torch is loaded, here or in a worker
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    os.environ.pop("STUDIES_DEBUG", None)
    if debug:
        os.environ["STUDIES_DEBUG"] = "1"


def main() -> NoReturn:
    """Run a command, and turn an error into one sentence and its exit code."""
    # `docker stop` and a service manager send SIGTERM where a person types Ctrl-C: both end in the same order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold what UTF-8 does not
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()  # a closed pipe is noticed here, not at the interpreter's end
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
    except StudiesError as error:
        _fail(error, str(error), error.exit_code)
    except KeyboardInterrupt:
        _end_interrupted()
    except SystemExit:
        if type(sys.stdout).__name__ != "PacifyFlushWrapper":  # Click's answer to a closed pipe, with exit code 1
            raise
        sys.exit(0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:
        _end_by(error)
    sys.exit(code if isinstance(code, int) else 0)


def _end_by(error: Exception) -> NoReturn:
    """Exit as is right for an error that is none of ours."""
    if type(error).__name__ == "NoArgsIsHelpError":  # `studies data` alone asks what there is
        typer.echo(str(error), err=True)
        sys.exit(WRONG_INPUT)
    if type(error).__name__ == "Abort":  # Ctrl-C or Ctrl-D where a command asks
        typer.echo(err=True)
        _end_interrupted()
    if hasattr(error, "format_message"):  # what Typer says of a wrong option or command
        _fail(error, sentence(error), WRONG_INPUT)
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        _fail(error, "The working directory was deleted; change to another one, then type the same.", WRONG_INPUT)
    if isinstance(error, PermissionError) and isinstance(error.filename, str):
        _fail(error, _kept_from(error.filename), FAILED)
    said = f"{type(error).__name__}: {error}"
    _fail(error, str(shortage_in(said) or f"{said}; --debug shows where"), FAILED)


def _open_what_is_closed() -> None:
    """Open /dev/null where a standard stream is closed: a connection would take its number, and be printed into."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # the fork server's pipes would take it, and workers log into them
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115


def _is_somewhere() -> bool:
    """Whether the working directory is still there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _kept_from(file: str) -> str:
    """Return the sentence about a file that this user may not use, such as another's log in a shared home."""
    owner = "another user"
    with suppress(OSError, KeyError):
        owner = Path(file).owner()
    return f"This user may not read or change {file}; it belongs to {owner}, who may type this or give you the file."


def _end_interrupted() -> NoReturn:
    typer.echo(f"studies: {CommandInterrupted()}", err=True)
    sys.exit(INTERRUPTED)


def _fail(error: Exception, message: str, code: int) -> NoReturn:
    if os.environ.get("STUDIES_DEBUG"):
        raise error
    typer.echo(f"studies: {masked(one_line(message))}", err=True)
    sys.exit(code)
