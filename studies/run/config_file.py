"""A config file that a program reads: what it holds, and a copy of it with a trial's parameters in their places.

A value is known by its dotted name, such as `optimizer.lr`. In YAML the rest of the text stays as it is, with comments,
tags and interpolations; JSON and TOML are written anew.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from studies.errors import ObjectiveRefused, WrongInput
from studies.run.source import source_of_command
from studies.spec import Program
from studies.spec.program import CONFIG, PARAMS, filled_value
from studies.spec.yaml import leaves
from studies.words import near, one_line


def values_in(path: Path) -> dict[str, Any]:
    """Return every value of a config file that is no group, by its dotted name. Raises WrongInput."""
    return {name: value for name, (value, _) in _read(path)[1].items()}


def missing_in(program: Program, path: Path, params: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first name of a study that has no place in the file, and what is wrong with it. Raises WrongInput."""
    known = values_in(path)
    for name in _placed(program, params):
        if name not in known:
            return name, f"{path.name} has no {name!r}{near(name, known)}; what a trial sets there has to be there"
    return None


def configured(
    program: Program, directory: Path, params: Mapping[str, Any], trial: Mapping[str, Any]
) -> tuple[Path, str]:
    """Return the directory to start a program in, and the path of its copy of the config file.

    With `{config}` in the command, the copy lies beside links to what is beside the file. Otherwise the program starts
    in such a directory in place of its own: what it opens by a fixed name is the copy, and its code is copied along,
    since a script may look for the file beside itself. trial: the values of what every trial has. Raises
    ObjectiveRefused.
    """
    assert program.config is not None
    file, scratch = directory / program.config.file, Path(trial["scratch"])
    values = {
        name: filled_value(value, params, trial) if name in program.config.set else params[name]
        for name, value in _placed(program, params).items()
    }
    try:
        text = _with(file, values)
    except WrongInput as error:
        raise ObjectiveRefused(**error.given) from None
    if program.has_config_placed:
        mirror(file.parent, scratch / CONFIG, {file.name: text.encode()})
        return directory, str(scratch / CONFIG / file.name)
    code = source_of_command(tuple(program.words), directory)
    own = {name: (directory / name).read_bytes() for name in code if name.endswith(".py")}
    mirror(directory, scratch / CONFIG, own | {Path(program.config.file).as_posix(): text.encode()})
    return scratch / CONFIG, str(scratch / CONFIG / program.config.file)


def mirror(directory: Path, into: Path, own: Mapping[str, bytes]) -> None:
    """Make a directory with links to all that another has, and files of its own. own: their content, by relative path.

    Whatever is written below it under a new name stays there.
    """
    into.mkdir()
    below: dict[str, dict[str, bytes]] = {}
    for name, content in own.items():
        first, _, rest = name.partition("/")
        below.setdefault(first, {})[rest] = content
    for entry in directory.iterdir():
        if entry.name not in below:
            (into / entry.name).symlink_to(entry)
    for name, inner in below.items():
        if "" in inner:
            (into / name).write_bytes(inner[""])
            shutil.copystat(directory / name, into / name)  # it may be started; what is compiled of it stays valid
        else:
            mirror(directory / name, into / name, inner)


def _placed(program: Program, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes into the file: parameters that have no place elsewhere, and what the study sets there."""
    assert program.config is not None
    elsewhere = set().union(*program.placeholders().values())
    of_params = {} if PARAMS in elsewhere else {name: params[name] for name in params if name not in elsewhere}
    return of_params | program.config.set


def _read(path: Path) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """Return the text or the data of a file, and of each value it and where it is. Raises WrongInput."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".yaml", ".yml"):
            return text, leaves(text)
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return data, {".".join(place): (value, place) for place, value in _flat(data, ())}
    except OSError as error:
        raise WrongInput(reason=f"The config file {path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # also what is no UTF-8
        said = one_line(str(error))[:200]
        raise WrongInput(reason=f"The config file {path} is no {path.suffix[1:].upper()} ({said}).") from None


def _with(path: Path, values: Mapping[str, Any]) -> str:
    """Return the text of a file with these values in it. Raises WrongInput."""
    found, places = _read(path)
    if gone := sorted(values.keys() - places.keys()):
        raise WrongInput(reason=f"The config file {path} has no {gone[0]!r}{near(gone[0], places)}.")
    if isinstance(found, str):
        spans = [(*places[name][1], value) for name, value in values.items()]
        for start, end, value in sorted(spans, key=lambda each: each[0], reverse=True):
            space = "" if found[start - 1 : start] == " " and found[start] != "-" else " "
            found = f"{found[:start]}{space}{_flow(value)}{found[end:]}"
        return found
    for name, value in values.items():
        *groups, last = places[name][1]
        group = found
        for key in groups:
            group = group[key]
        group[last] = value
    if path.suffix == ".json":
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    return "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in found.items())


def _flat(data: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, dict):
            yield from _flat(value, (*place, key))
        else:
            yield (*place, key), value


def _flow(value: Any) -> str:
    """Return a value as it may stand anywhere in YAML: 1.0e-05, which every reader takes for a number."""
    return yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True).strip()[1:-1]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(key)} = {_toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool | float) else str(value)
