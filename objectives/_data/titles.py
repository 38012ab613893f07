"""Product titles as numbers: prepared once a machine into memory-mapped arrays that every process shares.

    titles = load_titles("pricerunner", data, cache)
    first = titles.train.tokens[titles.train.offsets[0] : titles.train.offsets[1]]

The source is read once (titles_spool), its rows get roles (titles_split) unless the source gives them, the
vocabulary is built on the train rows alone, and the arrays are written (here). Where a file of word vectors lies beside
the source, the vocabulary's are cut out of it, too, and belong to the data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data._cache import MANIFEST, file_sha256, fingerprint, prepared, write_json
from objectives._data.titles_sources import DATASETS, ORIGINS, Source, locate, raw_files
from objectives._data.titles_split import HELD_OUT, LEFT_OUT, ROLES, SPLIT_SEED, missing_role, split
from objectives._data.titles_spool import NO_WORD, Spool, spool, tokens_of
from objectives._data.tokens import Recipe, tokenizer
from objectives._data.vectors import PAD, load_vectors

__all__ = [
    "DATASETS",
    "ORIGINS",
    "PAD",
    "UNK",
    "Rows",
    "Titles",
    "encoder",
    "load_titles",
    "locate",
    "raw_files",
    "roles_of",
]

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
UNK = PAD + 1
VECTORS_VERSION = 1  # raise it whenever the same file would give other vectors
VECTORS_SEED = 2019  # of the rows of words that the file does not have
SPECIAL_WORDS = ("<pad>", "<unk>")  # no cleaned title holds such a word
MAX_WORDS = 50_000
MIN_COUNT = 2
TOKEN_DTYPE = np.dtype(np.int32)


@dataclass(frozen=True)
class Rows:
    """The rows of one role, memory-mapped and read-only.

    tokens: word numbers of all titles after one another, int32 (t,). offsets: title i is
    tokens[offsets[i]:offsets[i + 1]], never empty, int64 (n + 1,). labels: an index into the classes, int32
    (n,).
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        """How many titles."""
        return len(self.labels)

    def __add__(self, other: Rows) -> Rows:
        """These titles and then the others, in memory."""
        return Rows(
            np.concatenate([self.tokens, other.tokens]),
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.labels, other.labels]),
        )


@dataclass
class Titles:
    """A prepared data set of titles; fulfils `Prepared`.

    summary: rows, rows of each role, classes, words in the vocabulary, longest title in tokens, and how many
    rows to score have a title that was trained on (0 unless the source came with its split); with vectors, how many
    words have one and how wide they are. classes: sorted names. directory: where the arrays are. vectors_file: where
    the words' vectors are, None without any. pad and unk: the numbers of padding and of a word outside the vocabulary.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    train: Rows
    validation: Rows
    test: Rows
    classes: list[str]
    recipe: Recipe
    directory: Path
    vectors_file: Path | None = None
    pad: int = PAD
    unk: int = UNK

    @cached_property
    def vocabulary(self) -> list[str]:
        """The words by number, padding and the unknown word first."""
        words: list[str] = json.loads((self.directory / "vocabulary.json").read_text(encoding="ascii"))
        return words

    def vectors(self) -> NDArray[np.float32] | None:
        """The words' vectors to start from, float32 (words, width); None without any.

        Mapped copy-on-write and anew at each call: torch wraps it without a copy, a row takes memory of one's own only
        once one has trained it, and nobody trains another's.
        """
        return None if self.vectors_file is None else np.load(self.vectors_file, "c")

    @cached_property
    def encode(self) -> Callable[[str], list[int]]:
        """See `encoder`."""
        return encoder(self.recipe, self.vocabulary)

    def with_validation(self) -> Titles:
        """The same, where the validation titles are trained on, too. The vocabulary stays that of the train titles."""
        return replace(self, train=self.train + self.validation)


def encoder(recipe: Recipe, vocabulary: Sequence[str]) -> Callable[[str], list[int]]:
    """A function from a title to its words' numbers, cleaned as in preparation; [unk] when cleaning leaves nothing."""
    tokenize, numbers = tokenizer(recipe), {word: number for number, word in enumerate(vocabulary)}
    return lambda title: [numbers.get(word, UNK) for word in tokenize(title)] or [UNK]


def load_titles(dataset: str, data: Path, cache: Path, progress: Progress = silent, *, language: str = "") -> Titles:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a PriceRunner CSV, a CSV with the challenge's header, JSON lines
    as the course's, or a directory of such. data: the directory of full data sets. cache: where prepared ones
    are kept. language: "spanish" or "portuguese" keeps a path's rows in that language. Raises DataError.
    """
    source = locate(dataset, data, language)
    hashes = {role: file_sha256(path, cache, progress) for role, path in source.files.items()}
    options = _options(source)
    sha256 = fingerprint({"sources": hashes, "options": options})

    def build(directory: Path) -> None:
        counts = _build(source, directory, progress)
        for role, path in source.files.items():
            if file_sha256(path, cache, progress) != hashes[role]:
                raise DataError(f"{path} changed while it was read; wait until it is written and start again")
        manifest = {
            "name": dataset,
            "sha256": sha256,
            "counts": counts,
            "options": options,
            "rights": source.rights,
            "sources": [
                {
                    "role": role or "all",
                    "name": path.name,
                    "bytes": path.stat().st_size,
                    "sha256": hashes[role],
                }
                for role, path in source.files.items()
            ],
        }
        write_json(directory / MANIFEST, manifest)

    directory = prepared(cache, f"titles-{sha256[:32]}", build, progress)
    titles = _open(dataset, sha256, source.recipe, directory)
    return titles if source.vectors is None else _with_vectors(titles, source.vectors, cache, progress)


def _with_vectors(titles: Titles, path: Path, cache: Path, progress: Progress) -> Titles:
    """Return the titles with their words' vectors from the file at `path`, which makes them another data set."""
    content = file_sha256(path, cache, progress)
    options = {"preparer": f"vectors {VECTORS_VERSION}", "seed": VECTORS_SEED}
    sha256 = fingerprint({"titles": titles.sha256, "vectors": content, "options": options})

    def build(directory: Path) -> None:
        vectors, n_found = load_vectors(path, titles.vocabulary, seed=VECTORS_SEED, progress=progress)
        if file_sha256(path, cache, progress) != content:
            raise DataError(f"{path} changed while it was read; wait until it is written and start again")
        np.save(directory / "vectors.npy", vectors)
        counts = {"words_with_vector": n_found, "vector_width": vectors.shape[1]}
        source = {"name": path.name, "sha256": content}
        write_json(
            directory / MANIFEST, {"titles": titles.sha256, "sha256": sha256, "counts": counts, "source": source}
        )

    directory = prepared(cache, f"vectors-{sha256[:32]}", build, progress)
    counts = json.loads((directory / MANIFEST).read_text(encoding="ascii"))["counts"]
    return replace(titles, sha256=sha256, summary={**titles.summary, **counts}, vectors_file=directory / "vectors.npy")


def _options(source: Source) -> dict[str, Any]:
    """Everything but the files' content that decides the arrays."""
    given = "" not in source.files
    rule = {"rule": "as the source gives it"} if given else {"rule": "by title in each class", "held_out": HELD_OUT}
    return {
        "preparer": f"titles {PREPARER_VERSION}",
        "form": source.form,
        "argument": source.argument,
        "min_rows": source.min_rows,
        "recipe": asdict(source.recipe),
        "vocabulary": {"from": "train", "max_words": MAX_WORDS, "min_count": MIN_COUNT},
        "split": rule if given else {**rule, "seed": SPLIT_SEED},
    }


def _open(name: str, sha256: str, recipe: Recipe, directory: Path) -> Titles:
    manifest = json.loads((directory / MANIFEST).read_text(encoding="ascii"))
    classes = json.loads((directory / "classes.json").read_text(encoding="ascii"))

    def rows(role: str) -> Rows:
        return Rows(*(np.load(directory / f"{role}.{part}.npy", "r") for part in ("tokens", "offsets", "labels")))

    train, validation, test = map(rows, ROLES)
    return Titles(name, sha256, manifest["counts"], train, validation, test, classes, recipe, directory)


def _build(source: Source, directory: Path, progress: Progress) -> dict[str, int]:
    """Write all arrays of `source` into `directory`; the counts worth showing."""
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
    }
    for path in directory.glob("spool.*"):
        path.unlink()
    progress("writing the arrays", 1.0)
    return counts


def roles_of(source: Source, spooled: Spool) -> NDArray[np.uint8]:
    """Each row's role, an index into ROLES or LEFT_OUT, shape (n,). Raises DataError when a role lacks a
    class."""
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
    """From provisional to final word numbers, and the vocabulary of the train rows, the most frequent
    first."""
    counts = np.zeros(len(spooled.words), dtype=np.int64)
    for _, tokens in tokens_of(spooled, train):
        counts += np.bincount(tokens, minlength=len(counts))
    counts[NO_WORD] = 0
    words = list(spooled.words)
    frequent = np.flatnonzero(counts >= MIN_COUNT)
    # Words of equal frequency go by the alphabet, so that the file's order has no influence.
    chosen = sorted(frequent, key=lambda word: (-counts[word], words[word]))[:MAX_WORDS]
    word_map = np.full(len(counts), UNK, dtype=np.int32)
    word_map[chosen] = np.arange(len(chosen)) + len(SPECIAL_WORDS)
    return word_map, [*SPECIAL_WORDS, *(words[word] for word in chosen)]


def _write_tokens(
    spooled: Spool, rows: NDArray[np.int64], word_map: NDArray[np.int32], directory: Path, role: str
) -> int:
    """Write a role's tokens and offsets; the longest title."""
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
