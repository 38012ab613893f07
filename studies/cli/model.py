"""A study's model: `studies train` and `predict`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from studies import names
from studies.cli.options import TRAINED, Dataset, Pick, StorageUrl, Trial, launched, read, say, settings_of
from studies.errors import SpaceRefused, WrongInput
from studies.settings import Settings

if TYPE_CHECKING:
    from studies.model.predict import Asked, Option
    from studies.model.winner import Winner
    from studies.spec import SpecFile, StudySpec

PLACE = 7  # in the help

# What the command line keeps of the model in DIR, and how the model's options differ from the command's own.
MODEL, OPTIONS, GIVEN, PREFIX = "studies.model", "studies.options", "studies.given", "option_"

app = typer.Typer()


@app.command()
def train(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A study that was launched; not needed with --params.", callback=launched),
    ] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="A file of `studies export`, instead of the storage.")
    ] = None,
    trial: Trial = None,
    pick: Pick = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The directory (default: NAME.model).")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="The seed (default: the trial's own).")] = None,
    with_validation: Annotated[
        bool, typer.Option("--with-validation", help="Train on the validation rows as well.")
    ] = False,
    dataset: Dataset = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="How many (default: those of the best value).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    storage: StorageUrl = None,
) -> None:
    """Train a study's winner again, and save the model. Scores the test rows once, and writes a card.

    A program or a plain function is run once more, and what it keeps and reports is saved.
    """
    from studies.model.result import Request
    from studies.model.train import train as run
    from studies.run.placement import visible_gpus
    from studies.spec import StudySpec
    from studies.view.plain import PlainView

    settings = settings_of(storage)
    winner, source = _winner(name, params, settings, trial, pick)
    spec = source if isinstance(source, StudySpec) else None
    request = Request(winner, seed=seed, epochs=epochs, dataset=dataset, with_validation=with_validation, spec=spec)
    directory = output or Path(winner.study + TRAINED)
    device = "cuda" if visible_gpus() else "cpu"
    try:
        result = run(request, settings, directory, device, PlainView(), overwrite=overwrite)
    except SpaceRefused as error:
        if isinstance(source, StudySpec):
            raise
        raise source.error(error.given["reason"], *error.given["path"]) from None
    from studies import outcomes

    say(outcomes.trained(result, directory), err=True)


class ModelCommand(TyperCommand):
    """`studies predict`, with the options of the model in DIR: what its predictor's `predict` takes by keyword."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Open the model before its options are looked at. Raises WrongInput for one that it does not have."""
        named = [arg for arg in args if not arg.startswith("-")]
        if not named:
            return super().parse_args(ctx, args)
        from studies.model import PARAMS
        from studies.model.predict import Asked
        from studies.run.placement import visible_gpus

        # An option may come first, and so its value: DIR is what holds a model.
        directory = next((arg for arg in named if (Path(arg) / PARAMS).is_file()), named[0])
        model = ctx.meta[MODEL] = Asked(Path(directory), "cuda" if visible_gpus() else "cpu")
        ctx.meta[OPTIONS] = parameters(model.options)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if type(error).__name__ == "NoSuchOption":
                raise model.refusal(error.option_name) from None  # type: ignore[attr-defined]
            raise

    def get_params(self, ctx: Any) -> list[Any]:
        """See Command: the model's come last."""
        return [*super().get_params(ctx), *ctx.meta.get(OPTIONS, ())]

    def invoke(self, ctx: Any) -> Any:
        """Put what was given for the model's options aside; the command's own go to the function."""
        given = {option.name: ctx.params.pop(PREFIX + option.name) for option in ctx.meta[MODEL].options}
        ctx.meta[GIVEN] = {name: value for name, value in given.items() if value is not None}
        return super().invoke(ctx)


def parameters(options: Iterable[Option]) -> list[Any]:
    """Return a model's options as parameters of a command, made as Typer makes those of a function."""

    def asked() -> None:
        """Take the options."""

    asked.__annotations__ = {
        PREFIX + option.name: Annotated[
            option.kind | None,
            typer.Option(
                f"{option.flag}/--no-{option.flag[2:]}" if option.kind is bool else option.flag,
                help=option.help + ("" if option.default is None else f" [default: {option.default}]"),
            ),
        ]
        for option in options
    }
    asked.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in asked.__annotations__.items()
    ])  # fmt: skip
    alone = typer.Typer(add_completion=False)
    alone.command()(asked)
    return list(typer.main.get_command(alone).params)


@app.command(cls=ModelCommand)
def predict(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `studies train` wrote.")],
    source: Annotated[
        str | None, typer.Argument(metavar="INPUT", help="A file, a directory or a text; stdin by default, and for -.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of tab-separated columns.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop with exit code 2 at the first row that cannot be answered.")
    ] = False,
) -> None:
    """Ask a trained model about titles, pictures or measurements.

    Or have it go on with a text; its card says what it takes.

    A row that cannot be answered has the reason in the column `error`; the exit code is then 1.

    Some models have options of their own, such as --temperature: `studies predict DIR --help` shows them.
    """
    from studies.model.predict import lines

    model: Asked = context.meta[MODEL]
    source = None if source == "-" else source
    if source is None and sys.stdin.isatty():
        say(f"Reading from the terminal until Ctrl-D. {model.says}", err=True)
    given = sys.stdin.buffer if source is None else source
    with closing(model.answers(given, context.meta[GIVEN], strict=strict)) as answers:
        for line in lines(answers, as_json, strict=strict):
            sys.stdout.write(f"{line}\n")
    model.require_all_answered()


def _winner(
    name: str | None, params: Path | None, settings: Settings, trial: int | None, pick: str | None
) -> tuple[Winner, SpecFile | StudySpec]:
    """Return what to train, and the file or the study that it is from."""
    from studies.model.winner import Winner
    from studies.spec import SpecFile

    if params is not None:
        if trial is not None or pick is not None:
            option = "--pick" if trial is None else "--trial"
            raise WrongInput(reason=f"{option} chooses among a study's trials, and --params has one; leave one out.")
        file = SpecFile(params)
        winner = file.read(Winner)
        if name not in (None, winner.study):
            raise WrongInput(reason=f"{params} is of the study {winner.study!r}, not of {name!r}; leave NAME out.")
        return winner, file
    if name is None:
        raise WrongInput(reason="Neither NAME nor --params is given; expected a study, such as studies train meli-cnn.")
    record = read(name, settings, trial, pick)
    names.refuse_confirmation(name, record.spec.name, "train")
    return Winner.of(record), record.spec
