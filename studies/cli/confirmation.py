"""The best few under fresh seeds: `studies confirm`."""

from __future__ import annotations

from typing import Annotated

import typer

from studies import names
from studies.cli import background
from studies.cli.options import (
    Detach,
    Pick,
    Python,
    StorageUrl,
    StudyName,
    Timeout,
    Trial,
    Where,
    Workers,
    check_workers,
    say,
    seconds_of,
    settings_of,
    write_best,
)
from studies.errors import WrongInput

PLACE = 6  # in the help
MOST = 10_000

app = typer.Typer()


@app.command()
def confirm(
    name: StudyName,
    top: Annotated[
        int | None,
        typer.Option(
            max=MOST, help="How many of the best settings, besides the best of start_with (default: as before, or 5)."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(max=MOST, help="How many fresh seeds, the same for each setting (default: as before, or 5)."),
    ] = None,
    trial: Trial = None,
    pick: Pick = None,
    workers: Workers = 1,
    on: Where = "local",
    python: Python = None,
    timeout: Timeout = None,
    detach: Detach = False,
    storage: StorageUrl = None,
) -> None:
    """Run the best few again under fresh seeds: which is best?

    Says how sure that is, and writes it to NAME.best.yaml.
    """
    from studies import outcomes
    from studies.confirm import confirm as run
    from studies.confirm import planned
    from studies.storage import held
    from studies.view import make_view

    settings = settings_of(storage, python)
    check_workers(workers, on)
    timeout_s = seconds_of(timeout)
    if top is not None and top < 1:
        raise WrongInput(reason=f"--top is {top}; expected 1 or more, such as --top 5.")
    if seeds is not None and seeds < 2:
        raise WrongInput(reason=f"--seeds is {seeds}; expected 2 or more, such as --seeds 5: one seed has no spread.")
    with held(settings):
        plan = planned(name, settings, top, seeds, trial, pick)
        if detach:
            background.detach(names.confirmation(plan.record.typed), "confirm", settings)
            return
        with make_view(settings) as view:
            record = run(plan, settings, workers, on, view, timeout_s)
    say(outcomes.confirmation(record))
    file = write_best(record)
    choice = "" if record.chosen is None else f" --trial {record.chosen}"
    saves = f", `studies train {record.typed}{choice}` trains and saves the model"
    say(f"Written: {file}. `studies report {record.typed}` has the whole picture{saves}.", err=True)
