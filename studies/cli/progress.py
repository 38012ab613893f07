"""How studies stand: `studies status` and `watch`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from studies import names
from studies.cli.options import StorageUrl, StudyName, launched, settings_of

PLACE = 4  # in the help

app = typer.Typer()


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A study (default: all).", callback=launched)
    ] = None,
    storage: StorageUrl = None,
) -> None:
    """Show trials by state, the workers and the best value so far."""
    from studies import tables

    typer.echo(tables.status(settings_of(storage), name))


@app.command()
def watch(name: StudyName, storage: StorageUrl = None) -> None:
    """Follow a running study until it is done. Ctrl-C leaves it running."""
    from studies.record.progress import read_progress
    from studies.storage import open_storage
    from studies.study import get, spec_of
    from studies.view import make_view

    with open_storage(settings_of(storage)) as opened, make_view() as view:
        study = get(opened, name)
        spec = spec_of(study)
        while True:
            progress = read_progress(opened, study._study_id, study.study_name, spec.metrics, spec.repeats)
            view.update(progress)
            if progress.budget.done >= progress.budget.n_trials:
                break
            time.sleep(1)
    confirmed = names.confirmed(study.study_name)
    next_step = (
        f"export {name}` writes its best parameters" if confirmed is None else f"confirm {confirmed}` tells who won"
    )
    typer.echo(f"{study.study_name} is done; `studies {next_step}.", err=True)
