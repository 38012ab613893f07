"""Whether a study is sound: `studies check`."""

from __future__ import annotations

import json as text
from collections.abc import Callable
from typing import Annotated

import typer

from studies.cli.options import (
    Dataset,
    Name,
    Overrides,
    StorageUrl,
    changes,
    pointing_into,
    say,
    seconds_of,
    settings_of,
    spec_file,
)
from studies.errors import FAILED

PLACE = 2  # in the help

app = typer.Typer()


@app.command()
def check(
    name: Name,
    dataset: Dataset = None,
    overrides: Overrides = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="How long it may train (default: 0.75).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write it as JSON.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Check whether a study is sound before you launch it. Exits with 1 if there is an error, not for warnings."""
    from studies import check as checks

    seconds = checks.SECONDS if timeout is None else seconds_of(timeout, example=5)
    settings = settings_of(storage)
    file = spec_file(name, settings, "check")
    chosen = file.spec(changes(overrides, dataset))
    with pointing_into(file):
        result = checks.check(chosen, settings, _told_once(), seconds)
    say(text.dumps(result.as_data(), indent=1) if json else "\n".join(result.lines()))
    if not result.sound:
        raise typer.Exit(FAILED)


def _told_once() -> Callable[[str, float], None]:
    """Return progress that says each line once: a preparation may tell the same many times."""
    said = ""

    def told(what: str, fraction: float) -> None:
        nonlocal said
        line = f"{what} ({fraction:.0%})"
        if line != said:
            said = line
            say(line, err=True)

    return told
