"""A study to start from: `studies init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studies.cli.options import say

PLACE = 0  # in the help

app = typer.Typer()


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new study's name, or a training script: train.py.")],
    with_class: Annotated[
        bool, typer.Option("--objective", help="Write a class with data, test rows, a model and predictions.")
    ] = False,
) -> None:
    """Write a small working study: a function and its study file.

    Given a script, such as train.py or "python -m my.train", write a study file for it: it is asked for its --help,
    its config file is read, and what looks like a rate, a share, a size or a choice gets a range around its default.
    Correct it then. A sweep of W&B, sweep.yaml, becomes a study file, too.
    """
    from studies import templates
    from studies.templates.script import is_script

    if is_script(name) and not with_class:
        path = templates.write_for_script(name, Path())
        say(f"Written: {path}. Its comments say what to correct. Then:", err=True)
        _say(_next(path.stem, with_class=False))
        return
    files = templates.write(name, Path(), with_class=with_class)
    spec = next(file.stem for file in files if file.suffix == ".yaml")
    say(f"Written: {', '.join(map(str, files))}. Next:", err=True)
    _say(_next(spec, with_class))


def _say(steps: list[tuple[str, str]]) -> None:
    width = max(len(command) for command, _ in steps)
    for command, what in steps:
        say(f"  {command:{width}}  {what}", err=True)


def _next(name: str, with_class: bool) -> list[tuple[str, str]]:
    """Return what to type, command by command, each with what it does."""
    steps = [
        (f"studies check ./{name}.yaml", "is it sound?"),
        (f"studies launch ./{name}.yaml --workers 2", "run it, or resume it"),
        (f"studies report {name}", "read what it found"),
        (f"studies confirm {name} --workers 2", "repeat the best few under fresh seeds"),
        (f"studies train {name}", f"train the best one, save it in {name}.model"),
    ]
    return [*steps, (f'studies predict {name}.model "7,9.5,180"', "ask it")] if with_class else steps
