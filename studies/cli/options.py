"""What several commands take, and what they do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from studies.errors import WrongInput
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.report.summary import StudyReport

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
Workers = Annotated[int, typer.Option(help="How many trials train at a time.")]
Where = Annotated[str, typer.Option("--on", help="Where the workers run: local.")]
Dataset = Annotated[str | None, typer.Option(help="Another of the objective's data sets, or the path of a file.")]


def settings_of(storage: str | None) -> Settings:
    """Return the settings of the environment, with `--storage` where it was given."""
    return Settings.from_environment().with_storage(storage)


def check_workers(workers: int, on: str) -> None:
    """Raise WrongInput for a number of workers or a launcher that there is not."""
    from studies.launchers import LAUNCHERS

    if workers < 1:
        raise WrongInput(reason=f"--workers is {workers}; expected 1 or more, such as --workers 4.")
    if on not in LAUNCHERS:
        raise WrongInput(reason=f"--on is {on!r}; expected one of {', '.join(LAUNCHERS)}.")


def read(name: str, settings: Settings) -> StudyReport:
    """Return the whole study, read back from the storage, with every trial's verdict up to date."""
    from studies.report.verdicts import read_judged
    from studies.storage import open_storage

    with open_storage(settings) as opened:
        return read_judged(opened, name)
