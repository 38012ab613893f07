"""What a study file may ask of Slurm: any option of sbatch but those that `studies` sets itself."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

OPTION = re.compile(r"[a-z][a-z0-9-]*")
LIMIT = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")  # 30, 30:00, 1:30:00, 1-12, 1-12:30, 1-12:30:00
WARNED = re.compile(r"@(\d+)")
SIGNAL = "TERM@120"
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
    limit_s, warned_s = _seconds(str(options.get("time", ""))), _warned_s(str(options.get("signal", SIGNAL)))
    if 0 < limit_s <= warned_s:
        raise _wrong(
            f"time is {options['time']!r} ({limit_s} s), and workers are warned {warned_s} s before its end; expected "
            "a longer time, or a later warning, such as signal: TERM@30"
        )
    return options


def _seconds(limit: str) -> int:
    """Return a time limit in seconds; 0 for none, and for what is none of Slurm's forms, which sbatch refuses."""
    found = LIMIT.fullmatch(limit)
    if found is None:
        return 0
    days, *parts = found.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is None and len(numbers) < 3:
        numbers = [0, *numbers]  # minutes, and perhaps seconds
    hours, minutes, seconds = [*numbers, 0, 0][:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _warned_s(signal: str) -> int:
    """Return how many seconds before the end a signal comes; 60 where it does not say, as Slurm has it."""
    found = WARNED.search(signal)
    return int(found[1]) if found else 60


def _wrong(reason: str) -> PydanticCustomError:
    return PydanticCustomError("slurm", "{reason}", {"reason": reason})


SlurmOptions = Annotated[dict[str, str | bool], BeforeValidator(checked)]
