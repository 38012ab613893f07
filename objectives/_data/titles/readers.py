"""The three forms of files with product titles, each read as a stream of (text, category).

A row that cannot be read raises DataError with the file's name and the line: if it were left out silently, two people's
scores would differ for no visible reason. Whether a title or a category is empty is for the reader's caller to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from objectives._contract import DataError
from objectives._data.kit.lines import TextLines, shown
from objectives._data.kit.tables import Records, separator_of

LabelledTitles = Iterator[tuple[str, str]]

PRICERUNNER_COLUMNS = (
    "product_id",
    "title",
    "merchant_id",
    "cluster_id",
    "cluster_label",
    "category_id",
    "category",
)
EMPTIED = "!"  # has no word: a title of which the course's own cleaning left nothing
EXPECTED = "a .csv with the columns title and category, PriceRunner's, or JSON lines, gzip or not"
# What programs write where a category is missing.
NO_CATEGORY = frozenset({"", "nan", "none", "null", "n/a", "<na>"})


def read_pricerunner(lines: TextLines, column: str) -> LabelledTitles:
    """The titles of a PriceRunner file; `column` is the one of PRICERUNNER_COLUMNS that holds the class."""
    wanted = PRICERUNNER_COLUMNS.index(column)
    for _, fields in Records(lines):
        if len(fields) != len(PRICERUNNER_COLUMNS):
            raise lines.error(
                f"{len(fields)} columns",
                f"expected the {len(PRICERUNNER_COLUMNS)} of {','.join(PRICERUNNER_COLUMNS)}",
            )
        yield fields[1], fields[wanted].strip()


def read_challenge(lines: TextLines, language: str) -> LabelledTitles:
    """The titles of a CSV file with a header like the challenge's; `language` keeps the rows in it, "" keeps all.

    Rows of either label quality are kept, as in the challenge's own test.
    """
    rows = Records(lines, ("title", "category"))
    _, first = next(rows, (1, []))
    header = [name.strip().lower() for name in first]
    needed = ["title", "category", *(["language"] if language else [])]
    for name in needed:
        if name not in header:
            raise lines.error(f"no column {name!r} in {shown(','.join(header))}", f"expected {', '.join(needed)}")
    title, category = header.index("title"), header.index("category")
    spoken = header.index("language") if language else -1
    for _, fields in rows:
        if len(fields) != len(header):
            raise lines.error(f"{len(fields)} columns", f"expected {len(header)} as in the header")
        if not language or fields[spoken] == language:
            yield fields[title], fields[category].strip()


def read_course(lines: TextLines, language: str) -> LabelledTitles:
    """The titles of JSON lines like the course's: the words of `tokenized_title` if there are any, else `title`.

    The course's token ids (`data`) are not used: their vocabulary was built on the test rows too.
    """
    for line in lines:
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise lines.error(f"not JSON: {shown(line.strip())}", "expected one JSON object a line") from error
        if not isinstance(row, dict):
            raise lines.error(f"not a JSON object: {shown(row)}", "expected one JSON object a line")
        if language and row.get("language") != language:
            continue
        for name in ("title", "category"):
            if not isinstance(row.get(name), str):
                found = f"{name!r} is {shown(row[name])}" if name in row else f"no {name!r}"
                raise lines.error(found, "expected text in 'title' and in 'category'")
        title, words = row["title"], row.get("tokenized_title")
        if words is not None and title.strip():
            title = _joined(lines, words) or EMPTIED
        yield title, row["category"].strip()


def recognise(path: Path) -> str:
    """Which form a file has, by its first line: "pricerunner", "challenge" or "course". Raises DataError."""
    with TextLines(path, expected=EXPECTED) as lines:
        first = next((line for line in lines if not line.isspace()), None)
        if first is None:
            raise DataError(f"{path} is empty; expected a file of titles and their categories")
        if first.lstrip().startswith("{"):
            return "course"
        fields = [field.strip() for field in first.split(separator_of(first, ("title", "category")))]
        if {"title", "category"} & {field.lower().strip('"') for field in fields}:
            return "challenge"
        if len(fields) >= len(PRICERUNNER_COLUMNS) and fields[0].isdigit():
            return "pricerunner"
        raise lines.error(
            f"not a known form: {shown(first.strip())}",
            f"expected a header with the columns title and category, PriceRunner's {len(PRICERUNNER_COLUMNS)} columns "
            "without one, or JSON lines: an object in each line",
        )


READERS: dict[str, Callable[[TextLines, str], LabelledTitles]] = {
    "pricerunner": read_pricerunner,
    "challenge": read_challenge,
    "course": read_course,
}


def unusable(title: str, category: str) -> str:
    """What keeps a row from being used, "" if nothing does."""
    if not title or title.isspace():
        return "an empty title"
    return f"the category is {shown(category)}" if category.lower() in NO_CATEGORY else ""


def _joined(lines: TextLines, words: Any) -> str:
    try:
        return " ".join(words) if isinstance(words, list) else words + ""
    except TypeError:
        raise lines.error(f"'tokenized_title' is {shown(words)}", "expected a list of words") from None
