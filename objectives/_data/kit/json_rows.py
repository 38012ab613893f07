"""Objects in JSON: one a line, all of them in one array, or as one object in any of pandas' forms of a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from objectives._data.kit.lines import RowError, TextLines, plain_name, shown

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
WRITES = 'as pandas\' to_json(..., orient="records", lines=True) writes them'
DECODER = json.JSONDecoder()
SPACE = re.compile(r"\s*")

Row = dict[str, Any]


def is_json(first: str) -> bool:
    """Whether a text whose first line is this may be rows in JSON."""
    return first.lstrip().startswith(("{", "["))


def json_rows(lines: TextLines) -> Iterator[Row]:
    """The objects in JSON lines, in an array or in one object; `lines.number` is the line on which the last one begins.

    Raises RowError for what is none; after one in JSON lines, the iteration can go on.
    """
    every = iter(lines)
    rest = filter(str.strip, every)
    first = next(rest, "")
    if first.lstrip().startswith("["):
        return map(partial(_object, lines), _elements(lines, first, every))
    if first.strip() == "{":  # objects over several lines
        objects = list(_objects(lines, first, every))
        return iter((rows_in(objects[0]) if len(objects) == 1 else None) or objects)
    begin = [first] if first else []
    if table := rows_in(_parsed(first)):
        begin += islice(rest, 1)
        if len(begin) == 1:
            return iter(table)

    def row_in(line: str) -> Row:
        return _object(lines, _value(lines, line))

    return map(row_in, chain(begin, rest))


def rows_in(value: Any) -> list[Row] | None:
    """The rows of an object that is a table, in a form of pandas' to_json, or that holds a list of rows.

    None for one that is a row itself: some value in it is neither an object nor a list.
    """
    if not isinstance(value, dict) or not all(isinstance(one, dict | list) for one in value.values()):
        return None
    columns, data, parts = value.get("columns"), value.get("data"), list(value.values())
    if isinstance(columns, list) and _are(list, data):  # orient="split"
        return [dict(zip(map(str, columns), row, strict=False)) for row in data or ()]
    lists = [one for one in parts if _are(dict, one)]
    if len(lists) == 1:  # orient="table", or {"songs": [...]}
        return list(lists[0])
    if _are(list, parts) and len(set(map(len, parts))) == 1:  # a list of each column
        return [dict(zip(value, row, strict=True)) for row in zip(*parts, strict=True)]
    if _are(dict, parts) and all(map(str.isdecimal, parts[0])):  # orient="columns"
        return [{name: column.get(label) for name, column in value.items()} for label in parts[0]]
    return parts if _are(dict, parts) and all(map(str.isdecimal, value)) else None  # orient="index"


def _are(kind: type, values: Any) -> bool:
    """Whether this is a list of such values, one or more."""
    return isinstance(values, list) and bool(values) and all(isinstance(value, kind) for value in values)


def text_in(lines: TextLines, row: Row, name: str, expected: str, others: Sequence[str] = ()) -> str:
    """The text in a column of a row, whatever capitals its name has; see `as_text`. Raises RowError.

    others: names of the column where `name` is missing, the best first.
    """
    if name not in row:
        known = (key for each in (name, *others) for key in row if plain_name(key) == each)
        name = next(known, name)
    text = as_text(row.get(name)) if name in row else None
    if text is None:
        found = f"{name!r} is {shown(row[name])}" if name in row else f"no {name!r} in {shown(', '.join(row))}"
        raise lines.error(found, f"expected {expected}")
    return text


def as_text(value: Any) -> str | None:
    """What a value would be in CSV: nothing is "", a list of texts the lines of one. None for what has no text."""
    if isinstance(value, str) or value is None:
        return value or ""
    if _are(str, value):
        return "\n".join(value)
    return None if isinstance(value, dict | list) else str(value)


def _parsed(line: str) -> Any:
    """The value in a line, None if it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _value(lines: TextLines, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _not_json(lines, line) from error


def _elements(lines: TextLines, first: str, rest: Iterable[str]) -> Iterator[Any]:
    """The elements of an array that begins in the line `first`; the rest is read at once."""
    begins = lines.number
    text = first + "".join(rest)
    at = counted = text.index("[") + 1
    lines.number = begins
    while True:
        at = _after_space(text, at)
        lines.number, counted = lines.number + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            if after := text[at + 1 :].strip():
                lines.number += text.count("\n", at, text.index(after, at + 1))
                raise lines.error(f"{shown(after[:100])} after the array", "expected one array, or objects in lines")
            return
        value, at = _value_at(lines, text, at)
        yield value
        at = _after_space(text, at)
        if text[at : at + 1] not in (",", "]"):
            raise _not_json(lines, text[at : at + 100])
        at += text[at] == ","


def _objects(lines: TextLines, first: str, rest: Iterable[str]) -> Iterator[Row]:
    """The objects that begin in the line `first`, one after another; the rest is read at once."""
    begins, at, counted = lines.number, 0, 0
    text = first + "".join(rest)
    lines.number = begins
    while (at := _after_space(text, at)) < len(text):
        lines.number, counted = lines.number + text.count("\n", counted, at), at
        value, at = _value_at(lines, text, at)
        yield _object(lines, value)


def _value_at(lines: TextLines, text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a place of a text, and the place after it."""
    try:
        return DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise _not_json(lines, text[at : at + 100]) from error


def _after_space(text: str, at: int) -> int:
    return SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too


def _not_json(lines: TextLines, text: str) -> RowError:
    return lines.error(f"not JSON: {shown(text.strip())}", f"expected one object a line, {WRITES}, or an array of them")


def _object(lines: TextLines, value: Any) -> Row:
    if not isinstance(value, dict):
        raise lines.error(f"not a JSON object: {shown(value)}", f"expected objects, {WRITES}")
    return value
