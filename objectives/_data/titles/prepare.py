"""Product titles as numbers: prepared once on a machine into memory-mapped arrays that every process shares.

    titles = load_titles("pricerunner", data, cache)
    first = titles.train.tokens[titles.train.offsets[0] : titles.train.offsets[1]]

The source is read once (spool), its rows get roles (split) unless the source has them already, the vocabulary is built
on the train rows alone, and the arrays are written (arrays). If a file of word vectors lies beside the source, the
vectors of the vocabulary's words are copied from it and become part of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from objectives._contract import DataError, Progress, silent
from objectives._data.kit.hashes import Mark
from objectives._data.kit.lines import TextLines
from objectives._data.kit.preparation import Hashes, prepare_arrays
from objectives._data.kit.split import ROLES
from objectives._data.titles.arrays import MAX_WORDS, MIN_COUNT, write_arrays
from objectives._data.titles.data import TitleRows, Titles
from objectives._data.titles.readers import READERS
from objectives._data.titles.sources import TitleSource, locate
from objectives._data.titles.split import HELD_OUT, SPLIT_SEED
from objectives._data.titles.tokens import ENTITY
from objectives._data.titles.vectors import load_vectors, percent
from objectives._data.titles.vocabulary import SPECIAL_WORDS

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
VECTORS_VERSION = 1  # raise it whenever the same file would give other vectors
VECTORS_SEED = 2019  # for the rows of words that the file does not have


def load_titles(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Titles:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a CSV or JSON file in one of readers.READERS' forms, or to a directory of
    them. data: the directory of full data sets. cache: where prepared ones are kept.
    Raises DataError.
    """
    source = locate(dataset, data)
    options = _options(source)

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        counts = write_arrays(source, directory, progress)
        sources = [
            {"role": role or "all", "name": path.name, "bytes": path.stat().st_size, "sha256": hashes[role]}
            for role, path in source.files.items()
        ]
        return {"counts": counts, "options": options, "rights": source.rights, "sources": sources}

    arrays = prepare_arrays(
        "titles",
        source.files,
        cache,
        progress,
        about={"name": dataset},
        identity=lambda hashes: {"sources": hashes, "options": options},
        build=build,
        mark=mark_of(source),
    )
    train, validation, test = (
        TitleRows(*(arrays.array(f"{role}.{part}") for part in ("tokens", "offsets", "labels"))) for role in ROLES
    )
    classes, counts = arrays.json("classes"), arrays.manifest["counts"]
    titles = Titles(dataset, arrays.sha256, counts, train, validation, test, classes, source.recipe, arrays.path)
    return titles if source.vectors is None else _with_vectors(titles, source.vectors, cache, progress)


def mark_of(source: TitleSource) -> Mark:
    """The mark of a file with HTML's entities in its titles, which older programs kept as words; see kit.hashes."""

    def entities_in_titles(path: Path) -> str:
        try:
            with TextLines(path) as lines:
                if not any("&" in line and ENTITY.search(line) for line in lines):
                    return ""
            with TextLines(path) as lines:
                rows = READERS[source.form](lines, source.argument)
                return " entities" if any(ENTITY.search(title) for title, _ in rows) else ""
        except DataError:  # reading will say
            return ""

    entities_in_titles.__name__ += f" {source.form} {source.argument}"
    return entities_in_titles


def _with_vectors(titles: Titles, path: Path, cache: Path, progress: Progress) -> Titles:
    """Return the titles with their words' vectors from the file at `path`, which makes them another data set."""
    options = {"preparer": f"vectors {VECTORS_VERSION}", "seed": VECTORS_SEED}

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        vectors, n_found = load_vectors(path, titles.vocabulary, seed=VECTORS_SEED, progress=progress)
        np.save(directory / "vectors.npy", vectors)
        counts = {"words_with_vector": n_found, "vector_width": vectors.shape[1]}
        return {"counts": counts, "source": {"name": path.name, "sha256": hashes[""]}}

    arrays = prepare_arrays(
        "vectors",
        {"": path},
        cache,
        progress,
        about={"titles": titles.sha256},
        identity=lambda hashes: {"titles": titles.sha256, "vectors": hashes[""], "options": options},
        build=build,
    )
    counts = arrays.manifest["counts"]
    share = percent(counts["words_with_vector"], len(titles.vocabulary) - len(SPECIAL_WORDS))
    summary = {**titles.summary, **counts, "percent_of_words_with_vector": share}
    return replace(titles, sha256=arrays.sha256, summary=summary, vectors_file=arrays.path / "vectors.npy")


def _options(source: TitleSource) -> dict[str, Any]:
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
        **source.options,
    }
