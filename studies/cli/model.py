"""A study's model: `studies train` and `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studies import names
from studies.cli.options import Dataset, StorageUrl, launched, read, settings_of
from studies.errors import IsConfirmation, SpaceRefused, WrongInput
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.model.winner import Winner
    from studies.spec import SpecFile

app = typer.Typer()


@app.command()
def train(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A study that was launched; not needed with --params.", callback=launched),
    ] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="A file of `studies export`, in place of the storage.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The directory; NAME.model without it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The trial's own without it.")] = None,
    with_validation: Annotated[
        bool, typer.Option("--with-validation", help="Train on the validation rows, too.")
    ] = False,
    dataset: Dataset = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Those of the best value without it.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Train a study's winner again, score the test rows once, and save the model with its card."""
    from studies.model.result import Request
    from studies.model.train import train as run
    from studies.run.launchers.local import visible_gpus
    from studies.view import PlainView, stderr_console

    settings = settings_of(storage)
    winner, file = _winner(name, params, settings)
    request = Request(winner, seed, epochs, dataset, with_validation)
    directory = output or Path(f"{winner.study}.model")
    device = "cuda" if visible_gpus() else "cpu"
    try:
        result = run(request, settings, directory, device, PlainView(stderr_console()), overwrite=overwrite)
    except SpaceRefused as error:
        if file is None:
            raise
        raise file.error(error.given["reason"], *error.given["path"]) from None
    from studies import tables

    typer.echo(tables.trained(result, directory), err=True)


@app.command()
def predict(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `studies train` wrote.")],
    source: Annotated[
        str | None, typer.Argument(metavar="INPUT", help="A file, a directory or a text; stdin without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines in place of tab-separated columns.")] = False,
    temperature: Annotated[float | None, typer.Option(help="Of a text: near 0 the likeliest token wins.")] = None,
    length: Annotated[int | None, typer.Option(help="Of a text, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of a text: the same seed, the same text.")] = None,
) -> None:
    """Ask a trained model: titles, pictures, measurements or the beginning of a text, as its card says."""
    from studies.model.predict import Asked, lines
    from studies.run.launchers.local import visible_gpus

    model = Asked(directory, "cuda" if visible_gpus() else "cpu")
    if source is None and sys.stdin.isatty():
        typer.echo(f"Reading from the terminal until Ctrl-D. {model.says}", err=True)
    given = {"temperature": temperature, "length": length, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    answers = model.answers(sys.stdin.buffer if source is None else source, options)
    for line in lines(answers, as_json):
        sys.stdout.write(f"{line}\n")


def _winner(name: str | None, params: Path | None, settings: Settings) -> tuple[Winner, SpecFile | None]:
    from studies.model.winner import Winner
    from studies.spec import SpecFile

    if params is not None:
        file = SpecFile(params)
        winner = file.read(Winner)
        if name not in (None, winner.study):
            raise WrongInput(reason=f"{params} is of the study {winner.study!r}, not of {name!r}; leave NAME out.")
        return winner, file
    if name is None:
        raise WrongInput(reason="Neither NAME nor --params is given; expected a study, such as studies train meli-cnn.")
    record = read(name, settings)
    if (study := names.confirmed(name)) is not None:
        raise IsConfirmation(name=record.spec.name, study=study, command=f"train {study}")
    return Winner.of(record), None
