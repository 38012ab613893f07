"""From the rows of a source to the arrays of each role: one pass over the files (spool), one over what it wrote."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.disk import write_array, write_json
from objectives._data.kit.lines import plural
from objectives._data.kit.sources import N_LISTED, listed
from objectives._data.kit.split import ROLES
from objectives._data.titles.sources import TitleSource
from objectives._data.titles.split import LEFT_OUT, by_title, missing_role, split
from objectives._data.titles.spool import NO_WORD, Spool, spool, tokens_of
from objectives._data.titles.vocabulary import SPECIAL_WORDS, UNK

MAX_WORDS = 50_000
MIN_COUNT = 2


def write_arrays(source: TitleSource, directory: Path, progress: Progress) -> dict[str, int]:
    """Write all arrays of `source` into `directory`; return the counts worth showing."""
    spooled = spool(source, directory, progress)
    roles = roles_of(source, spooled)
    label_map, classes = _renumber_classes(spooled, roles)
    word_map, vocabulary = _renumber_words(spooled, np.flatnonzero(roles == 0))
    write_json(directory / "classes.json", classes)
    write_json(directory / "vocabulary.json", vocabulary)
    counts = {"rows": int(np.count_nonzero(roles != LEFT_OUT))}
    longest = 0
    for number, role in enumerate(ROLES):
        progress("writing the arrays", number / len(ROLES))
        rows = np.flatnonzero(roles == number)
        counts[role] = len(rows)
        np.save(directory / f"{role}.labels.npy", label_map[spooled.labels[rows]])
        longest = max(longest, _write_tokens(spooled, rows, word_map, directory, role))
    scored = (roles == 1) | (roles == 2)
    repeated = np.isin(spooled.titles[scored], spooled.titles[roles == 0])
    counts |= {
        "classes": len(classes),
        "vocabulary": len(vocabulary),
        "longest_title": longest,
        "scored_titles_also_in_train": int(np.count_nonzero(repeated)),
        **spooled.notices,
        **_spelt_in_several_ways(classes),
    }
    for path in directory.glob("spool.*"):
        path.unlink()
    progress("writing the arrays", 1.0)
    return counts


def roles_of(source: TitleSource, spooled: Spool) -> NDArray[np.uint8]:
    """Each row's role, an index into ROLES or LEFT_OUT, shape (n,). Raises DataError when a role lacks a class."""
    for role, path in source.files.items():
        if not spooled.n_rows[role]:
            only = f" in {source.argument}" if source.form != "pricerunner" and source.argument else ""
            raise DataError(f"{path} has no rows{only}; expected titles and their categories")
    kept = _kept_classes(source, spooled)[spooled.labels]
    roles = np.full(len(spooled.labels), LEFT_OUT, dtype=np.uint8)
    if "" in source.files:
        roles[kept] = split(spooled.titles[kept], spooled.labels[kept])
        needed = range(len(ROLES))
    else:
        given = np.repeat([ROLES.index(role) for role in source.files], list(spooled.n_rows.values()))
        roles[kept] = given[kept]
        needed = range(1)  # a given split may test fewer classes, but what it tests must have been trained
    missing = missing_role(roles, spooled.labels, needed)
    if missing:
        raise _too_small(source, spooled, missing)
    return roles


def _kept_classes(source: TitleSource, spooled: Spool) -> NDArray[np.bool_]:
    """Whether a class, by its number, is large enough for `min_rows` and the option drop_classes_below.

    That option counts the different titles that no class before it has, or with a given split those to train on.
    Raises DataError unless two are left.
    """
    n_of_class = np.bincount(spooled.labels)
    kept = n_of_class >= source.min_rows
    least = source.options.get("drop_classes_below", 0)
    if least:
        rows = slice(None) if "" in source.files else slice(spooled.n_rows["train"])
        _, _, class_of_title = by_title(spooled.titles[rows], spooled.labels[rows])
        n_titles = np.bincount(class_of_title, minlength=len(kept))
        kept &= n_titles >= least
        spooled.notices["classes_left_out"] = int(np.count_nonzero(~kept))
        spooled.notices["rows_left_out"] = int(n_of_class[~kept].sum())
    if np.count_nonzero(kept) < 2:
        raise _nothing_to_tell_apart(source, spooled, kept)
    return kept


def _nothing_to_tell_apart(source: TitleSource, spooled: Spool, kept: NDArray[np.bool_]) -> DataError:
    path, names = next(iter(source.files.values())), list(spooled.classes)
    found = f"only one class, {names[int(np.argmax(kept))]!r}," if kept.any() else "no class"
    least = max(source.min_rows, source.options.get("drop_classes_below", 0))
    size = f" of {least} rows or more" if least > 1 else f" in {plural(len(spooled.labels), 'row')}"
    return DataError(f"{path} has {found}{size}; expected 2 or more to tell apart: add rows of another category")


def _too_small(source: TitleSource, spooled: Spool, labels: list[int]) -> DataError:
    """The error for classes that have no row in a role that they need."""
    ours = "" in source.files
    names = list(spooled.classes)
    (path, line), first = spooled.first_rows[labels[0]], names[labels[0]]
    hint = f"leave out such classes with {source.dataset}:drop_classes_below={len(ROLES) if ours else 1}"
    what = "too few to train, validate and test on" if ours else "nothing to train on"
    aside = "capitals and punctuation" if source.recipe.digits else "capitals, digits and punctuation"
    todo = (
        f"give each at least {len(ROLES)} titles that no other class has ({aside} do not count)" if ours else "add some"
    )
    todo += f", or {hint}"
    if len(labels) == 1:
        found = f"has {_size(spooled, labels[0])}, {what}" if ours else "has no row to train on"
        return DataError(f"{path}, line {line}: the class {first!r} {found}; {todo}")
    first_few = labels[:N_LISTED]  # to count the rows of thousands would take long
    sizes = [f"{names[one]!r} from line {spooled.first_rows[one][1]}: {_size(spooled, one)}" for one in first_few]
    found = listed(sizes, len(labels))
    return DataError(f"{path}: {len(labels):,} of {len(names):,} classes have {what} ({found}); {todo}")


def _size(spooled: Spool, label: int) -> str:
    own = spooled.labels == label
    n_titles = len(np.unique(spooled.titles[own]))
    rows, titles = plural(int(np.count_nonzero(own)), "row"), plural(n_titles, "different title")
    return f"{rows} with {titles}"


def _renumber_classes(spooled: Spool, roles: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[str]]:
    """From provisional to final class numbers, and the final classes, by name."""
    names = list(spooled.classes)
    used = np.unique(spooled.labels[roles != LEFT_OUT])
    final = sorted(used, key=lambda label: names[label])
    label_map = np.full(len(names), -1, dtype=np.int32)
    label_map[final] = np.arange(len(final))
    return label_map, [names[label] for label in final]


def _spelt_in_several_ways(classes: Sequence[str]) -> dict[str, int]:
    """How many classes differ from another in capitals, spaces or the way of writing a number alone, if any do."""

    def spelt(name: str) -> str:
        try:
            return str(float(name))
        except ValueError:
            return " ".join(unicodedata.normalize("NFKC", name).casefold().split())

    n = len(classes) - len(set(map(spelt, classes)))
    return {"classes_spelt_in_several_ways": n} if n else {}


def _renumber_words(spooled: Spool, train: NDArray[np.int64]) -> tuple[NDArray[np.int32], list[str]]:
    """From provisional to final word numbers, and the vocabulary of the train rows, most frequent first."""
    counts = np.zeros(len(spooled.words), dtype=np.int64)
    for _, tokens in tokens_of(spooled, train):
        counts += np.bincount(tokens, minlength=len(counts))
    counts[NO_WORD] = 0
    words = list(spooled.words)
    frequent = np.flatnonzero(counts >= MIN_COUNT)
    # Words of equal frequency are sorted by the alphabet, so that the file's order has no influence.
    chosen = sorted(frequent, key=lambda word: (-counts[word], words[word]))[:MAX_WORDS]
    word_map = np.full(len(counts), UNK, dtype=np.int32)
    word_map[chosen] = np.arange(len(chosen)) + len(SPECIAL_WORDS)
    return word_map, [*SPECIAL_WORDS, *(words[word] for word in chosen)]


def _write_tokens(
    spooled: Spool, rows: NDArray[np.int64], word_map: NDArray[np.int32], directory: Path, role: str
) -> int:
    """Write a role's tokens and offsets; return the longest title."""
    lengths = spooled.offsets[rows + 1] - spooled.offsets[rows]
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    np.save(directory / f"{role}.offsets.npy", offsets)
    parts = (word_map[tokens] for _, tokens in tokens_of(spooled, rows))
    write_array(directory / f"{role}.tokens.npy", np.int32, [int(offsets[-1])], parts)
    return int(lengths.max(initial=0))
