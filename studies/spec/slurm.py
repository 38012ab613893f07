"""What a study file may ask of Slurm: any option of sbatch but those that `studies` sets itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

OPTION = re.compile(r"[a-z][a-z0-9-]*")
OURS = ("array", "error", "no-requeue", "ntasks", "open-mode", "output", "parsable", "requeue", "wrap")


def checked(given: Any) -> Any:
    """Return sbatch's options by their long names, values as text, true for one that takes none; false leaves it out.

    Raises PydanticCustomError, which pydantic turns into its own.
    """
    if not isinstance(given, dict):
        return given
    options: dict[str, str | bool] = {}
    for key, value in given.items():
        name = str(key).removeprefix("--").replace("_", "-")
        if not OPTION.fullmatch(name):
            raise _wrong(f"{key!r} is no long option of sbatch; expected one such as partition, time or gres")
        if name in OURS:
            raise _wrong(f"{name} is set by `studies` itself; leave it out")
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise _wrong(f"{name} is {value!r}; expected text, a number, or true for an option without a value")
        if not str(value).isprintable():
            raise _wrong(f"{name} is {value!r}; expected one line of text")
        if value is not False:
            options[name] = True if value is None or value is True else str(value)
    return options


def _wrong(reason: str) -> PydanticCustomError:
    return PydanticCustomError("slurm", "{reason}", {"reason": reason})


SlurmOptions = Annotated[dict[str, str | bool], BeforeValidator(checked)]
