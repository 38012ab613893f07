"""Whether a study is sound: `studies check`."""

from __future__ import annotations

import json as text
from collections.abc import Callable
from typing import Annotated

import typer

from studies.cli.options import Dataset, Name, Overrides
from studies.errors import FAILED, SpaceRefused, WrongInput
from studies.settings import Settings

app = typer.Typer()


@app.command()
def check(
    name: Name,
    dataset: Dataset = None,
    overrides: Overrides = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="How long it may train; three quarters of one without it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write it as JSON.")] = False,
) -> None:
    """Say whether a study is sound before it is launched; leaves with 1 where there is an error, warnings are none."""
    from studies import check as checks
    from studies import spec

    if timeout is not None and timeout <= 0:
        raise WrongInput(reason=f"--timeout is {timeout:g}; expected minutes above 0, such as --timeout 5.")
    changes = list(overrides or ())
    changes += [] if dataset is None else [f"dataset={text.dumps(dataset)}"]
    file = spec.SpecFile.find(name)
    chosen = file.spec(changes)
    try:
        seconds = checks.SECONDS if timeout is None else timeout * 60
        result = checks.check(chosen, Settings.from_environment(), _told_once(), seconds)
    except SpaceRefused as error:
        raise file.error(error.given["reason"], *error.given["path"]) from None
    typer.echo(text.dumps(result.as_data(), indent=1) if json else "\n".join(result.lines()))
    if not result.sound:
        raise typer.Exit(FAILED)


def _told_once() -> Callable[[str, float], None]:
    """Return progress that says each line once: a preparation may tell the same many times."""
    said = ""

    def say(what: str, fraction: float) -> None:
        nonlocal said
        line = f"{what} ({fraction:.0%})"
        if line != said:
            said = line
            typer.echo(line, err=True)

    return say
