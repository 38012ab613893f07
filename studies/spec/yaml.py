"""YAML as a study file has it: its values, the line of every key, and what is wrong with it in words for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from studies.errors import WrongSpec
from studies.words import cut

NOT_KEPT = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("set", "omap", "pairs", "binary"))  # JSON has none of them
DROPPED = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")  # the resolvers of YAML 1.1
_PROPERTIES = re.compile(r"(?:(?:&|!(?!!))\S*\s+)+")  # an anchor and a tag of one's own, before a value
KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}

# What the parser says of a mistake -> what a person may have done.
PROBLEMS = {
    r"character '\\t'": "a tab; indent with spaces",
    "another document": "a second document begins; keep one in a file",
    "constructor for the tag '(?:tag:yaml.org,2002:)?([^']*)'": r"the tag \1 is not known here; remove it",
    "mapping values are not allowed": "a colon where none can be; check the indentation, or quote a text that has one",
    "could not find expected ':'": "a line that is no key with a value; check what stands before the colon",
    "unexpected end of stream": "a quote that is not closed",
}


def parsed(text: str, path: Path) -> tuple[dict[str, Any], dict[tuple[Any, ...], int]]:
    """Return what a file holds, and the line of every key and entry, by the keys that lead to it. Raises WrongSpec."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"character {error.character:#x} is not text; remove it"
        raise WrongSpec(where=f"{path}:{line}", reason=reason) from None
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
        lines = dict(_lines(node, ())) if node else {}
    except RecursionError:
        reason = "it is nested too deeply, or a part of it holds itself (&NAME, *NAME)"
        raise WrongSpec(where=path, reason=reason) from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1  # type: ignore[union-attr]
        raise WrongSpec(where=f"{path}:{line}", reason=_problem(error.problem)) from None
    except yaml.YAMLError as error:
        raise WrongSpec(where=path, reason=f"it is not YAML ({error})") from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise WrongSpec(where=f"{path}:1", reason="it holds no `key: value` lines; see `studies show meli-cnn`")
    return data, lines


def read_value(text: str, where: str) -> Any:
    """Return a value that is written in YAML. where: what an error names. Raises WrongSpec, also for no value."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise WrongSpec(where=where, reason="there is no value after the =; expected one, or null for none")
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError):  # a character that no YAML has, brackets in brackets without end
        raise WrongSpec(where=where, reason=f"{cut(repr(text), 80)} is not a YAML value") from None


def leaves(text: str) -> dict[str, tuple[Any, tuple[int, int]]]:
    """Return every value of YAML of any kind that is no mapping, by its dotted name, and from where to where it stands.

    What is an alias of another (`*base`) stands where that does, and is not told again. A tag that is not known leaves
    a text, and stays where it is. Raises yaml.YAMLError, and RecursionError where a part holds itself.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        found = _leaves(loader, node, text, "") if isinstance(node, yaml.MappingNode) else ()
        by_place: dict[tuple[int, int], str] = {}
        return {name: (value, place) for name, (value, place) in found if by_place.setdefault(place, name) == name}
    finally:
        loader.dispose()


def _leaves(loader: _Loader, group: yaml.MappingNode, text: str, place: str) -> Iterable[tuple[str, Any]]:
    for key, node in group.value:
        name = f"{place}{key.value}"
        if isinstance(node, yaml.MappingNode):
            yield from _leaves(loader, node, text, f"{name}.")
            continue
        start, end = node.start_mark.index, node.end_mark.index
        before = _PROPERTIES.match(text, start, end)
        yield name, (_plain(loader, node), (before.end() if before else start, len(text[:end].rstrip())))


def _plain(loader: _Loader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, each) for each in node.value]
    return loader.construct_object(node) if node.tag in loader.yaml_constructors else node.value


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


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^([-+]?\d+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


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


def _lines(node: yaml.Node, path: tuple[Any, ...]) -> Iterable[tuple[tuple[Any, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*path, key.value))
            yield (*path, key.value), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))
