"""Objects in JSON: one a line, or all of them in one array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from objectives._data.kit.lines import RowError, TextLines, shown

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
WRITES = 'as pandas\' to_json(..., orient="records", lines=True) writes them'
SPACE = re.compile(r"\s*")

Row = dict[str, Any]


def json_rows(lines: TextLines) -> Iterator[Row]:
    """The objects in JSON lines, or in an array; `lines.number` is the line on which the last one begins.

    Raises RowError for what is none; after one in JSON lines, the iteration can go on.
    """
    every = iter(lines)
    rest = filter(str.strip, every)
    first = next(rest, "")
    if first.lstrip().startswith("["):
        return (_object(lines, value) for value in _elements(lines, first, every))

    def row_in(line: str) -> Row:
        return _object(lines, _value(lines, line))

    return map(row_in, chain([first] if first else [], rest))


def text_in(lines: TextLines, row: Row, name: str, expected: str, others: Sequence[str] = ()) -> str:
    """The text in a column of a row, whatever capitals its name has; a whole number is its digits. Raises RowError.

    others: names of the column where `name` is missing, the best first.
    """
    if name not in row:
        known = (key for each in (name, *others) for key in row if key.strip().lower() == each)
        name = next(known, name)
    value = row.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    nested = isinstance(value, dict | list)  # pandas' to_json() without more is one object of columns
    found = f"{name!r} is {shown(value)}" if name in row else f"no {name!r} in {shown(', '.join(row))}"
    raise lines.error(found, f"expected {expected}" + (f": one object for each, {WRITES}" if nested else ""))


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
    decoder, lines.number = json.JSONDecoder(), begins
    while True:
        at = _after_space(text, at)
        lines.number, counted = lines.number + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            if after := text[at + 1 :].strip():
                lines.number += text.count("\n", at, text.index(after, at + 1))
                raise lines.error(f"{shown(after[:100])} after the array", "expected one array, or objects in lines")
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise _not_json(lines, text[at : at + 100]) from error
        yield value
        at = _after_space(text, at)
        if text[at : at + 1] not in (",", "]"):
            raise _not_json(lines, text[at : at + 100])
        at += text[at] == ","


def _after_space(text: str, at: int) -> int:
    return SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too


def _not_json(lines: TextLines, text: str) -> RowError:
    return lines.error(f"not JSON: {shown(text.strip())}", f"expected one object a line, {WRITES}, or an array of them")


def _object(lines: TextLines, value: Any) -> Row:
    if not isinstance(value, dict):
        raise lines.error(f"not a JSON object: {shown(value)}", f"expected objects, {WRITES}")
    return value
