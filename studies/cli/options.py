"""What several commands take, and what they do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
Dataset = Annotated[str | None, typer.Option(help="Another of the objective's data sets, or the path of a file.")]


def settings_of(storage: str | None) -> Settings:
    """Return the settings of the environment, with `--storage` where it was given."""
    return Settings.from_environment().with_storage(storage)


def read(name: str, settings: Settings) -> StudyReport:
    """Return the whole study, read back from the storage, with every trial's verdict up to date."""
    from studies.report.verdicts import read_judged
    from studies.storage import open_storage

    with open_storage(settings) as opened:
        return read_judged(opened, name)
