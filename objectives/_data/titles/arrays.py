"""From the rows of a source to the arrays of each role: one pass over the files (spool), one over what it wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.disk import write_json
from objectives._data.kit.split import ROLES
from objectives._data.titles.sources import TitleSource
from objectives._data.titles.split import LEFT_OUT, missing_role, split
from objectives._data.titles.spool import NO_WORD, Spool, spool, tokens_of
from objectives._data.titles.vocabulary import SPECIAL_WORDS, UNK

MAX_WORDS = 50_000
MIN_COUNT = 2
TOKEN_DTYPE = np.dtype(np.int32)


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
    n_of_class = np.bincount(spooled.labels)
    kept = (n_of_class >= source.min_rows)[spooled.labels]
    if not kept.any():
        raise DataError(f"{source.files['']} has no class of {source.min_rows} rows; give it more rows")
    roles = np.full(len(spooled.labels), LEFT_OUT, dtype=np.uint8)
    if "" in source.files:
        roles[kept] = split(spooled.titles[kept], spooled.labels[kept])
        needed = range(len(ROLES))
    else:
        roles[:] = np.repeat([ROLES.index(role) for role in source.files], list(spooled.n_rows.values()))
        needed = range(1)  # a given split may test fewer classes, but what it tests must have been trained
    missing = missing_role(roles, spooled.labels, needed)
    if missing is not None:
        raise _too_small(spooled, missing, "" in source.files)
    return roles


def _too_small(spooled: Spool, label: int, ours: bool) -> DataError:
    path, line = spooled.first_rows[label]
    name = list(spooled.classes)[label]
    if not ours:
        return DataError(f"{path}, line {line}: the class {name!r} has no row to train on; add one or remove it")
    own = spooled.labels == label
    n_titles = len(np.unique(spooled.titles[own]))
    rows, titles = _counted(int(np.count_nonzero(own)), "row"), _counted(n_titles, "different title")
    return DataError(
        f"{path}, line {line}: the class {name!r} has {rows} with {titles}, too few to train, validate and "
        "test on; give it at least 3 titles that no other class has, or remove it"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _renumber_classes(spooled: Spool, roles: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[str]]:
    """From provisional to final class numbers, and the final classes, by name."""
    names = list(spooled.classes)
    used = np.unique(spooled.labels[roles != LEFT_OUT])
    final = sorted(used, key=lambda label: names[label])
    label_map = np.full(len(names), -1, dtype=np.int32)
    label_map[final] = np.arange(len(final))
    return label_map, [names[label] for label in final]


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
    header = {"descr": TOKEN_DTYPE.str, "fortran_order": False, "shape": (int(offsets[-1]),)}
    # Written, not mapped: on a full disk a write fails with an error, a mapped page with a signal that kills.
    with (directory / f"{role}.tokens.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _, tokens in tokens_of(spooled, rows):
            file.write(word_map[tokens].astype(TOKEN_DTYPE, copy=False).data)
    return int(lengths.max(initial=0))
