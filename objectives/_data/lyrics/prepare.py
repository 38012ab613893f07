"""Songs, poems and plays as numbers: prepared once on a machine into memory-mapped arrays, as words and as characters.

    lyrics = load_lyrics("sonnets", data, cache)
    words = lyrics.tokens["word"]
    words.train.numbers[words.train.offsets[0] : words.train.offsets[1]]  # the first document and its end

Documents get roles by their content; a vocabulary is that of the train documents.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress, silent
from objectives._data.kit.disk import write_json
from objectives._data.kit.preparation import ArrayDirectory, Hashes, prepare_arrays
from objectives._data.kit.split import ROLES, carve, content_key
from objectives._data.lyrics.data import Lyrics, Stream, Tokens
from objectives._data.lyrics.readers import reader
from objectives._data.lyrics.sources import locate, rights
from objectives._data.lyrics.tokens import END, KINDS, SPECIAL, UNKNOWN, split_tokens, split_words

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
HELD_OUT = 0.15  # of the documents, for validation and again for test
MIN_COUNT = 2  # rarer tokens train as unknown: validation documents will have unknown tokens, too


def load_lyrics(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Lyrics:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a .csv or a .txt (see readers). data: the directory of full data sets.
    cache: where prepared ones are kept. Raises DataError.
    """
    path = locate(dataset, data)
    options = {
        "preparer": f"lyrics {PREPARER_VERSION}",
        "form": reader(path).__name__,
        "held_out": HELD_OUT,
        "split": "by document",
        "min_count": MIN_COUNT,
    }

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        return {"options": options, "rights": rights(dataset), **_build(path, directory, progress)}

    arrays = prepare_arrays(
        "lyrics",
        {"": path},
        cache,
        progress,
        about={"name": dataset},
        identity=lambda hashes: {"content": hashes[""], "options": options},
        build=build,
    )
    manifest = arrays.manifest
    tokens = {kind: _open(arrays, kind, manifest) for kind in KINDS}
    return Lyrics(dataset, arrays.sha256, manifest["counts"], tokens, arrays.path)


def _open(arrays: ArrayDirectory, kind: str, manifest: Mapping[str, Any]) -> Tokens:
    def stream(role: str) -> Stream:
        numbers, offsets = (arrays.array(f"{kind}.{role}.{part}") for part in ("numbers", "offsets"))
        nats = (manifest[which][kind][role] for which in ("spelling_nats", "unigram_nats"))
        return Stream(numbers, offsets, manifest["characters"][role], *nats)

    train, validation, test = map(stream, ROLES)
    return Tokens(kind, arrays.json(f"{kind}.vocabulary"), train, validation, test)


def _build(path: Path, directory: Path, progress: Progress) -> dict[str, Any]:
    """Write all arrays into `directory`; return the manifest's other entries."""
    progress(f"reading {path.name}", 0.0)
    documents = list(reader(path)(path))
    roles = _roles(path, documents)
    counts = {"documents": len(documents)} | {role: int(np.count_nonzero(roles == role)) for role in ROLES}
    facts: dict[str, Any] = {
        "counts": counts,
        "characters": {
            role: sum(len(documents[index]) + 1 for index in np.flatnonzero(roles == role)) for role in ROLES
        },
        "spelling_nats": {},
        "unigram_nats": {},
    }
    spelling = _spelling([documents[index] for index in np.flatnonzero(roles == "train")])
    for place, kind in enumerate(KINDS):
        progress(f"numbering {kind}s", place / len(KINDS))
        vocabulary = _vocabulary((documents[index] for index in np.flatnonzero(roles == "train")), kind)
        numbers = {token: number for number, token in enumerate(vocabulary)}
        write_json(directory / f"{kind}.vocabulary.json", vocabulary)
        frequencies = np.ones(len(vocabulary))
        facts["spelling_nats"][kind], facts["unigram_nats"][kind] = {}, {}
        for role in ROLES:
            written, offsets, nats = [], [0], 0.0
            for index in np.flatnonzero(roles == role):
                tokens = split_tokens(documents[index], kind)
                coded = [numbers.get(token, UNKNOWN) for token in tokens]
                nats += sum(
                    _spelled(token, spelling) for token, number in zip(tokens, coded, strict=True) if number == UNKNOWN
                )
                written.append(np.array([*coded, END], dtype=np.int32))
                offsets.append(offsets[-1] + len(written[-1]))
            stream = np.concatenate(written)
            np.save(directory / f"{kind}.{role}.numbers.npy", stream)
            np.save(directory / f"{kind}.{role}.offsets.npy", np.array(offsets, dtype=np.int64))
            facts["spelling_nats"][kind][role] = nats
            of_role = np.bincount(stream, minlength=len(vocabulary))
            if role == "train":
                frequencies += of_role
                counts |= {f"{kind}s": len(stream), f"different_{kind}s": len(vocabulary)}
            nats_of = np.log(frequencies.sum()) - np.log(frequencies)  # train is the first role
            facts["unigram_nats"][kind][role] = float(of_role @ nats_of / len(stream))
    progress("numbering tokens", 1.0)
    return facts


def _roles(path: Path, documents: list[str]) -> NDArray[np.str_]:
    """Each document's role, shape (n,); documents with the same words have the same role."""
    keys = np.array([content_key(" ".join(split_words(text)).encode()) for text in documents], dtype=np.uint64)
    roles = np.full(len(documents), "train", dtype="<U10")
    for role in ("test", "validation"):
        rows = np.flatnonzero(roles == "train")
        roles[rows[carve(keys[rows], np.zeros(len(rows), np.int64), HELD_OUT)]] = role
    if not all(np.any(roles == role) for role in ROLES):
        n = len(np.unique(keys))
        raise DataError(
            f"{path} holds {n} different document{'s'[: n != 1]}, too few to train, validate and test on; give it at "
            "least 3 (songs, poems, or 4,000 characters of plain text each)"
        )
    return roles


def _vocabulary(documents: Any, kind: str) -> list[str]:
    """The tokens seen MIN_COUNT times, the most frequent first; equal ones by the alphabet."""
    counts = Counter(token for text in documents for token in split_tokens(text, kind))
    frequent = (token for token, count in counts.items() if count >= MIN_COUNT)
    return [*SPECIAL, *sorted(frequent, key=lambda token: (-counts[token], token))]


def _spelling(documents: list[str]) -> dict[str, float]:
    """Nats of each character at its frequency among all, one added; "" stands for a word's end, "new" for any other."""
    counts = Counter("".join(documents).lower()) + Counter({"": sum(map(len, map(split_words, documents)))})
    total = sum(counts.values()) + len(counts)
    return {"new": math.log(total)} | {character: math.log(total / (count + 1)) for character, count in counts.items()}


def _spelled(token: str, spelling: Mapping[str, float]) -> float:
    return sum(spelling.get(character, spelling["new"]) for character in token.lower()) + spelling[""]
