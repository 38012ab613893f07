"""Files exactly as their publishers give them, down to the bytes that a tidy copy would not have."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision import datasets

from objectives._data import digits, pictures
from objectives._data.lyrics import load_lyrics
from objectives._data.motor import COLUMNS, load_motor
from objectives._data.pictures import load_pictures
from objectives._data.pictures.readers import CIFAR_CLASSES
from objectives._data.titles import load_titles

RANDOM = np.random.default_rng(1)

# --- CIFAR-10 -------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writes what Python 2 wrote: protocol 2, texts as byte strings, arrays by numpy's old module name."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, obj: str | bytes) -> None:
        content = obj.encode("latin-1") if isinstance(obj, str) else obj
        short = len(content) < 256
        self.write((b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_text


def python2(value: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar(place: Path, n_of_batch: int = 40) -> None:
    """Write CIFAR-10's python version as it is unpacked, with fewer pictures."""
    place.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], 1):
        pixels = RANDOM.integers(0, 256, (n_of_batch, 3072), dtype=np.uint8)
        labels = RANDOM.permutation(np.arange(n_of_batch) % 10).tolist()
        label = "testing batch 1 of 1" if name == "test_batch" else f"training batch {number} of 5"
        names = [f"leptodactylus_pentadactylus_s_{row:06}.png" for row in range(n_of_batch)]
        (place / name).write_bytes(
            python2({"batch_label": label, "labels": labels, "data": pixels, "filenames": names})
        )
    meta = {"num_cases_per_batch": n_of_batch, "label_names": list(CIFAR_CLASSES), "num_vis": 3072}
    (place / "batches.meta").write_bytes(python2(meta))
    (place / "readme.html").write_text('<meta HTTP-EQUIV="REFRESH" content="0; url=http://www.cs.toronto.edu">')


def test_cifar_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    root = tmp_path / "data" / "cifar10"
    place = root / "cifar-10-batches-py"
    cifar(place)
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in place.iterdir()}

    class Theirs(datasets.CIFAR10):
        train_list: ClassVar = [[name, md5[name]] for name, _ in datasets.CIFAR10.train_list]
        test_list: ClassVar = [[name, md5[name]] for name, _ in datasets.CIFAR10.test_list]
        meta: ClassVar = datasets.CIFAR10.meta | {"md5": md5["batches.meta"]}

    theirs = {role: Theirs(str(root), train=role == "train") for role in ("train", "test")}
    ours = load_pictures("cifar10", tmp_path / "data", tmp_path / "cache")

    def seen(pixels: NDArray[np.uint8], labels: Any, names: list[str]) -> set[tuple[bytes, str]]:
        return {(picture.tobytes(), names[label]) for picture, label in zip(pixels, labels, strict=True)}

    assert seen(ours.test.pixels, ours.test.labels, ours.classes) == seen(
        theirs["test"].data, theirs["test"].targets, theirs["test"].classes
    )
    both = [seen(rows.pixels, rows.labels, ours.classes) for rows in (ours.train, ours.validation)]
    assert set.union(*both) == seen(theirs["train"].data, theirs["train"].targets, theirs["train"].classes)
    assert (len(ours.train), len(ours.validation), len(ours.test)) == (180, 20, 40)
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(place, "cifar-10-batches-py")
    (place / "data_batch_3").unlink()
    packed = load_pictures("cifar10", tmp_path / "data", tmp_path / "other")
    assert np.array_equal(packed.train.pixels, ours.train.pixels)


def test_addresses_and_checksums_are_torchvision_s() -> None:
    [download] = pictures.ORIGINS["cifar10"].downloads
    assert ([datasets.CIFAR10.url], datasets.CIFAR10.tgz_md5) == (download.urls, download.md5)
    assert Path(download.path).name == datasets.CIFAR10.filename
    theirs = {(f"mnist/{name}", md5) for name, md5 in datasets.MNIST.resources}
    assert {(one.path, one.md5) for one in digits.ORIGINS["mnist:3"].downloads} == theirs
    for one in digits.ORIGINS["mnist"].downloads:
        assert list(one.urls) == [mirror + Path(one.path).name for mirror in datasets.MNIST.mirrors]


# --- the motor ------------------------------------------------------------------------------------

MOTOR = {
    "pmsm-v1": (
        "pmsm_temperature_data.csv",
        "ambient,coolant,u_d,u_q,motor_speed,torque,i_d,i_q,pm,stator_yoke,stator_tooth,stator_winding,profile_id",
    ),
    "pmsm-v2": (
        "measures_v2.csv",
        "u_q,coolant,stator_winding,u_d,stator_tooth,motor_speed,i_d,i_q,pm,stator_yoke,ambient,torque,profile_id",
    ),
}


@pytest.mark.parametrize("dataset", MOTOR)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_both_releases_of_the_motor(tmp_path: Path, dataset: str, end: str) -> None:
    name, header = MOTOR[dataset]
    columns = header.split(",")
    values = RANDOM.normal(0, 50, (90, 12)).astype(np.float32)
    values[0, 0], values[1, 1], values[2, 2] = 1.5e-05, -0.0, 1350.0  # pandas writes 1.5e-05, -0.0 and 1350.0
    path = tmp_path / "data" / "pmsm" / name
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        file.write(header + end)
        for row, numbers in enumerate(values):
            by_name = {**dict(zip(COLUMNS, map(str, numbers), strict=True)), "profile_id": str(4 + row // 30)}
            file.write(",".join(by_name[column] for column in columns) + end)
    motor = load_motor(dataset, tmp_path / "data", tmp_path / "cache")
    assert motor.sessions.tolist() == [4, 5, 6]
    np.testing.assert_array_equal(motor.values, values)


# --- lyrics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["songdata.csv", "songdata.csv.gz"])
def test_songdata(tmp_path: Path, name: str) -> None:
    """Songs over many lines, each line ending in two spaces, with quotes doubled, as Kaggle's file has them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["artist", "song", "link", "text"])
    for row in range(12):
        text = f'Look at her face, it\'s a wonderful face  \nShe said "song {row}"  \n\n\nAnd it means, something  \n\n'
        writer.writerow(["ABBA", "Ahe's My Kind Of Girl", "/a/abba/ahes+my+kind+of+girl_20598417.html", text])
    content = file.getvalue().encode()
    path = tmp_path / "data" / "lyrics" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    lyrics = load_lyrics("songdata", tmp_path / "data", tmp_path / "cache")
    assert lyrics.summary["documents"] == 12
    words = lyrics.tokens["word"]
    first = [words.vocabulary[number] for number in words.train.numbers[: words.train.offsets[1]]]
    assert first[:10] == ["look", "at", "her", "face", ",", "it's", "a", "wonderful", "face", "\n"]
    assert first[-4:] == ["means", ",", "something", "<end>"]


# --- titles ---------------------------------------------------------------------------------------

PUBLISHED = {
    "language": "spanish", "label_quality": "reliable", "title": "Procesador Intel Core 2 Duo",
    "category": "COMPUTER_PROCESSORS", "split": "train", "tokenized_title": ["procesador", "intel", "core", "duo"],
    "data": [1026, 517, 1025, 25], "target": 207, "n_labels": 632, "size": 4895280,
}  # fmt: skip


def test_the_course_s_lines(tmp_path: Path) -> None:
    place = tmp_path / "data" / "mercadolibre"
    place.mkdir(parents=True)
    for role, n_rows in (("train", 4), ("validation", 2), ("test", 2)):
        own = PUBLISHED | {"split": role, "size": n_rows}
        empty = own | {"title": "2 x 1 !!", "tokenized_title": [], "data": [], "category": "ÑANDÚ", "target": 3}
        with gzip.open(place / f"spanish.{role}.jsonl.gz", "wt", encoding="utf-8") as file:
            for row in range(n_rows):
                file.write(json.dumps(own if row % 2 == 0 else empty, ensure_ascii=row % 4 == 0) + "\n")
    with gzip.open(place / "spanish_token_to_index.json.gz", "wt") as file:
        json.dump({"PAD": 0, "UNK": 1}, file)
    titles = load_titles("mercadolibre-spanish", tmp_path / "data", tmp_path / "cache")
    assert titles.classes == ["COMPUTER_PROCESSORS", "ÑANDÚ"]
    assert [len(rows) for rows in (titles.train, titles.validation, titles.test)] == [4, 2, 2]
    assert titles.vocabulary[2:] == ["core", "duo", "intel", "procesador"]
    assert titles.encode("Procesador Intel Core 2 Duo") == [5, 4, 2, 3]
    assert titles.train.tokens[: titles.train.offsets[2]].tolist() == [5, 4, 2, 3, titles.unk]


def test_the_challenge_s_table(tmp_path: Path) -> None:
    rows = ["title,label_quality,language,category"]
    for row in range(30):
        rows.append(f'"Funda 5,5"" Samsung {"abcdefghij"[row % 10] * 4}, Nueva",unreliable,spanish,CELLPHONE_COVERS')
        rows.append(f"Hidrolavadora Lavor {'abcdefghij'[row % 10] * 4} One 120 Bar,unreliable,spanish,PRESSURE_WASHERS")
        rows.append(f"Placa De Sonido {'abcdefghij'[row % 10] * 4} Ação,reliable,portuguese,ELECTRIC_PRESSURE_WASHERS")
    path = tmp_path / "data" / "mercadolibre" / "train.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(("\n".join(rows) + "\n").encode()))
    titles = load_titles("mercadolibre-challenge-spanish", tmp_path / "data", tmp_path / "cache")
    assert titles.summary["rows"] == 60
    assert titles.classes == ["CELLPHONE_COVERS", "PRESSURE_WASHERS"]
    assert titles.encode('Funda 5,5" SAMSUNG') == [titles.vocabulary.index("funda"), titles.vocabulary.index("samsung")]
    both = load_titles("mercadolibre-challenge", tmp_path / "data", tmp_path / "cache")
    assert (both.summary["rows"], len(both.classes)) == (90, 3)
