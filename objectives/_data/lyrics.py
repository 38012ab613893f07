"""Songs, poems and plays as numbers: prepared once a machine into memory-mapped arrays, as words and as characters.

    lyrics = load_lyrics("sonnets", data, cache)
    words = lyrics.tokens["word"]
    words.train.numbers[words.train.offsets[0] : words.train.offsets[1]]  # the first document and its end

Documents get roles by their content; a vocabulary is that of the train documents.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives._contract import DataError, Download, Origin, Progress, silent
from objectives._data._cache import MANIFEST, file_sha256, fingerprint, prepared, write_json
from objectives._data.carve import ROLES, carve, content_key
from objectives._data.lyrics_readers import reader

__all__ = [
    "DATASETS",
    "END",
    "ORIGINS",
    "UNKNOWN",
    "Lyrics",
    "Stream",
    "Tokens",
    "load_lyrics",
    "locate",
    "split_words",
]

PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays
HELD_OUT = 0.15  # of the documents, for validation and again for test
MIN_COUNT = 2  # rarer tokens train as unknown: a validation document will have such, too
END, UNKNOWN = 0, 1
SPECIAL = ("<end>", "<unknown>")
KINDS = ("word", "character")
WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]|\n")
CLOSING, OPENING = set(".,;:!?)]}\n"), set("([{\n")

SAMPLES = Path(__file__).parents[1] / "samples"
BUNDLED = {"sonnets": SAMPLES / "sonnets.csv.gz", "tinyshakespeare": SAMPLES / "tinyshakespeare.txt.gz"}
DATASETS: Mapping[str, str] = {
    "sonnets": "Shakespeare's 154 sonnets, 94,000 characters; ships with the package (public domain).",
    "tinyshakespeare": "A million characters of his plays; ships with the package (public domain).",
    "songdata": "Kaggle's 57,650 song lyrics (songdata.csv), or any file of that form put in its place.",
}
KAGGLE = "https://www.kaggle.com/datasets/mousehead/songlyrics"
ORIGINS: Mapping[str, Origin] = {
    "sonnets": Origin("public domain"),
    "tinyshakespeare": Origin("public domain"),
    "songdata": Origin(
        "the songs' owners have the rights; Kaggle",
        [Download("lyrics/songdata.csv", page=f"{KAGGLE} (an account is needed)")],
    ),
}


@dataclass(frozen=True)
class Stream:
    """The documents of one role, memory-mapped, one after another, each closed by END.

    numbers: token numbers, int32 (t,). offsets: document i is numbers[offsets[i]:offsets[i + 1]], int64 (n + 1,).
    n_characters: of the documents, an end counting as one. spelling_nats: what it would take to spell the unknown
    tokens, each letter and an end at its frequency among the train characters. unigram_nats: log loss per token under
    the train documents' frequencies (one added to each), which is what a model that looks at nothing reaches.
    """

    numbers: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_characters: int
    spelling_nats: float
    unigram_nats: float


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one of KINDS, by number, END and UNKNOWN first."""

    kind: str
    vocabulary: list[str]

    def encode(self, text: str) -> list[int]:
        """Return the numbers of a text's tokens."""
        numbers = {token: number for number, token in enumerate(self.vocabulary)}
        return [numbers.get(token, UNKNOWN) for token in split_tokens(text, self.kind)]

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of these tokens; an end becomes a blank line. Words are lower case, as they were read."""
        tokens = ["\n\n" if number == END else self.vocabulary[number] for number in numbers]
        if self.kind == "character":
            return "".join(tokens)
        text = ""
        for token in tokens:
            closes = token[0] in CLOSING or not text or text[-1] in OPENING
            text += token if closes else f" {token}"
        return text


@dataclass(frozen=True)
class Tokens(Vocabulary):
    """The documents as one kind of tokens."""

    train: Stream
    validation: Stream
    test: Stream


@dataclass
class Lyrics:
    """A prepared data set of texts; fulfils `Prepared`.

    summary: documents, those of each role, and for each kind the train tokens and the vocabulary.
    """

    name: str
    sha256: str
    summary: Mapping[str, int]
    tokens: Mapping[str, Tokens]
    directory: Path

    def with_validation(self) -> Lyrics:
        """The same, where the validation documents are trained on, too. Vocabularies stay those of the train ones.

        Whoever decides by the validation loss, as on halving a rate, then decides by documents that were trained on.
        """
        return replace(
            self,
            tokens={
                kind: replace(tokens, train=_joined(tokens.train, tokens.validation))
                for kind, tokens in self.tokens.items()
            },
        )


def _joined(one: Stream, other: Stream) -> Stream:
    """The documents of both, in memory. What is known of one's spelling and unigrams is kept: nobody scores these."""
    numbers = np.concatenate([one.numbers, other.numbers])
    offsets = np.concatenate([one.offsets, other.offsets[1:] + one.offsets[-1]])
    return replace(one, numbers=numbers, offsets=offsets, n_characters=one.n_characters + other.n_characters)


def load_lyrics(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Lyrics:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a .csv or a .txt (lyrics_readers). data: the directory of full data sets.
    cache: where prepared ones are kept. Raises DataError.
    """
    path = locate(dataset, data)
    content = file_sha256(path, cache, progress)
    options = {
        "preparer": f"lyrics {PREPARER_VERSION}",
        "form": reader(path).__name__,
        "held_out": HELD_OUT,
        "split": "by document",
        "min_count": MIN_COUNT,
    }
    sha256 = fingerprint({"content": content, "options": options})

    def build(directory: Path) -> None:
        facts = _build(path, directory, progress)
        if file_sha256(path, cache, progress) != content:
            raise DataError(f"{path} changed while it was read; wait until it is written and start again")
        rights = "public domain" if dataset in BUNDLED else "a file of the user's own"
        manifest = {"name": dataset, "sha256": sha256, "options": options, "rights": rights, **facts}
        write_json(directory / MANIFEST, manifest)

    directory = prepared(cache, f"lyrics-{sha256[:32]}", build, progress)
    manifest = json.loads((directory / MANIFEST).read_text(encoding="ascii"))
    tokens = {kind: _open(directory, kind, manifest) for kind in KINDS}
    return Lyrics(dataset, sha256, manifest["counts"], tokens, directory)


def locate(dataset: str, data: Path) -> Path:
    """Return the file of `dataset`. Raises DataError that says which file to put where when it is missing."""
    if dataset in BUNDLED:
        return BUNDLED[dataset]
    if dataset == "songdata":
        place = data / "lyrics"
        found = next((path for path in (place / "songdata.csv", place / "songdata.csv.gz") if path.is_file()), None)
        if found is None:
            raise DataError(
                "the data set songdata is not there: put songdata.csv (artist,song,link,text) of Kaggle's "
                f"'55000+ Song Lyrics' into {place}"
            )
        return found
    path = Path(dataset).expanduser()
    if not path.is_file():
        raise DataError(f"there is no data set or file {dataset!r}; give a path or one of {', '.join(DATASETS)}")
    return path


def split_words(text: str) -> list[str]:
    """Return the words of a text, lower case, with punctuation marks and line ends as words of their own."""
    return WORD.findall(text.lower())


def split_tokens(text: str, kind: str) -> list[str]:
    """Return the tokens of a text; kind is one of KINDS."""
    return split_words(text) if kind == "word" else list(text)


def _open(directory: Path, kind: str, manifest: Mapping[str, Any]) -> Tokens:
    vocabulary = json.loads((directory / f"{kind}.vocabulary.json").read_text(encoding="ascii"))

    def stream(role: str) -> Stream:
        numbers, offsets = (np.load(directory / f"{kind}.{role}.{part}.npy", "r") for part in ("numbers", "offsets"))
        nats = (manifest[which][kind][role] for which in ("spelling_nats", "unigram_nats"))
        return Stream(numbers, offsets, manifest["characters"][role], *nats)

    train, validation, test = map(stream, ROLES)
    return Tokens(kind, vocabulary, train, validation, test)


def _build(path: Path, directory: Path, progress: Progress) -> dict[str, Any]:
    """Write all arrays into `directory`; what else is worth keeping."""
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
    """Each document's role, shape (n,); documents of the same words share one."""
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
