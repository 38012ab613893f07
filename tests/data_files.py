"""Raw files of every data set, small and always the same bytes, and what a refused one may leave behind."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from objectives import DataError

TITLES_HEADER = "title,label_quality,language,category\n"
MOTOR_HEADER = (
    "ambient,coolant,u_d,u_q,motor_speed,torque,i_d,i_q,pm,stator_yoke,stator_tooth,stator_winding,profile_id\n"
)
SONGS_HEADER = "artist,song,link,text"


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, gzipped if its name ends in .gz, and return its path."""
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def left_in(cache: Path) -> list[str]:
    """The names in a cache besides locks and remembered hashes; a temporary directory shows."""
    return [path.name for path in cache.glob("*") if path.suffix != ".lock" and path.name != "sources.json"] + [
        path.name for path in cache.glob(".*.tmp")
    ]


def refused(prepare: Callable[[], object], cache: Path, *parts: str) -> None:
    """Preparing raises a DataError of one line that has all these parts, and leaves nothing in the cache."""
    before = left_in(cache)
    with pytest.raises(DataError) as caught:
        prepare()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert left_in(cache) == before


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the format of MNIST's own files."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def png(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """A picture as a file of that form."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def song_table(path: Path, songs: Sequence[str], header: str = SONGS_HEADER) -> Path:
    """Songs in the format of Kaggle's songdata.csv."""
    with path.open("w", newline="") as file:
        file.write(header + "\r\n")
        for number, text in enumerate(songs):
            csv.writer(file).writerow([*["Anna", f"Song {number}", ""][: header.count(",")], text])
    return path


# --- a small data set of each kind, below the directory that is given -------------------------------


def write_titles(place: Path) -> None:
    rows = [f"Funda {'abcdefgh'[row % 8] * 3} para Moto G{row % 5},reliable,spanish,C{row % 2}\n" for row in range(40)]
    write(place / "titles.csv", TITLES_HEADER + "".join(rows))


def write_titles_with_vectors(place: Path) -> None:
    write_titles(place)
    write(place / "vectors.txt", "funda 1 2 3\nmoto -1 .5 2e-1\naaa 4 5 6\n")


def write_course(place: Path) -> None:
    (place / "course").mkdir()
    for role, n_rows in (("train", 8), ("validation", 4), ("test", 4)):
        rows = (
            {"title": f"rojo coche {row}", "category": f"C{row % 2}", "language": "spanish"} for row in range(n_rows)
        )
        write(place / "course" / f"spanish.{role}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def write_pictures(place: Path) -> None:
    """A tree of PPM files, whose bytes do not depend on a library."""
    pixels = np.random.RandomState(0).randint(0, 256, (60, 32, 32, 3)).astype(np.uint8)
    for row, picture in enumerate(pixels):
        kind = place / "pictures" / f"kind{row % 3}"
        kind.mkdir(parents=True, exist_ok=True)
        write(kind / f"{row:02}.ppm", b"P6 32 32 255\n" + picture.tobytes())


def write_digits(place: Path) -> None:
    """MNIST's four files, with fewer images."""
    (place / "idx").mkdir(parents=True)
    draw = np.random.RandomState(0)
    for name, n in (("train", 100), ("t10k", 20)):
        pixels = draw.randint(0, 256, (n, 28, 28)).astype(np.uint8)
        write(place / "idx" / f"{name}-images-idx3-ubyte", idx(pixels))
        write(place / "idx" / f"{name}-labels-idx1-ubyte", idx((np.arange(n) % 10).astype(np.uint8)))


def write_digits_table(place: Path) -> None:
    """Five images of each digit in the form of the file that ships."""
    write(place / "digits.csv", "".join(f"{'7,' * 783}{row},{row % 10}\n" for row in range(50)))


def write_motor(place: Path) -> None:
    rows = [",".join(f"{(row * 7 + column) % 100 / 8}" for column in range(12)) for row in range(160)]
    write(place / "motor.csv", MOTOR_HEADER + "".join(f"{row},{i // 20 + 5}\n" for i, row in enumerate(rows)))


def write_songs(place: Path) -> None:
    songs = [f"La la {'abcdefghijkl'[row] * 2},\nand {row % 3}'s end" for row in range(12)]
    song_table(place / "songs.csv", songs)
