"""A program as a study file names it: its command with placeholders, and where its reports are found."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from studies.spec.part import Part
from studies.words import shown

if TYPE_CHECKING:
    import regex

OBJECTIVE = r"^[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$"

PARAMS = "params"  # the placeholder of all parameters
TRIAL = (
    "seed",
    "max_epochs",
    "trial",
    "n_gpus",
    "scratch",
    "checkpoints",
    "python",
)  # placeholders of what a trial has besides
CONFIG = "config"  # that of the copy of a config file, where the study has one
CONFIGS = (".yaml", ".yml", ".json", ".toml")
_PLACEHOLDER = re.compile(r"\{(?P<kept>\{[\w.]+(:\w+)?\})\}|\{(?P<name>[A-Za-z_][\w.]*)(?::(?P<style>\w*))?\}")
_STYLES = (None, "hydra")
_FLAG = re.compile(r"(?P<on>-[^/{}]+)(?:/(?P<off>-[^/{}]+))?\{(?P<name>[A-Za-z_][\w.]*):flag\}")


def compiled(pattern: str) -> regex.Pattern[str]:
    """Return a pattern that can be stopped: one of `re` that tries ever more ways to match holds the interpreter.

    Raises ValueError with what is wrong with it.
    """
    import regex

    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


class Reports(Part):
    """Where the reports of a program are found that does not write them itself: one of these, or none.

    pattern: a regular expression, searched in each line that it prints; its named groups are the metrics, and `epoch`.
    csv: a file that it writes, with a header; each column is a metric, `epoch` is the epoch. jsonl: a file that it
    writes, one JSON object a line. A file is looked for in the directory of the program.
    """

    pattern: str | None = None
    csv: str | None = None
    jsonl: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            groups = compiled(pattern or "").groupindex
        except ValueError as error:
            raise PydanticCustomError(
                "pattern", "it is no regular expression ({error})", {"error": str(error)}
            ) from None
        if pattern is not None and not {name.lower() for name in groups} - {"epoch"}:
            raise PydanticCustomError(
                "pattern", "it names no metric; expected a group such as (?P<val_accuracy>[\\d.]+)"
            )
        return pattern

    @model_validator(mode="after")
    def _one(self) -> Reports:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) > 1:
            found = " and ".join(given)
            raise PydanticCustomError(
                "reports", "it has {found}; expected one of pattern, csv, jsonl", {"found": found}
            )
        return self

    @property
    def file(self) -> str | None:
        """The file that the reports are read from, if they are."""
        return self.csv or self.jsonl


class ConfigFile(Part):
    """A config file of a program: each trial reads a copy of it, with its parameters in their places.

    file: YAML, JSON or TOML. set: what else to put there, by dotted name: a value, or a text with placeholders.
    """

    later = ("set",)

    file: str
    set: dict[str, Any] = Field(default={})

    @field_validator("file")
    @classmethod
    def _is_known(cls, file: str) -> str:
        if not file.endswith(CONFIGS):
            given = {"file": file, "expected": ", ".join(CONFIGS)}
            raise PydanticCustomError("config", "{file} is no config file; expected one with {expected}", given)
        return file


class Program(Part):
    """A program that is started once a trial.

    command: what to run, as a list or as one line that is split as a shell would; no shell runs. `{name}` is a
    parameter, `{params}` all of them as `--name value`, `{params:hydra}` as `name=value`; `--on{name:flag}` is `--on`
    where the parameter is true and nothing where it is false, `--on/--off{name:flag}` then `--off`; `{seed}`,
    `{max_epochs}`, `{trial}`, `{n_gpus}`, `{scratch}` and `{checkpoints}` are the trial's, and `{python}` runs
    `studies`. `{{name}}` stays `{name}`.
    config: a file that it reads its settings from; `{config}` is the path of the trial's copy. directory: where it
    runs; default: the working directory of the worker. reports: how it reports, if it does not
    itself. preload: modules that a Python script needs seconds to import, such as torch: each worker imports them once,
    and starts the script by fork.
    """

    command: str | list[str]
    config: ConfigFile | None = None
    directory: str = ""
    reports: Reports = Reports()
    preload: list[str] = Field(default=[])

    @field_validator("config", mode="before")
    @classmethod
    def _is_file(cls, config: Any) -> Any:
        return {"file": config} if isinstance(config, str) else config

    @field_validator("command", mode="before")
    @classmethod
    def _has_words(cls, command: Any) -> Any:
        if not isinstance(command, (str, list)):
            raise PydanticCustomError("command", "expected such as python train.py --lr {learning_rate}")
        for index, word in enumerate(command, 1):
            if not isinstance(word, str):
                given = {"index": index, "word": shown(word)}
                raise PydanticCustomError("command", "entry {index} is {word}; expected text, in quotes", given)
        try:
            words = shlex.split(command) if isinstance(command, str) else command
        except ValueError as error:
            raise PydanticCustomError("command", "it cannot be split ({error})", {"error": str(error)}) from None
        if not words or not words[0]:
            raise PydanticCustomError("command", "it is empty; expected such as python train.py --lr {learning_rate}")
        return command

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found = {key: value for key, value in serialize(self).items() if value}
        if "reports" in found:
            found["reports"] = {key: value for key, value in found["reports"].items() if value is not None}
        return {key: value for key, value in found.items() if value}

    def __str__(self) -> str:
        return self.command if isinstance(self.command, str) else shlex.join(self.command)

    @property
    def words(self) -> list[str]:
        """The command's words, the program first, with their placeholders."""
        return shlex.split(self.command) if isinstance(self.command, str) else list(self.command)

    @property
    def texts(self) -> dict[str, list[str]]:
        """Everything that may hold placeholders, by the key of the study file."""
        given = [value for value in self.config.set.values() if isinstance(value, str)] if self.config else []
        found = {"command": self.words, "directory": [self.directory], "reports": [self.reports.file or ""]}
        return found | {CONFIG: given}

    @property
    def files(self) -> list[str]:
        """Its words and its config file, which are what its code is found by."""
        return [*self.words, *([self.config.file] if self.config else [])]

    @property
    def has_config_placed(self) -> bool:
        """Whether the path of its config file is a part of the command."""
        return CONFIG in self.placeholders()["command"]

    def placeholders(self) -> dict[str, set[str]]:
        """Return the names of the placeholders, by the key of the study file that has them."""
        return {key: {name for text in texts for name, _ in _found(text)} for key, texts in self.texts.items()}

    def unknown_style(self) -> str | None:
        """Return the first placeholder with a style that there is not, as it is written."""
        texts = (text for texts in self.texts.values() for text in texts if not _FLAG.fullmatch(text))
        found = ((name, style) for text in texts for name, style in _found(text))
        wrong = (f"{name}:{style}" for name, style in found if style not in (_STYLES if name == PARAMS else (None,)))
        return next(wrong, None)


def _tag(value: Any) -> str:
    return PROGRAM if isinstance(value, (Mapping, Program)) else DOTTED


# In the path to a mistake pydantic puts which of the two it took an objective for.
DOTTED, PROGRAM = "objective by its path", "objective by its command"
Objective = Annotated[
    Annotated[Annotated[str, Field(pattern=OBJECTIVE)], Tag(DOTTED)] | Annotated[Program, Tag(PROGRAM)],
    Discriminator(_tag),
]


def written(value: Any) -> str:
    """Return a parameter's value as a program gets it: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def filled(words: list[str], params: Mapping[str, Any], trial: Mapping[str, Any]) -> list[str]:
    """Return a command's words with the values of one trial.

    A word with a parameter that this trial does not have is left out, with the option before it: `--momentum
    {momentum}` is none of the command where there is no momentum. trial: the values of `TRIAL`.
    """
    values = {**params, **trial}
    found: list[str] = []
    for word in words:
        names = list(_found(word))
        if flag := _FLAG.fullmatch(word):
            chosen = flag["on"] if values.get(flag["name"]) else flag["off"]
            found += [chosen] if chosen is not None and flag["name"] in values else []
        elif len(names) == 1 and names[0][0] == PARAMS and _PLACEHOLDER.fullmatch(word):
            found += _all(params, names[0][1])
        elif all(name in values or name == PARAMS for name, _ in names):
            found.append(_filled(word, values, params))
        elif _PLACEHOLDER.fullmatch(word) and found and re.fullmatch(r"-[^=]*", found[-1]):
            found.pop()
    return found


def filled_text(text: str, params: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """Return a path with the values of one trial; empty where it has a parameter that this trial does not have."""
    return next(iter(filled([text], params, trial)), "")


def filled_value(given: Any, params: Mapping[str, Any], trial: Mapping[str, Any]) -> Any:
    """Return what a study sets in a config file: a placeholder alone is the value itself, or None where there is none.

    Any other text is filled.
    """
    if not isinstance(given, str):
        return given
    found = _PLACEHOLDER.fullmatch(given)
    return {**params, **trial}.get(found["name"]) if found and found["name"] else filled_text(given, params, trial)


def _found(text: str) -> Iterator[tuple[str, str | None]]:
    yield from ((found["name"], found["style"]) for found in _PLACEHOLDER.finditer(text) if found["name"])


def _all(params: Mapping[str, Any], style: str | None) -> list[str]:
    if style == "hydra":
        return [f"{name}={written(value)}" for name, value in params.items()]
    return [part for name, value in params.items() for part in (f"--{name}", written(value))]


def _filled(word: str, values: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    def value_of(found: re.Match[str]) -> str:
        if found["kept"]:
            return found["kept"]
        if found["name"] == PARAMS:
            return " ".join(_all(params, found["style"]))
        return written(values[found["name"]])

    return _PLACEHOLDER.sub(value_of, word)
