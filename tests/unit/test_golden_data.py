"""What preparation gives, as literal values (golden_data.json): fingerprint, directory, and a digest of each file.

Fingerprints are stored in studies and directories are found again by their names, so a change here means that finished
studies no longer match their data. Raise the preparer's version when that is what you want.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TITLES_HEADER = "title,label_quality,language,category"


def write_titles() -> None:
    rows = [f"Funda {'abcdefgh'[row % 8] * 3} para Moto G{row % 5},reliable,spanish,C{row % 2}" for row in range(40)]
    Path("titles.csv").write_text("\n".join([TITLES_HEADER, *rows]) + "\n")


def write_titles_with_vectors() -> None:
    write_titles()
    Path("vectors.txt").write_text("funda 1 2 3\nmoto -1 .5 2e-1\naaa 4 5 6\n")


def write_course() -> None:
    Path("course").mkdir()
    for role, n_rows in (("train", 8), ("validation", 4), ("test", 4)):
        rows = [
            {"title": f"rojo coche {row}", "category": f"C{row % 2}", "language": "spanish"} for row in range(n_rows)
        ]
        Path(f"course/spanish.{role}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_pictures() -> None:
    """A tree of PPM files, whose bytes do not depend on a library."""
    pixels = np.random.RandomState(0).randint(0, 256, (60, 32, 32, 3)).astype(np.uint8)
    for row, picture in enumerate(pixels):
        place = Path("pictures") / f"kind{row % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row:02}.ppm").write_bytes(b"P6 32 32 255\n" + picture.tobytes())


def write_digits() -> None:
    """MNIST's four files, with fewer images."""
    Path("idx").mkdir()
    draw = np.random.RandomState(0)
    for name, n in (("train", 100), ("t10k", 20)):
        pixels = draw.randint(0, 256, (n, 28, 28)).astype(np.uint8)
        sizes = b"".join(size.to_bytes(4, "big") for size in pixels.shape)
        Path(f"idx/{name}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pixels.tobytes())
        digits = (np.arange(n) % 10).astype(np.uint8)
        Path(f"idx/{name}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + digits.tobytes())


def write_motor() -> None:
    names = "ambient,coolant,u_d,u_q,motor_speed,torque,i_d,i_q,pm,stator_yoke,stator_tooth,stator_winding,profile_id"
    rows = [",".join(f"{(row * 7 + column) % 100 / 8}" for column in range(12)) for row in range(160)]
    Path("motor.csv").write_text("\n".join([names, *(f"{row},{i // 20 + 5}" for i, row in enumerate(rows))]) + "\n")


def write_songs() -> None:
    with Path("songs.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["artist", "song", "link", "text"])
        for row in range(12):
            table.writerow(["Anna", f"Song {row}", "", f"La la {'abcdefghijkl'[row] * 2},\nand {row % 3}'s end"])


GOLDEN = json.loads(Path(__file__).with_name("golden_data.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["dataset"])
def test_a_data_set_is_what_it_was(golden: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a path that was given is part of the manifest
    if "make" in golden:
        globals()[golden["make"]]()
    objective = importlib.import_module(f"objectives.{golden['objective']}").objective
    data = objective.prepare(golden["dataset"], tmp_path / "data", tmp_path / "cache")
    assert data.sha256 == golden["sha256"]
    assert data.directory == tmp_path / "cache" / golden["directory"]
    assert digests(data.directory, golden["files"]) == golden["files"]


def test_vectors_are_kept_beside_the_titles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_titles_with_vectors()
    importlib.import_module("objectives.meli_mlp").objective.prepare("./titles.csv", tmp_path, tmp_path / "cache")
    [directory] = (tmp_path / "cache").glob("vectors-*")
    assert directory.name == "vectors-5d62952b274388df848defe06e82d09b"
    expected = {"manifest.json": "aaca70c84fc57e48", "vectors.npy": ""}
    assert digests(directory, expected) == expected


def digests(directory: Path, expected: dict[str, str]) -> dict[str, str]:
    """A digest of each file's bytes, "" where none is expected: such a file depends on the processor or on numpy."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] if expected[path.name] else ""
        for path in sorted(directory.iterdir())
    }
