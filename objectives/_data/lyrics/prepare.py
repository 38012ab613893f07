"""Songs, poems and plays as numbers: prepared once on a machine into memory-mapped arrays, as words and as characters.

    lyrics = load_lyrics("sonnets", data, cache)
    words = lyrics.tokens["word"]
    words.train.numbers[words.train.offsets[0] : words.train.offsets[1]]  # the first document and its end

Documents get roles by their content; a vocabulary is that of the train documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from objectives._contract import Progress, silent
from objectives._data.kit.hashes import Mark
from objectives._data.kit.preparation import ArrayDirectory, Hashes, prepare_arrays
from objectives._data.kit.sources import with_options
from objectives._data.kit.split import ROLES
from objectives._data.lyrics.arrays import HELD_OUT, MIN_COUNT, write_arrays
from objectives._data.lyrics.data import Lyrics, Stream, Tokens
from objectives._data.lyrics.readers import (
    Reader,
    read_otherwise,
    read_rows,
    read_table,
    read_text,
    reader,
    with_returns,
)
from objectives._data.lyrics.sources import OPTIONS, files_of, locate, rights
from objectives._data.lyrics.tokens import KINDS

MARKS: dict[Reader, Mark] = {read_text: read_otherwise, read_table: with_returns, read_rows: with_returns}
PREPARER_VERSION = 1  # raise it whenever the same source would give other arrays


def load_lyrics(dataset: str, data: Path, cache: Path, progress: Progress = silent) -> Lyrics:
    """Return `dataset` prepared, preparing it if no process has before.

    dataset: a key of DATASETS, or a path to a file or a directory of texts (see readers). data: the directory of full
    data sets. cache: where prepared ones are kept. Raises DataError.
    """
    path = locate(dataset, data)
    given = with_options(dataset, OPTIONS)[1]
    options = {
        "preparer": f"lyrics {PREPARER_VERSION}",
        "form": reader(path).__name__,
        "held_out": HELD_OUT,
        "split": "by document",
        "min_count": MIN_COUNT,
        **given,
    }

    def build(directory: Path, hashes: Hashes) -> Mapping[str, Any]:
        written = write_arrays(path, directory, progress, drop_empty=bool(given.get("drop_empty")))
        return {"options": options, "rights": rights(dataset), **written}

    arrays = prepare_arrays(
        "lyrics",
        files_of(path),
        cache,
        progress,
        about={"name": dataset},
        identity=lambda hashes: {"content": hashes[""], "options": options},
        build=build,
        hash_as_one=path.is_dir(),
        mark=MARKS.get(reader(path)),
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
