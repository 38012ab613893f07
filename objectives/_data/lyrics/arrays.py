"""From the documents of a file to the arrays of each role, as words and as characters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Progress
from objectives._data.kit.disk import write_json
from objectives._data.kit.lines import plural
from objectives._data.kit.split import ROLES, carve, content_key
from objectives._data.lyrics.readers import reader
from objectives._data.lyrics.tokens import END, KINDS, SPECIAL, UNKNOWN, split_tokens, split_words

HELD_OUT = 0.15  # of the documents, for validation and again for test
MIN_COUNT = 2  # rarer tokens train as unknown: validation documents will have unknown tokens, too


def write_arrays(path: Path, directory: Path, progress: Progress, *, drop_empty: bool = False) -> dict[str, Any]:
    """Write all arrays of the file at `path` into `directory`; return the manifest's other entries.

    drop_empty: whether rows without a text are left out, and not an error.
    """
    progress(f"reading {path.name}", 0.0)
    notices = Counter[str]()
    documents = list(reader(path)(path, notices, drop_empty))
    roles = _roles(path, documents)
    parts = {role: [documents[index] for index in np.flatnonzero(roles == role)] for role in ROLES}
    counts = {"documents": len(documents)} | {role: len(part) for role, part in parts.items()} | notices
    facts: dict[str, Any] = {
        "counts": counts,
        "characters": {role: sum(len(text) + 1 for text in part) for role, part in parts.items()},
        "spelling_nats": {},
        "unigram_nats": {},
    }
    spelling = _spelling(parts["train"])
    for place, kind in enumerate(KINDS):
        progress(f"numbering {kind}s", place / len(KINDS))
        vocabulary = _vocabulary(parts["train"], kind)
        write_json(directory / f"{kind}.vocabulary.json", vocabulary)
        numbers = {token: number for number, token in enumerate(vocabulary)}
        streams = {role: _numbered(part, kind, numbers) for role, part in parts.items()}
        for role, (stream, offsets) in streams.items():
            np.save(directory / f"{kind}.{role}.numbers.npy", stream)
            np.save(directory / f"{kind}.{role}.offsets.npy", offsets)
        counts |= {f"{kind}s": len(streams["train"][0]), f"different_{kind}s": len(vocabulary)}
        facts["spelling_nats"][kind] = {
            role: sum((_spelled(text, kind, numbers, spelling) for text in part), start=0.0)
            for role, part in parts.items()
        }
        facts["unigram_nats"][kind] = _unigrams(
            {role: stream for role, (stream, _) in streams.items()}, len(vocabulary)
        )
    progress("numbering tokens", 1.0)
    return facts


def _numbered(
    documents: Sequence[str], kind: str, numbers: Mapping[str, int]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The documents' token numbers, each document closed by END, and where they begin, as in `Stream`."""
    coded = [
        np.array([*(numbers.get(token, UNKNOWN) for token in split_tokens(text, kind)), END], dtype=np.int32)
        for text in documents
    ]
    return np.concatenate(coded), np.cumsum([0, *map(len, coded)], dtype=np.int64)


def _unigrams(streams: Mapping[str, NDArray[np.int32]], n_tokens: int) -> dict[str, float]:
    """Log loss per token of each role under the train tokens' frequencies, one added to each."""
    counts = {role: np.bincount(stream, minlength=n_tokens) for role, stream in streams.items()}
    frequencies = np.ones(n_tokens) + counts["train"]
    nats_of = np.log(frequencies.sum()) - np.log(frequencies)
    return {role: float(counts[role] @ nats_of / len(stream)) for role, stream in streams.items()}


def _roles(path: Path, documents: list[str]) -> NDArray[np.str_]:
    """Each document's role, shape (n,); documents with the same words have the same role."""
    keys = np.array([content_key(" ".join(split_words(text)).encode()) for text in documents], dtype=np.uint64)
    roles = np.full(len(documents), "train", dtype="<U10")
    for role in ("test", "validation"):
        rows = np.flatnonzero(roles == "train")
        roles[rows[carve(keys[rows], np.zeros(len(rows), np.int64), HELD_OUT)]] = role
    if not documents:
        raise DataError(f"{path} is empty; expected songs, poems or plain text")
    if not all(np.any(roles == role) for role in ROLES):
        found = plural(len(np.unique(keys)), "different document")
        raise DataError(
            f"{path} holds {found}, too few to train, validate and test on; give it at "
            "least 3 (songs, poems, or 4,000 characters of plain text each)"
        )
    return roles


def _vocabulary(documents: Sequence[str], kind: str) -> list[str]:
    """The tokens seen MIN_COUNT times, the most frequent first; equal ones by the alphabet."""
    counts = Counter(token for text in documents for token in split_tokens(text, kind))
    frequent = (token for token, count in counts.items() if count >= MIN_COUNT)
    return [*SPECIAL, *sorted(frequent, key=lambda token: (-counts[token], token))]


def _spelling(documents: list[str]) -> dict[str, float]:
    """Nats of each character at its frequency among all, one added; "" stands for a word's end, "new" for any other."""
    counts = Counter("".join(documents).lower()) + Counter({"": sum(map(len, map(split_words, documents)))})
    total = sum(counts.values()) + len(counts)
    return {"new": math.log(total)} | {character: math.log(total / (count + 1)) for character, count in counts.items()}


def _spelled(text: str, kind: str, numbers: Mapping[str, int], spelling: Mapping[str, float]) -> float:
    """Nats to spell the tokens of a text that have no number."""
    return sum(
        sum(spelling.get(character, spelling["new"]) for character in token.lower()) + spelling[""]
        for token in split_tokens(text, kind)
        if numbers.get(token, UNKNOWN) == UNKNOWN
    )
