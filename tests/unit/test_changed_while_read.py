"""Raw files that change between their hash and the end of the build: an error, and nothing half-written is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objectives import Progress, silent
from objectives._data.digits import load_digits
from objectives._data.lyrics import load_lyrics
from objectives._data.motor import load_motor
from objectives._data.pictures import load_pictures
from objectives._data.titles import load_titles

from .. import data_files as files

# Each with its loader, what writes its files, the data set, and the file that changes.
CASES: dict[str, tuple[Callable[..., Any], Callable[[Path], None], str, str]] = {
    "titles": (load_titles, files.write_titles, "titles.csv", "titles.csv"),
    "titles in roles": (load_titles, files.write_course, "course", "course/spanish.validation.jsonl"),
    "word vectors": (load_titles, files.write_titles_with_vectors, "titles.csv", "vectors.txt"),
    "pictures": (load_pictures, files.write_pictures, "pictures", "pictures/kind1/04.ppm"),
    "digits": (load_digits, files.write_digits_table, "digits.csv", "digits.csv"),
    "digits in MNIST's files": (load_digits, files.write_digits, "idx", "idx/train-images-idx3-ubyte"),
    "motor": (load_motor, files.write_motor, "motor.csv", "motor.csv"),
    "lyrics": (load_lyrics, files.write_songs, "songs.csv", "songs.csv"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_changes_while_it_is_read(case: str, tmp_path: Path) -> None:
    load, make, dataset, changing = CASES[case]
    make(tmp_path)
    cache, path = tmp_path / "cache", tmp_path / changing
    content = path.read_bytes()
    named = dataset if case == "pictures" else changing

    def prepare(progress: Progress = silent) -> Any:
        return load(str(tmp_path / dataset), tmp_path / "data", cache, progress)

    def change(what: str, fraction: float) -> None:
        if what in (f"reading {path.name}", "decoding pictures"):
            path.write_bytes(content + b"\n")

    if case == "word vectors":  # are prepared after the titles themselves
        path.unlink()
        prepare()
        path.write_bytes(content)
    files.refused(lambda: prepare(change), cache, f"{tmp_path / named} changed while it was read")
    path.write_bytes(content)
    assert prepare().directory.name in files.left_in(cache)
