"""A study file, read with the line of every key, so that an error points at the place that holds the mistake."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from studies import names
from studies.errors import UnknownStudy, WrongInput, WrongSpec
from studies.spec.model import MAX_NAME, StudySpec
from studies.spec.part import Part
from studies.spec.program import DOTTED, PROGRAM, Program
from studies.words import near

CATALOG = Path(__file__).parent / "catalog"

Content = TypeVar("Content", bound=BaseModel)


@dataclass(frozen=True)
class Override:
    """A value that replaces one of the study file.

    path: the keys that lead to it. option: what the user wrote to ask for it, such as `--trials 0`; errors name it.
    """

    path: tuple[str, ...]
    value: Any
    option: str

    @classmethod
    def parsed(cls, text: str, option: str = "--set", example: str = "space.batch_size=[64]") -> Override:
        """Read the KEY=VALUE of an option: a dotted key, and a value in YAML. Raises WrongSpec."""
        example, option = f"{option} {example}", f"{option} {text if text.strip() else repr(text)}"
        key, equals, value = text.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            what = "it has no =" if not equals else "a key is empty" if key.strip() else "it has no key before the ="
            raise WrongSpec(where=option, reason=f"{what}; expected KEY=VALUE, such as {example}")
        return cls(path, read_value(value, option), option)

    def check_after(self, others: Iterable[Override]) -> None:
        """Raise WrongSpec where this one makes another pointless that was given before it."""
        for other in others:
            if other.path[: len(self.path)] == self.path:
                reason = f"{'.'.join(other.path)} is given already, by {other.option}; leave one of the two out"
                raise WrongSpec(where=self.option, reason=reason)


def read_value(text: str, where: str) -> Any:
    """Return a value that is written in YAML. where: what an error names. Raises WrongSpec, also for no value."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise WrongSpec(where=where, reason="there is no value after the =; expected one, or null for none")
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise WrongSpec(where=where, reason=f"{text!r} is not a YAML value") from None
    finally:
        loader.dispose()


def load(name: str, overrides: Sequence[Override] = ()) -> StudySpec:
    """Return the study of this name in the catalog, or in the file of this path.

    Raises UnknownStudy, WrongSpec, WrongInput.
    """
    return SpecFile.find(name).spec(overrides)


def catalog() -> dict[str, Path]:
    """Return the shipped studies: name -> file."""
    return {path.stem: path for path in sorted(CATALOG.glob("*.yaml"))}


class SpecFile:
    """A study file with the line of every key, so that an error can point at it."""

    def __init__(self, path: Path | str, stored: dict[str, Any] | None = None) -> None:
        """Read a file, or take the spec of a study in the storage, of which `path` is then the name."""
        self.path = Path(path)
        self._overrides: Sequence[Override] = ()
        self._lines: dict[tuple[Any, ...], int] = {}
        self._stored = stored is not None
        if stored is not None:
            self.data = stored
            return
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise WrongSpec(where=path, reason=f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
        except OSError as error:
            raise WrongSpec(where=path, reason=f"it cannot be read ({error.strerror})") from None
        self.data, self._lines = self._parse(text)

    @classmethod
    def find(cls, name: str) -> SpecFile:
        """Return the file a user means by a study's name or a path; UnknownStudy when there is none."""
        known = catalog()
        if name in known:
            return cls(known[name])
        if name.endswith((".yaml", ".yml")) or ("/" in name and not name.endswith(".py")):
            if not Path(name).is_file():
                raise WrongSpec(where=name, reason="there is no such study file; check the path")
            return cls(Path(name))
        if name.endswith(".py") and Path(name).is_file():
            todo = f"`studies init {shlex.quote(name)}` writes a study file for it"
            raise WrongInput(reason=f"{name} is a script, not a study; {todo}.")
        raise UnknownStudy(name=name, near=near(name, known))

    def spec(self, overrides: Sequence[Override] = ()) -> StudySpec:
        """Return the validated study; WrongSpec with line, what was found and what is allowed.

        overrides: replace what the file says, the last one last; `error` knows them from then on.
        """
        data, self._overrides = self.data, overrides
        for number, override in enumerate(overrides):
            override.check_after(overrides[:number])
            data = _with(data, override.path, override.value)
            if override.path == ("metrics",):  # in place of the file's one
                data = {key: value for key, value in data.items() if key not in ("metric", "direction")}
        spec = self._validated(StudySpec, data)
        if not self._stored:
            self._check_name(spec.name)
        return spec

    def read(self, kind: type[Content]) -> Content:
        """Return what a file of another kind holds, told apart and validated in the same way."""
        return self._validated(kind, self.data)

    def _validated(self, kind: type[Content], data: Any) -> Content:
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            # A misspelt key is also a missing one: the misspelling is what helps.
            first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
            keys = (key for key in first["loc"] if key not in (DOTTED, PROGRAM))
            raise self.error(_reason(first), *keys) from None

    def _check_name(self, name: str) -> None:
        if names.parts(name)[1] is not None or names.confirmed(name) is not None:
            reason = f"name is {name!r}, as `studies` itself names versions and confirmations; choose another"
            raise self.error(reason, "name")
        if len(name) > MAX_NAME:
            raise self.error(f"name is {name!r}: it should have at most {MAX_NAME} characters", "name")

    def error(self, reason: str, *path: str | int) -> WrongSpec:
        """Return the error that points at a place of the file, or at the option that replaced it."""
        keys, in_file = tuple(map(str, path)), path in self._lines
        for override in reversed(self._overrides):
            made_it = not in_file and override.path[: len(keys)] == keys  # a key on the way that the file lacks
            if keys[: len(override.path)] == override.path or (keys and made_it):
                return WrongSpec(where=override.option, reason=reason)
        known = [path[:length] for length in range(len(path), -1, -1) if path[:length] in self._lines]
        return WrongSpec(where=f"{self.path}:{self._lines[known[0]] if known else 1}", reason=reason)

    def _parse(self, text: str) -> tuple[dict[str, Any], dict[tuple[Any, ...], int]]:
        try:
            loader = _Loader(text)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            reason = f"character {error.character:#x} is not text; remove it"
            raise WrongSpec(where=f"{self.path}:{line}", reason=reason) from None
        try:
            node = loader.get_single_node()
            data = loader.construct_document(node) if node else None
            lines = dict(_lines(node, ())) if node else {}
        except RecursionError:
            reason = "it is nested too deeply, or a part of it holds itself (&NAME, *NAME)"
            raise WrongSpec(where=self.path, reason=reason) from None
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark or error.context_mark).line + 1  # type: ignore[union-attr]
            raise WrongSpec(where=f"{self.path}:{line}", reason=_problem(error.problem)) from None
        except yaml.YAMLError as error:
            raise WrongSpec(where=self.path, reason=f"it is not YAML ({error})") from None
        finally:
            loader.dispose()
        if not isinstance(data, dict):
            raise WrongSpec(
                where=f"{self.path}:1", reason="it holds no `key: value` lines; see `studies show meli-cnn`"
            )
        return data, lines


NOT_KEPT = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("set", "omap", "pairs", "binary"))  # JSON has none of them
DROPPED = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")  # the resolvers of YAML 1.1


class _Loader(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2: 1e-3 is a number, 010 is ten, 1:30 and 2026-01-01 are text.

    Every key is text, given once.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - as SafeLoader has it
        first: [found for found in resolvers if found[0] not in DROPPED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    yaml_constructors = {  # noqa: RUF012 - as SafeLoader has it
        tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag not in NOT_KEPT
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, value in node.value:
            if wrong := _wrong_key(key, value, seen):
                raise yaml.MarkedYAMLError(problem=wrong, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# What the parser says of a mistake -> what a person may have done.
PROBLEMS = {
    r"character '\\t'": "a tab; indent with spaces",
    "another document": "a second document begins; keep one in a file",
    "constructor for the tag '(?:tag:yaml.org,2002:)?([^']*)'": r"the tag \1 is not known here; remove it",
    "mapping values are not allowed": "a colon where none can be; check the indentation, or quote a text that has one",
    "could not find expected ':'": "a line that is no key with a value; check what stands before the colon",
    "unexpected end of stream": "a quote that is not closed",
}


def _problem(said: str | None) -> str:
    """Return what is wrong with YAML in words for a person."""
    for pattern, words in PROBLEMS.items():
        if said and (match := re.search(pattern, said)):
            return match.expand(words)
    return said or "it is not YAML"


def _wrong_key(key: yaml.Node, value: yaml.Node, seen: set[str]) -> str | None:
    """Return what is wrong with a key, in words that say how it may have come about."""
    if not isinstance(key, yaml.ScalarNode):
        return "{{ ... }} is a template that was not filled in; expected a value" if key.value else "a key is empty"
    kind = key.tag.rpartition(":")[2]
    if kind in ("int", "float") and _is_null(value):
        return f"a comma splits a number before {key.value!r}; write decimals with a point, such as 0.1"
    if kind in KINDS:
        written = key.value or "null"
        return f"the key {written} is {KINDS[kind]} in YAML; expected text, such as {written!r} in quotes"
    return f"key {key.value!r} is given twice" if key.value in seen else None


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


WHOLE = "a whole number"
NUMBERS = {  # pydantic's word for a wrong one -> what is expected
    "int_type": WHOLE, "int_parsing": WHOLE, "int_from_float": WHOLE,
    "float_type": "a number", "float_parsing": "a number",
}  # fmt: skip
MOST_SHOWN = 200  # characters of what was found
KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}

_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^([-+]?\d+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def _lines(node: yaml.Node, path: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*path, key.value))
            yield (*path, key.value), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))


def _with(data: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    inner = data if isinstance(data, dict) else {}
    return inner | {head: _with(inner.get(head), tuple(rest), value) if rest else value}


def _reason(error: Any) -> str:
    """Return pydantic's finding as a sentence that names what was found and what is allowed."""
    location, found = error["loc"], error["input"]
    if not location:  # it is about several keys
        return str(error["msg"])
    key = next(str(key) for key in reversed(location) if key not in (DOTTED, PROGRAM))
    if isinstance(location[-1], int):
        key = f"entry {location[-1] + 1} of {location[-2]}"
    part = _part_at(location[:-1])
    if error["type"] == "no_end":
        return str(error["msg"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_elsewhere(key) or near(key, part.model_fields)}"
    if error["type"] == "missing":
        return f"the key {key!r} is missing"
    if error["type"] == "string_pattern_mismatch" and key == "name":
        plain = "-".join(re.findall("[a-z0-9]+", found.lower()))
        return f"{key} is {found!r}; expected small letters, digits and dashes{plain and f', such as {plain!r}'}"
    return f"{key} is {_written(found)}: {_allowed(error, _part_at(location))}"


def _written(found: Any) -> str:
    """Return what was found as YAML has it, cut where it is long."""
    text = "null" if found is None else str(found).lower() if isinstance(found, bool) else repr(found)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _allowed(error: Any, part: type[Part]) -> str:
    """Return what a value should have been. part: whose place it took, if it should have keys of its own."""
    kind, found, location = error["type"], error["input"], error["loc"]
    if kind in ("model_type", "dict_type"):
        key = next(iter(part.model_fields)) if kind == "model_type" else "key"
        value = found if isinstance(found, str) else "none" if location == ("pruner",) else "..."
        return f"expected keys and values, such as {{{key}: {value}}}"
    if kind in NUMBERS:
        return f"expected {NUMBERS[kind]}"
    if kind == "list_type":
        return "expected a list, such as [...]"
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
        part = annotation if isinstance(annotation, type) and issubclass(annotation, Part) else part
    return part
