"""The forms of files with product titles, each read as a stream of (text, category).

A row that cannot be read raises DataError with the file's name and the line: if it were left out silently, two people's
scores would differ for no visible reason. Whether a title or a category is empty is for the reader's caller to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from objectives._contract import DataError
from objectives._data.kit.json_rows import json_rows, text_in
from objectives._data.kit.lines import RowError, TextLines, is_missing, plain_name, plural, shown
from objectives._data.kit.tables import Records, places_of, renamed, separator_of, wrong_width

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
CLASS_OF_TITLE = ("title", "category")
# What else they may be called, as in data sets of texts and their labels; the best first.
OTHER_NAMES = {
    "title": ("text", "product_title", "product_name"),
    "category": ("label", "class", "product_category", "category_name"),
}
NAMES = (*CLASS_OF_TITLE, *(name for names in OTHER_NAMES.values() for name in names))
EMPTIED = "!"  # has no word: a title of which the course's own cleaning left nothing
EXPECTED = "a .csv or .parquet with the columns title and category, PriceRunner's, or JSON, gzip or not"
N_TRIED = 1000  # rows that tell which of two columns without names is the category


def read_pricerunner(lines: TextLines, column: str) -> LabelledTitles:
    """The titles of a PriceRunner file; `column` is the one of PRICERUNNER_COLUMNS that holds the class."""
    wanted = PRICERUNNER_COLUMNS.index(column)
    for _, fields in Records(lines):
        if len(fields) != len(PRICERUNNER_COLUMNS):
            raise lines.error(
                plural(len(fields), "column"),
                f"expected the {len(PRICERUNNER_COLUMNS)} of {','.join(PRICERUNNER_COLUMNS)}",
            )
        yield fields[1], fields[wanted].strip()


def read_challenge(lines: TextLines, language: str) -> LabelledTitles:
    """The titles of a CSV file with a header like the challenge's; `language` keeps the rows in it, "" keeps all.

    Rows of either label quality are kept, as in the challenge's own test.
    """
    rows = Records(lines, NAMES)
    _, header = next(rows, (1, []))
    needed = [*CLASS_OF_TITLE, *(["language"] if language else [])]
    expected = f"{', '.join(needed)}, once each"
    title, category, *spoken = places_of(needed, header, lines, expected, OTHER_NAMES)
    for _, fields in rows:
        if len(fields) != len(header):
            raise wrong_width(lines, len(fields), len(header))
        if not language or fields[spoken[0]] == language:
            yield fields[title], fields[category].strip()


def read_pairs(lines: TextLines, form: str) -> LabelledTitles:
    """The titles of a CSV file of two columns without a header; form: what `form_of_pairs` says of it."""
    separator, category = form[0], int(form[1])
    lines.notices["files_read_without_a_header"] += 1
    for _, fields in Records(lines, separator=separator):
        if len(fields) != 2:
            raise wrong_width(lines, len(fields), 2)
        yield fields[1 - category], fields[category].strip()


def form_of_pairs(path: Path) -> str:
    """What separates two columns without a header, and which one is the category; "" if it is no such file.

    The category is the column whose values repeat, that of the first row included: a header's name occurs once.
    """
    for separator in "\t|;,":
        try:
            with TextLines(path) as lines:
                rows = [fields for _, fields in islice(Records(lines, separator=separator), N_TRIED)]
        except RowError:
            continue
        if rows and {len(fields) for fields in rows} == {2}:
            counts = [Counter(fields[place].strip() for fields in rows) for place in range(2)]
            category = int(len(counts[1]) < len(counts[0]))
            repeats = counts[category][rows[0][category].strip()] > 1 and 2 * len(counts[category]) <= len(rows)
            if repeats and len(counts[0]) != len(counts[1]):
                return f"{separator}{category}"
    return ""


def read_course(lines: TextLines, argument: str) -> LabelledTitles:
    """The titles of JSON rows like the course's: the words of `tokenized_title` if there are any, else `title`.

    The course's token ids (`data`) are not used: their vocabulary was built on the test rows too.
    """
    for row in json_rows(lines):
        expected = "text in 'title' and in 'category'"
        title, category = (text_in(lines, row, name, expected, OTHER_NAMES[name]) for name in CLASS_OF_TITLE)
        words = row.get("tokenized_title")
        if words is not None and title.strip():
            title = _joined(lines, words) or EMPTIED
        yield title, category.strip()


def recognise(path: Path) -> str:
    """Which form a file has, by its first line: a key of READERS but "pairs"; "" if it is none. Raises DataError."""
    with TextLines(path, expected=EXPECTED) as lines:
        first = next((line for line in lines if not line.isspace()), None)
    if first is None:
        raise DataError(f"{path} is empty; expected a file of titles and their categories")
    if first.lstrip().startswith(("{", "[")):
        return "course"
    fields = [field.strip() for field in first.split(separator_of(first, NAMES))]
    names = list(map(plain_name, fields))
    if set(CLASS_OF_TITLE) & set(names) or set(CLASS_OF_TITLE) <= set(renamed(names, OTHER_NAMES)):
        return "challenge"
    return "pricerunner" if len(fields) >= len(PRICERUNNER_COLUMNS) and fields[0].isdigit() else ""


def has_categories(path: Path) -> bool:
    """Whether the header of a CSV file has a column of categories."""
    with TextLines(path, expected=EXPECTED) as lines:
        _, header = next(Records(lines, NAMES), (1, []))
    return "category" in renamed(header, OTHER_NAMES)


def unknown(path: Path) -> DataError:
    """The error for a file that is of none of the forms."""
    with TextLines(path) as lines:
        first = next(line for line in lines if not line.isspace())
        return lines.error(
            f"not a known form: {shown(first.strip())}",
            "expected columns with the names title and category and commas, semicolons, tabs or bars between them, "
            f"PriceRunner's {len(PRICERUNNER_COLUMNS)} columns, or JSON",
        )


READERS: dict[str, Callable[[TextLines, str], LabelledTitles]] = {
    "pricerunner": read_pricerunner,
    "challenge": read_challenge,
    "course": read_course,
    "pairs": read_pairs,
}


def unusable(title: str, category: str) -> str:
    """What keeps a row from being used, "" if nothing does."""
    if is_missing(title):
        return f"the title is {shown(title)}" if title.strip() else "an empty title"
    return f"the category is {shown(category)}" if is_missing(category) else ""


def _joined(lines: TextLines, words: Any) -> str:
    try:
        return " ".join(words) if isinstance(words, list) else words + ""
    except TypeError:
        raise lines.error(f"'tokenized_title' is {shown(words)}", "expected a list of words") from None
