"""The config file that a script reads its settings from, and how a trial's copy reaches it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from studies.errors import WrongInput
from studies.run.config_file import values_in
from studies.spec.program import CONFIG, CONFIGS
from studies.templates.script.ranges import searched
from studies.templates.script.source import Source
from studies.templates.script.usage import Option

PLACEHOLDER = f"{{{CONFIG}}}"
NAMED = re.compile(r"conf|cfg|param|setting|hyp|\b(args?|opts?|options)\b|^-c$", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """What a config file has. file: as a study file names it. options: its values.

    option: the flag that takes its path; None where the command has it, or the script knows it. are_typed: the script
    takes each value as `name=value`, too.
    """

    file: str
    options: Sequence[Option]
    option: str | None = None
    are_typed: bool = False

    def beside(self, options: Sequence[Option]) -> tuple[Settings, list[Option]]:
        """Return it without the values that the script takes as options, too, and these with the file's defaults."""
        values = {option.name: option.default for option in self.options if option.takes == 1}
        taken = {option.name for option in options}
        left = replace(self, options=[option for option in self.options if option.name not in taken])
        return left, [replace(option, default=values.get(option.name, option.default)) for option in options]


def typed_in(words: Sequence[str]) -> Settings | None:
    """Return the config file that a command names, as `train.py config.yaml` or `--config=config.yaml`.

    What is given to an option of another name is data: `--vocab vocab.json`.
    """
    parts = [part for word in words for part in word.split("=", 1)]
    pairs = pairwise(parts)
    return _first(file for before, file in pairs if not before.startswith("-") or NAMED.search(before))


def opened_by(source: Source, directories: Iterable[Path]) -> Settings | None:
    """Return the config file that a script opens by a fixed name, in one of these directories or right below."""
    known = [name for name in source.constants(CONFIGS) if NAMED.search(name) or not name.endswith(".json")]
    named = sorted(known, key=lambda name: not NAMED.search(name))  # other JSON is data, such as a vocabulary
    directories = list(directories)
    places = (Path(os.path.normpath(directory / name)) for name in named for directory in directories)
    deeper = (path for name in named for path in sorted(Path().glob(f"*/{Path(name).name}")))
    # A copy takes the place of what is below this directory, and is found by no path from the root.
    found = _first(path.as_posix() for path in (*places, *deeper) if not path.is_absolute() and ".." not in path.parts)
    if found is None or not source.takes_overrides:
        return found
    return replace(found, options=[_as_word(option) for option in found.options], are_typed=True)


def taken_by(options: Iterable[Option]) -> Settings | None:
    """Return the config file that is the default of an option, or the only one here where an option asks for one."""
    options = list(options)
    files = [path for path in sorted((*Path().glob("*"), *Path().glob("*/*"))) if path.suffix in CONFIGS]
    here = [path.as_posix() for path in files if NAMED.search(path.as_posix())]
    for option in options:
        file, is_named = option.default, bool(NAMED.search(option.words[-1]))
        found = _first([file]) if isinstance(file, str) and (is_named or NAMED.search(file)) else None
        if file is None and is_named and len(here) == 1:
            found = _first(here)
        if found is not None and option.takes == 1:
            return replace(found, option=option.flag)
    return None


def filled(words: Sequence[str], settings: Settings) -> list[str]:
    """Return a command with the placeholder in place of the file that it names."""
    return [
        f"{word.removesuffix(settings.file)}{PLACEHOLDER}" if word.rpartition("=")[2] == settings.file else word
        for word in words
    ]


def _first(files: Iterable[str]) -> Settings | None:
    """Return the first of these files that has anything to search."""
    for file in files:
        with suppress(WrongInput):
            if file.endswith(CONFIGS) and Path(file).is_file():
                options = [_option(name, value) for name, value in values_in(Path(file)).items()]
                if any(searched(option) is not None for option in options):
                    return Settings(file, options)
    return None


def _as_word(option: Option) -> Option:
    """Return a value as it is typed: `nesterov=true`."""
    if option.takes:
        return option
    return replace(option, takes=1, default=str(option.default).lower(), choices=("true", "false"))


def _option(name: str, value: Any) -> Option:
    takes = 0 if isinstance(value, bool) else 2 if isinstance(value, list) else 1
    return Option(name, takes=takes, default=value)
