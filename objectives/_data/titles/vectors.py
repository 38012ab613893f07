"""Pre-trained vectors for a vocabulary, from word2vec's text form (with a header) or GloVe's (without)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data.kit.lines import TextLines, plural, shown
from objectives._data.titles.vocabulary import PAD, SPECIAL_WORDS

LOW = 0.2  # of the words: with fewer, the vectors may be of another language
REPORT_EVERY = 1 << 14  # lines


def load_vectors(
    path: Path, vocabulary: Sequence[str], *, seed: int, progress: Progress = silent
) -> tuple[NDArray[np.float32], int]:
    """The vectors of `vocabulary`'s words, float32 (len(vocabulary), width), and how many the file has.

    The width is the file's. A word that is not in the file gets a random row with the spread of the rows that were
    found; padding gets zeros. The file may have a word in any letter case; its own case wins. The same seed gives the
    same rows.
    Raises DataError with the file and the line: a line of another width, a value that is not a number, bytes that are
    neither UTF-8 nor Latin-1, a truncated file, a file with none of the words.
    """
    number_of = {word: number for number, word in enumerate(vocabulary)}
    found: dict[int, NDArray[np.float32]] = {}
    exact: set[int] = set()
    width = 0
    with TextLines(path, expected="word vectors as text, gzip or not") as lines:
        for word, values, width in _entries(lines):  # noqa: B007
            if not lines.number % REPORT_EVERY:
                progress(f"reading {path.name}", lines.fraction)
            number = number_of.get(word)
            is_exact = number is not None
            if number is None:
                number = number_of.get(word.lower())
            if number is None or number in exact or (number in found and not is_exact):
                continue
            found[number] = _parsed(lines, word, values)
            if is_exact:
                exact.add(number)
        progress(f"reading {path.name}", 1.0)
    n_words = len(vocabulary) - len(SPECIAL_WORDS)
    covered = f"{path.name} has {len(found):,} of {n_words:,} words ({percent(len(found), n_words)} %)"
    progress(covered if len(found) >= LOW * n_words else f"{covered}: is it of another language?", 1.0)
    if not found:
        raise DataError(f"{path} has a vector for none of the {len(vocabulary)} words; is it another language?")
    numbers = np.fromiter(found, dtype=np.int64)
    rows = np.stack(list(found.values()))
    vectors = np.random.default_rng(seed).standard_normal((len(vocabulary), width), dtype=np.float32)
    vectors *= rows.std()
    vectors[numbers] = rows
    vectors[PAD] = 0
    return vectors, len(found)


def percent(n_found: int, n_words: int) -> int:
    """How many of 100 words have a vector, rounded down: 0 and 100 mean none and all, or nearly none."""
    return 100 * n_found // max(1, n_words)


def _entries(lines: TextLines) -> Iterator[tuple[str, str, int]]:
    """Each line's word, its values as text, and the width; checks the widths and the header's count."""
    width, promised, n_words = 0, None, 0
    for line in lines:
        fields = line.rstrip().split(" ", 2)
        if lines.number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
            promised, width = int(fields[0]), int(fields[1])
            continue
        word, _, values = line.rstrip().partition(" ")
        n_values = len(values.split())
        width = width or n_values
        if n_values > width:
            # GloVe has a few words with spaces in them, such as ". . ."
            surplus, values = values.split()[:-width], " ".join(values.split()[-width:])
            if all(map(_is_number, surplus)):
                raise lines.error(f"{plural(n_values, 'value')} for {shown(word)}", f"expected {width}")
            word = " ".join([word, *surplus])
        elif n_values < width or not n_values:
            expected = width or "a word and its vector"
            raise lines.error(f"{plural(n_values, 'value')} for {shown(word)}", f"expected {expected}")
        n_words += 1
        yield word, values, width
    if promised is not None and n_words != promised:
        raise lines.error(
            f"the file ends after {plural(n_words, 'word')}, its header says {promised}", "get the file again"
        )
    if not n_words:
        raise DataError(f"{lines.path} is empty; expected a word and its vector in each line")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parsed(lines: TextLines, word: str, values: str) -> NDArray[np.float32]:
    try:
        vector = np.array(values.split(), dtype=np.float32)
    except ValueError as error:
        raise lines.error(f"a value of {shown(word)} is not a number", "expected numbers") from error
    if not np.isfinite(vector).all():
        raise lines.error(f"a value of {shown(word)} is not finite", "expected numbers")
    return vector
