"""What several commands take, and what they do with it."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies import names
from studies.errors import BestNotWritten, SpecRefused, UnknownStudy, WrongInput
from studies.registry import LAUNCHERS
from studies.settings import MOST_S, Settings
from studies.words import clean

if TYPE_CHECKING:
    from studies.record.study import StudyRecord
    from studies.spec import Override, SpecFile


def launched(given: str | None) -> str | None:
    """Return the study's name where the path of its file was given, which every command takes."""
    if given is None or not given.endswith((".yaml", ".yml")):
        return given
    from studies.spec import load

    return names.NameInFile(load(given).name, given)


Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]

# How the files end that commands write into the working directory.
BEST, PAGE, TRAINED = OWN_FILES = (".best.yaml", ".report.html", ".model")

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A study of the catalog, one that was launched, or the path of a study file."),
]
StudyName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A study that was launched; NAME@1 is its first version.", callback=launched),
]
StorageUrl = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="A PostgreSQL server, or a file that holds its URL, in place of STUDIES_STORAGE.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the study file. Repeatable."),
]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="KEY=VALUE", help="An option of sbatch, with --on slurm. Repeatable."),
]
Kubernetes = Annotated[
    list[str] | None,
    typer.Option(
        "--kubernetes", metavar="KEY=VALUE", help="A key of resources.kubernetes, with --on kubernetes. Repeatable."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --on kubernetes: print what it would be given, and do nothing.")
]
Workers = Annotated[int, typer.Option(help="How many trials train at the same time; with --on ssh, on each machine.")]
Where = Annotated[
    str,
    typer.Option("--on", help=f"Where workers run: {', '.join(LAUNCHERS)} (ssh:HOST,HOST:N), or module:Name."),
]
Python = Annotated[
    str | None,
    typer.Option("--python", metavar="PATH", help="With --on ssh: a Python there that has torch, as STUDIES_PYTHON."),
]
Timeout = Annotated[
    float | None, typer.Option(metavar="MINUTES", help="Stop after this long; workers finish their epoch first.")
]
Trial = Annotated[
    int | None, typer.Option("--trial", min=0, metavar="NUMBER", help="This trial in place of the best one.")
]
Pick = Annotated[
    str | None,
    typer.Option(
        metavar="CONDITION",
        help="With several metrics: which trial of the front, such as 'accuracy >= .95'; of those, the best in the "
        "other metric.",
    ),
]
Trials = Annotated[int | None, typer.Option(help="How many trials the study has in the end.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once and run in the background.")]
Dataset = Annotated[str | None, typer.Option(help="Another of the objective's data sets, or the path of a file.")]


def say(text: str, err: bool = False) -> None:
    """Print what is for a person, without what a terminal would obey in names and values from outside."""
    typer.echo(clean(text), err=err)


def settings_of(storage: str | None, python: str | None = None) -> Settings:
    """Return the settings of the environment, with `--storage` and `--python` where they were given."""
    settings = Settings.from_environment().with_storage(storage)
    return replace(settings, python=python) if python else settings


def changes(
    overrides: list[str] | None,
    dataset: str | None = None,
    trials: int | None = None,
    slurm: list[str] | None = None,
    kubernetes: list[str] | None = None,
) -> list[Override]:
    """Return what these options replace in a study file. overrides: of `--set`. Raises WrongSpec."""
    from studies.spec import Override

    found = [Override.parsed(text) for text in overrides or ()]
    if dataset is not None:
        found.append(Override(("dataset",), dataset, f"--dataset {dataset}"))
    if trials is not None:
        found.append(Override(("n_trials",), trials, f"--trials {trials}"))
    for text in slurm or ():
        key, equals, value = text.partition("=")
        if not key.strip():
            raise WrongInput(reason=f"--slurm {text or repr(text)} has no key; expected such as --slurm partition=gpu.")
        found.append(Override(("resources", "slurm", key), value if equals else True, f"--slurm {text}"))
    for text in kubernetes or ():
        parsed = Override.parsed(text, "--kubernetes", "image=studies:latest")
        found.append(replace(parsed, path=("resources", "kubernetes", *parsed.path)))
    return found


def check_workers(workers: int, on: str) -> None:
    """Raise WrongInput for a number of workers or a launcher that there is not."""
    from studies.run.launchers import MOST_WORKERS, parted

    if not 1 <= workers <= MOST_WORKERS:
        expected = "1 or more" if workers < 1 else f"{MOST_WORKERS} or less"
        raise WrongInput(reason=f"--workers is {workers}; expected {expected}, such as --workers 4.")
    LAUNCHERS.check(parted(on)[0], "--on")


def seconds_of(timeout: float | None, example: int = 30) -> float:
    """Return what `--timeout` says in seconds; infinite if it was not given. Raises WrongInput."""
    if timeout is None:
        return math.inf
    if not timeout > 0:
        raise WrongInput(reason=f"--timeout is {timeout:g}; expected minutes above 0, such as --timeout {example}.")
    return min(timeout * 60, MOST_S)


@contextmanager
def pointing_into(file: SpecFile) -> Iterator[None]:
    """Let the error about a key that does not fit the objective point at its line, or at the option that changed it."""
    try:
        yield
    except SpecRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None


def spec_file(name: str, settings: Settings, command: str) -> SpecFile:
    """Return the file that a name means, or the spec in the storage: of a version, or of a study without a file.

    command: what the name was given to. Raises UnknownStudy, StudyNotStarted, WrongSpec, and IsConfirmation.
    """
    from studies.spec import SpecFile

    if names.parts(name)[1] is not None or names.confirmed(name) is not None:
        return _stored_spec(name, settings, command)
    try:
        return SpecFile.find(name)
    except UnknownStudy:
        return _stored_spec(name, settings, command)


def _stored_spec(name: str, settings: Settings, command: str) -> SpecFile:
    from studies.spec import SpecFile
    from studies.storage import is_there, open_storage
    from studies.study import get, not_started, spec_of, typed

    if not is_there(settings):
        raise not_started(name, ())
    with open_storage(settings) as opened:
        spec = spec_of(get(opened, name))
        name = typed(opened, spec.name)
    names.refuse_confirmation(name, spec.name, "confirm" if command == "launch" else command)
    return SpecFile(name, spec.model_dump() | {"name": name})


def read(name: str, settings: Settings, trial: int | None = None, pick: str | None = None) -> StudyRecord:
    """Return the whole study, read back from the storage, with every trial's verdict up to date.

    trial, pick: which trial is its best, see `record.choice.chosen`. Raises StudyNotStarted, WrongInput.
    """
    from studies.record.choice import chosen
    from studies.record.reading import read as read_record
    from studies.storage import open_storage

    # A study of thousands of trials is millions of objects, none of them garbage: looking for it among them, again and
    # again, takes a fifth of a report's time. They stay until the command ends.
    gc.disable()
    try:
        with open_storage(settings) as opened:
            return chosen(read_record(opened, name), trial, pick)
    finally:
        gc.freeze()
        gc.enable()


def write_best(record: StudyRecord) -> Path:
    """Write the best parameters to NAME.best.yaml in the working directory; return it. Raises BestNotWritten."""
    from studies.exporters.yaml import render
    from studies.files import write_whole

    file = Path(record.spec.name + BEST)
    try:
        write_whole(file, render(record).encode(errors="backslashreplace"))
    except OSError as error:  # the trials took hours, and are in the storage
        raise BestNotWritten(file=file, reason=error.strerror, name=record.typed) from None
    return file
