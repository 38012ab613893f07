"""Files with texts as documents. A document (a song, a poem, a few scenes' lines) is never on both sides of a split.

What cannot be used raises DataError with the file's name and the line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from objectives._contract import DataError
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.content import first_of, foreign
from objectives._data.kit.json_rows import JSON_SUFFIXES, json_rows, text_in
from objectives._data.kit.lines import TextLines, is_missing, plain_name, shown
from objectives._data.kit.packed import name_within
from objectives._data.kit.sources import listed
from objectives._data.kit.split import ROLES
from objectives._data.kit.tables import Records, places_of, separator_of, wrong_width

EXPECTED = "a .txt, a .csv, .parquet or JSON with a column text, or a directory of .txt, gzip or not"
CHUNK_CHARACTERS = 4000
LONGEST = 10 * CHUNK_CHARACTERS  # a longer document is cut once more
# Where a text may be cut, the best places first: after a blank line, a line, a sentence, a word, anywhere.
ENDS = (
    re.compile(r"^[^\S\n]*\n", re.MULTILINE),
    re.compile(r"\n"),
    re.compile(r"[.!?\u2026][\"'\u00bb\u201d\u2019)\]]*\s+|[\u3002\uff01\uff1f]+"),
    re.compile(r"\s+"),
    re.compile(rf".{{{CHUNK_CHARACTERS}}}", re.DOTALL),
)
TEXTS = ("text", "lyrics", "lyric")  # the columns that may hold the texts, the best first
# Others, where one is alone: "Song Lyrics", "poem_text".
LIKE_TEXTS = re.compile(r"(^|_)(text|poem|content)s?$|^lines$|lyrics?$")
NAME = re.compile(r"\w[\w ]*")  # of a column, in a header


Texts = Iterator[tuple[str, str]]  # each with where it is
Reader = Callable[[Path, Counter[str] | None, bool], Iterator[str]]


def read_table(path: Path, notices: Counter[str] | None = None, drop_empty: bool = False) -> Iterator[str]:
    """The documents of a table with a column text, lyrics or lyric, such as Kaggle's songdata.csv."""
    return _not_empty(path, _in_table(path, notices), notices, drop_empty)


def read_rows(path: Path, notices: Counter[str] | None = None, drop_empty: bool = False) -> Iterator[str]:
    """The documents of JSON rows with a key text, lyrics or lyric; others are ignored."""
    return _not_empty(path, _in_rows(path, notices), notices, drop_empty)


def _in_table(path: Path, notices: Counter[str] | None = None) -> Texts:
    with TextLines(path, expected=EXPECTED, notices=notices) as lines:
        rows = Records(lines, TEXTS)
        _, header = next(rows, (1, []))
        names = list(map(plain_name, header))
        found = _column_of_texts(names)
        if found is None:
            raise lines.error(
                f"no column {' or '.join(TEXTS)} in {shown(','.join(header))}",
                "expected a header with one of them, such as artist,song,link,text: rename the column of the texts, or "
                "write that line if it is missing",
            )
        [column] = places_of([found], header, lines, "it once", {})
        for number, fields in rows:
            if len(fields) != len(names):
                raise wrong_width(lines, len(fields), len(names), number)
            yield f"line {number}", fields[column]


def _in_rows(path: Path, notices: Counter[str] | None = None) -> Texts:
    with TextLines(path, expected=EXPECTED, notices=notices) as lines:
        for row in json_rows(lines):
            name = _column_of_texts(list(map(plain_name, row))) or TEXTS[0]
            yield f"line {lines.number}", text_in(lines, row, name, f"text in {' or '.join(TEXTS)}")


def with_returns(path: Path) -> str:
    """The mark of a table with carriage returns in its texts, which older programs kept; see kit.hashes."""
    texts = _in_rows if reader(path) is read_rows else _in_table
    try:
        return " in lines" if any("\r" in text for _, text in texts(path)) else ""
    except DataError:  # reading will say
        return ""


def _column_of_texts(names: Sequence[str]) -> str | None:
    """The column, in lower case, that holds the texts: the best of TEXTS, or the only one with such a word in it."""
    found = next((name for name in TEXTS if name in names), None)
    like = [name for name in names if LIKE_TEXTS.search(name)]
    return found if found is not None or len(like) != 1 else like[0]


def read_directory(path: Path, notices: Counter[str] | None = None, drop_empty: bool = False) -> Iterator[str]:
    """The documents of a directory, one in each .txt in it or below; a longer one than LONGEST is cut as a text is."""
    texts = ((str(file.relative_to(path)), _whole(file, notices)) for file in texts_below(path))
    for text in _not_empty(path, texts, notices, drop_empty):
        yield from [text] if len(text) <= LONGEST else _cut(text, 0)


def texts_below(directory: Path) -> list[Path]:
    """The texts in a directory and below it, sorted; hidden ones are none. Raises DataError where there are none."""
    texts = texts_in(directory)
    if not texts:
        raise DataError(f"{directory} holds no .txt; expected {EXPECTED}")
    return texts


def texts_in(directory: Path) -> list[Path]:
    """The texts in a directory and below it, sorted, perhaps none."""
    below = (path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file())
    texts = [path for path in below if _kind(path) == ".txt" and not any(part.startswith(".") for part in path.parts)]
    return [directory / path for path in texts]


def _not_empty(path: Path, texts: Texts, notices: Counter[str] | None, drop_empty: bool) -> Iterator[str]:
    """The texts that are not empty, with plain line ends; raises DataError for the others, unless they go."""
    empty = []
    for where, text in texts:
        if not is_missing(text):
            yield text.replace("\r\n", "\n").replace("\r", "\n").strip()
        else:
            empty.append(where)
    if empty and not drop_empty:
        found = f"{empty[0]}: an empty text" if len(empty) == 1 else f"{len(empty):,} empty texts ({listed(empty)})"
        raise DataError(f"{path}, {found}; fill them in, or leave them out with {path}:drop_empty=yes")
    if empty and notices is not None:
        notices["empty_texts_left_out"] = len(empty)


def read_text(path: Path, notices: Counter[str] | None = None, drop_empty: bool = False) -> Iterator[str]:
    """The documents of a plain text, CHUNK_CHARACTERS or a little more each; it has no empty ones.

    They end at blank lines. One longer than LONGEST is cut at line ends, else at ends of sentences, words or anywhere;
    and so is the whole text where fewer than three different documents came out.
    """
    text = _whole(path, notices)
    documents: list[str] = []
    for level in range(len(ENDS)):
        documents = list(_cut(text, level))
        if len(set(documents)) >= len(ROLES):
            break
    yield from documents


def read_otherwise(path: Path) -> str:
    """The mark of a text that older programs read as longer documents, or as one line; see kit.hashes."""
    try:
        with TextLines(path, expected=EXPECTED) as lines:
            text = _joined(lines)
    except DataError:  # reading will say
        return ""
    if lines.mac_ends:
        return " in lines"
    *before, _ = text.split("\n")[:-1] or [""]
    documents = list(_chunks(text, 0 if any(not line.strip() for line in before) else 1))
    read_before = len(set(documents)) >= len(ROLES)
    return " cut shorter" if read_before and max(map(len, documents)) > LONGEST else ""


def _whole(path: Path, notices: Counter[str] | None) -> str:
    with TextLines(path, expected=EXPECTED, notices=notices) as lines:
        return _joined(lines)


def _joined(lines: TextLines) -> str:
    return "".join(line.rstrip("\r\n") + "\n" for line in lines)


def _cut(text: str, level: int) -> Iterator[str]:
    for document in _chunks(text, level):
        if len(document) > LONGEST and level + 1 < len(ENDS):
            yield from _cut(document, level + 1)
        else:
            yield document


def _chunks(text: str, level: int) -> Iterator[str]:
    """Units of a text in a row, together CHUNK_CHARACTERS or a little more."""
    chunk: list[str] = []
    size = 0
    for unit in _units(text, ENDS[level]):
        chunk.append(unit)
        size += len(unit)
        if size >= CHUNK_CHARACTERS:
            yield from filter(None, ["".join(chunk).strip()])
            chunk, size = [], 0
    yield from filter(None, ["".join(chunk).strip()])


def _units(text: str, end: re.Pattern[str]) -> Iterator[str]:
    begin = 0
    for match in end.finditer(text):
        yield text[begin : match.end()]
        begin = match.end()
    yield text[begin:]


def reader(path: Path) -> Reader:
    """Return the reader for a file, by its name, or where that says nothing by its content, or for a directory.

    Raises DataError.
    """
    if path.is_dir():
        return read_table if is_table(path) else read_directory
    found = READERS.get(_kind(path))
    if found in (None, read_text):
        found = _table_in(path) or found
    if found is None:
        is_now = foreign(first_of(path)) or "not a known form of texts"
        raise DataError(f"{path} is {is_now}; expected {EXPECTED}: rename it if it is one of them")
    return found


def is_table(directory: Path) -> bool:
    """Whether a directory is a table of Parquet files, and not texts."""
    return bool(parts_of(directory)) and not texts_in(directory)


def _table_in(path: Path) -> Reader | None:
    """The reader for a table whose name does not say so, by its first line; None for what is none."""
    try:
        with TextLines(path, expected=EXPECTED) as lines:
            first = lines.first()
    except DataError:  # reading will say
        return None
    if re.match(r'\s*(\[\s*)?{\s*"', first):
        return read_rows
    names = [field.strip(' "\r\n') for field in first.split(separator_of(first, TEXTS))]
    has_texts = set(TEXTS) & set(map(plain_name, names))
    return read_table if len(names) > 1 and has_texts and all(map(NAME.fullmatch, names)) else None


def _kind(path: Path) -> str:
    return Path(name_within(path)).suffix


READERS: dict[str, Reader] = {
    ".txt": read_text,
    **dict.fromkeys((".csv", ".tsv", ".parquet", ".feather"), read_table),
    **dict.fromkeys(JSON_SUFFIXES, read_rows),
}
