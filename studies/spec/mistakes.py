"""What pydantic finds wrong with a study file, as a sentence: what was found, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from studies.spec.model import Named, Pruner, StudySpec
from studies.spec.part import Part
from studies.spec.program import DOTTED, PROGRAM, Program
from studies.words import near, plain_name, shown

WHOLE = "a whole number"
NUMBERS = {  # pydantic's word for a wrong one -> what is expected
    "int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE,
    "float_type": "a number", "float_parsing": "a number",
}  # fmt: skip
TEXTS = ("require", "preload")  # lists of these
NO_PRUNER: Mapping[type[Part], str] = {Pruner: "; none prunes nothing"}
MOST_SHOWN = 200  # characters of what was found


def reason_of(error: Any) -> str:
    """Return pydantic's finding as a sentence that names what was found and what is allowed."""
    location, found = error["loc"], error["input"]
    if not location or error["type"] == "no_end":  # it is about several keys, or says it all
        return str(error["msg"])
    key = next(str(key) for key in reversed(location) if key not in (DOTTED, PROGRAM))
    if isinstance(location[-1], int):
        key = f"entry {location[-1] + 1} of {location[-2]}"
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_elsewhere(key) or near(key, _part_at(location[:-1]).model_fields)}"
    if error["type"] == "unknown_name":  # its part may be written as the name alone
        key = str(location[-2])
    if error["type"] == "missing":
        return f"the key {key!r} is missing"
    if error["type"] == "string_pattern_mismatch" and key == "name":
        plain = plain_name(found)
        return f"{key} is {found!r}; expected small letters, digits and dashes{plain and f', such as {plain!r}'}"
    return f"{key} is {_written(found)}: {_allowed(error, _part_at(location))}"


def _written(found: Any) -> str:
    """Return what was found as YAML has it, cut where it is long."""
    text = "null" if found is None else str(found).lower() if isinstance(found, bool) else repr(found)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _allowed(error: Any, part: type[Part]) -> str:
    """Return what a value should have been. part: whose place it took, if it should have keys of its own."""
    kind, found, location = error["type"], error["input"], error["loc"]
    if kind == "dict_type" and location == ("constraints",):
        return 'expected keys and values, such as {n_parameters: "<= 2e6"}'
    if kind == "model_type" and issubclass(part, Named):
        name = part.model_fields["name"].default
        return f"expected a name, such as {name}, or keys and values, such as {{name: {name}}}{NO_PRUNER.get(part, '')}"
    if kind in ("model_type", "dict_type"):
        key = next(iter(part.model_fields)) if kind == "model_type" else "key"
        return f"expected keys and values, such as {{{key}: {found if isinstance(found, str) else '...'}}}"
    if kind in NUMBERS:
        return f"expected {NUMBERS[kind]}"
    if kind == "list_type":
        return f"expected a list, such as [{shown(found) if location[-1] in TEXTS and found else '...'}]"
    if kind == "string_type" and location[-1] == DOTTED:
        return "expected such as module:train, or {command: python train.py}"
    if kind == "string_type":
        return "expected text" + (f", such as {str(found)!r} in quotes" if type(found) in (int, float) else "")
    if kind == "string_pattern_mismatch" and "objective" in location:
        if " " in found.strip():
            return f"expected module:Name; a command line is a program: {{command: {found}}}"
        module = ".".join(re.findall(r"\w+", found.removesuffix(".py").partition(".py:")[0])) or "module"
        return f"expected a module as Python imports it, or a name in it, such as {module}:train"
    return str(error["msg"]).replace("Input should", "it should")


def _elsewhere(key: str) -> str:
    """Return where a key belongs that stands in the wrong part of the file, or nothing."""
    parts = {name: _part_at([name]) for name in StudySpec.model_fields}
    found = [name for name, part in parts.items() if part is not StudySpec and key in part.model_fields]
    if key in StudySpec.model_fields:
        return "; it belongs at the top of the file, not indented"
    return f"; it belongs under `{found[0]}:`, as in `{found[0]}: {{{key}: ...}}`" if len(found) == 1 else ""


def _part_at(path: Iterable[str | int]) -> type[Part]:
    part: type[Part] = StudySpec
    for key in path:
        if key == PROGRAM:
            part = Program
            continue
        annotation = part.model_fields[str(key)].annotation if str(key) in part.model_fields else None
        kinds = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))  # a part, or none
        part = next((kind for kind in kinds if issubclass(kind, Part)), part)
    return part
