"""Handwritten digits: the readers, the split, and the errors for bad files."""

from __future__ import annotations

import gzip
import io
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import DataError
from objectives._data.digits import DATASETS, Digits, load_digits
from objectives._data.digits.readers import read_idx, read_otherwise, read_pixels
from objectives._data.digits.sources import IDX_FILES, SAMPLE
from objectives._data.digits.split import split
from objectives._data.kit import npz
from objectives._data.kit.lines import TextLines
from objectives._data.kit.split import ROLES

from ..data_files import idx, png, refused

ROW = "0," * 784 + "3\n"


def load(path: object, tmp_path: Path) -> Digits:
    return load_digits(str(path), tmp_path / "data", tmp_path / "cache")


def write_idx(place: Path, n_train: int = 100, n_test: int = 20, zipped: bool = True) -> None:
    draw = np.random.default_rng(0)
    place.mkdir(parents=True)
    for part, name in IDX_FILES.items():
        n = n_train if part.startswith("train") else n_test
        array = (np.arange(n) % 10) if part.endswith("labels") else draw.integers(0, 256, (n, 28, 28))
        content = idx(array.astype(np.uint8))
        (place / f"{name}{'.gz' * zipped}").write_bytes(gzip.compress(content) if zipped else content)


def test_the_bundled_images_are_split_by_digit_and_never_shared(tmp_path: Path) -> None:
    digits = load_digits("mnist-5k", tmp_path, tmp_path)
    assert digits.summary == {
        "train": 3000, "validation": 1000, "test": 1000,
        "train_targets": 300, "validation_targets": 100, "test_targets": 100,
    }  # fmt: skip
    images = np.concatenate([getattr(digits, role).pixels for role in ROLES])
    assert len(np.unique(images, axis=0)) == 5000


def test_the_target_belongs_to_the_data_and_not_to_the_split(tmp_path: Path) -> None:
    five, three = load_digits("mnist-5k", tmp_path, tmp_path), load_digits("mnist-5k:3", tmp_path, tmp_path)
    assert five.sha256 == load_digits("mnist-5k:5", tmp_path, tmp_path).sha256 != three.sha256
    assert np.array_equal(five.validation.pixels, three.validation.pixels)
    assert not (five.validation.is_target & three.validation.is_target).any()
    assert {"mnist-5k", "mnist-5k:3", "mnist", "mnist:0"} <= set(DATASETS)


@given(st.lists(st.integers(0, 9), max_size=200))
def test_each_role_has_its_share_of_each_digit(drawn: list[int]) -> None:
    digits = np.array(drawn, dtype=np.uint8)
    roles = split(digits, ROLES)
    for digit in range(10):
        n = int((digits == digit).sum())
        held_out = -(-n // 5)
        counts = np.bincount(roles[digits == digit], minlength=3)
        assert counts[1] == held_out
        assert counts[2] == min(held_out, n - held_out)


def test_mnists_own_sizes_give_the_authors_validation_set() -> None:
    n_of_digit = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    digits = np.repeat(np.arange(10), n_of_digit).astype(np.uint8)
    validates = split(digits, ("train", "validation")) == 1
    assert (validates.sum(), (validates & (digits == 3)).sum(), (validates & (digits == 5)).sum()) == (
        12005,
        1227,
        1085,
    )


@pytest.mark.parametrize("below", ["", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dot", [True, False])
def test_mnists_own_files_are_read(tmp_path: Path, below: str, zipped: bool, dot: bool) -> None:
    place = tmp_path / "data" / "mnist" / below
    write_idx(place, zipped=zipped)
    for path in list(place.iterdir()) if dot else []:
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    digits = load_digits("mnist:4", tmp_path / "data", tmp_path / "cache")
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (80, 20, 20)
    assert digits.test.is_target.tolist() == [number % 10 == 4 for number in range(20)]
    assert digits.train.pixels.shape == (80, 784)


def test_missing_files_are_named_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"put train-images-idx3-ubyte\.gz, .* into .*mnist \(train-images") as caught:
        load("mnist", tmp_path)
    assert "torchvision.datasets.MNIST" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty; expected a .csv or .parquet of 784 pixels"),
        ("label," + "p," * 784 + "\n", "has a header and no rows"),
        (ROW * 3, "has 0 images of a 0; expected 3 of each"),
        (ROW + "1,2,3\n", "line 2: 3 columns; expected 785"),
        (ROW + "\n" + "256," * 784 + "3\n", "line 3: pixel 0 is '256'; expected a whole number from 0 to 255"),
        (ROW + "0.5,200," * 392 + "3\n", "line 2: pixel 0 is '0.5'; expected a whole number"),
        (("0.5," * 784 + "3\n") * 100 + "7," * 784 + "3\n", "line 101, has brightness from 0.5 to 7; expected 0 to 1"),
        ("0," * 784 + "nan\n", "line 1: digit is 'nan'; expected a whole number from 0 to 9"),
        ("0," * 784 + "10\n", "line 1: digit is '10'"),
        ("0," * 783 + "cat,1\n", "line 1: pixel 783 is 'cat'"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "digits.csv"
    path.write_text(text)
    refused(lambda: load(path, tmp_path), tmp_path / "cache", str(path), expected)


def test_a_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(SAMPLE.read_bytes()[:50_000])
    with pytest.raises(DataError, match="truncated or damaged"):
        load(path, tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an IDX file"),
        (b"\x1f\x8b\x08", "truncated or damaged"),
        (gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)), mtime=0)[:-9], "truncated or damaged"),
        (idx(np.zeros(5, np.uint8)), "not an IDX file of bytes in 3 dimensions"),
        (idx(np.zeros((2, 28, 28), np.uint8))[:-1], "has 1567 bytes for [2, 28, 28]"),
    ],
)
def test_a_bad_idx_file_gets_one_sentence(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    refused(lambda: read_idx(path, 3), tmp_path, str(path), expected)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_array_or_an_error_that_says_so(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with suppress(DataError):
            assert read_idx(Path(file.name), 1).ndim == 1


@pytest.mark.parametrize("dataset", ["mnist-5k:x", "mnist-5k:12", "mnist-5k:", "mnist:²"])
def test_a_target_that_is_not_a_digit(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(DataError, match="expected a digit"):
        load(dataset, tmp_path)


def test_an_unknown_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set or file 'minst'"):
        load("minst", tmp_path)


def images(n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Images with dark corners, as MNIST's, and their digits."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 28, 28)).astype(np.uint8)
    pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]] = 0
    return pixels, (np.arange(n) % 10).astype(np.uint8)


def content(digits: Digits) -> list[bytes]:
    parts = [getattr(digits, role) for role in ROLES]
    return sorted(pixels.tobytes() for part in parts for pixels in part.pixels)


@settings(max_examples=20)
@given(
    first=st.booleans(),
    separator=st.sampled_from(",;\t"),
    name=st.sampled_from(["", "label", "Class", "DIGIT", "number"]),
    rows=st.sampled_from([None, "", "Unnamed: 0"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_tables_as_people_write_them(
    first: bool, separator: str, name: str, rows: str | None, end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """rows: what a header calls the rows' numbers, which pandas writes."""
    place = tmp_path_factory.mktemp("digits")
    pixels, digits = images()
    columns = [digits[:, None], pixels.reshape(50, -1)]
    table = np.concatenate(columns if first else columns[::-1], axis=1)
    names = [f"pixel{number}" for number in range(784)]
    header = separator.join([name, *names] if first else [*names, name]) + end if name else ""
    lines = [separator.join(map(str, row)) + end for row in table.tolist()]
    if header and rows is not None:
        header = f"{rows}{separator}{header}"
        lines = [f"{number}{separator}{line}" for number, line in enumerate(lines)]
    (place / "a.csv").write_text(header + "".join(lines), newline="")
    found = load_digits(str(place / "a.csv"), place, place / "cache")
    assert content(found) == sorted(image.tobytes() for image in pixels)
    assert sum(int(getattr(found, role).is_target.sum()) for role in ROLES) == 5
    # The first row's digit is 0: without a header nothing says where it is.
    asked = header.encode() + "".join(lines[1:]).encode()
    with TextLines(io.BufferedReader(io.BytesIO(asked))) as file:  # type: ignore[arg-type]
        answered = list(read_pixels(file))
    assert np.array_equal(answered, pixels.reshape(50, -1)[1:])


@pytest.mark.parametrize("x", ["x", "X", "images", "data"])
@pytest.mark.parametrize("form", ["bytes", "flat", "fractions", "int64", "float bytes"])
def test_an_npz_without_roles(tmp_path: Path, x: str, form: str) -> None:
    pixels, digits = images()
    forms = {
        "bytes": pixels, "flat": pixels.reshape(50, 784), "fractions": (pixels / 255).astype(np.float32),
        "int64": pixels.astype(np.int64), "float bytes": pixels.astype(np.float64),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **{x: forms[form], "labels": digits[:, None]})
    found = load_digits(str(tmp_path / "a.npz"), tmp_path, tmp_path / "cache")
    assert content(found) == sorted(image.tobytes() for image in pixels)


def black_and_white(place: Path, form: str) -> Path:
    """Write the images with pixels of 0 and 1, or of fractions, as people do."""
    pixels, digits = images()
    whole = (pixels.reshape(50, 784) > 127).astype(np.uint8)
    kind, _, dtype = form.partition(" ")
    values = (pixels.reshape(50, 784) / 255).round(3) if dtype == "fractions" else whole.astype(dtype or np.uint8)
    if kind == "npz":
        np.savez(place / "a.npz", x=values, y=np.eye(10)[digits])
        return place / "a.npz"
    table = pd.DataFrame(np.column_stack([digits.astype(values.dtype), values]))
    if kind == "parquet":
        table.set_axis(["label", *(f"pixel{n}" for n in range(784))], axis=1).to_parquet(place / "a.parquet")
        return place / "a.parquet"
    table.to_csv(place / "a.csv", index=kind == "indexed", header=kind != "bare")
    return place / "a.csv"


@pytest.mark.parametrize(
    "form",
    [
        *("npz", "npz int64", "npz float32", "npz fractions", "bare", "bare float64", "bare fractions", "named"),
        *("named fractions", "indexed", "parquet", "parquet float32", "parquet fractions"),
    ],
)
def test_brightness_from_0_to_1_is_the_whole_range(tmp_path: Path, form: str) -> None:
    path = black_and_white(tmp_path, form)
    found = load(path, tmp_path)
    pixels, _ = images()
    expected = pixels if form.endswith("fractions") else (pixels > 127).astype(np.uint8) * np.uint8(255)
    assert content(found) == sorted(image.tobytes() for image in expected)
    are_whole = form in ("npz", "npz int64") or (not form.startswith("npz") and not form.endswith("fractions"))
    assert found.summary.get("files_of_pixels_0_and_1", 0) == are_whole
    mark = npz.only_0_and_1 if form.startswith("npz") else read_otherwise
    assert mark(path) == " 0 and 1" * are_whole
    if not form.startswith("npz"):
        with TextLines(path) as file:
            asked = list(read_pixels(file))
        assert np.array_equal(asked[1:], expected.reshape(50, 784)[1:])


def test_only_a_file_of_0_and_1_gets_another_fingerprint() -> None:
    assert read_otherwise(SAMPLE) == ""


@pytest.mark.parametrize("names", ["x_{}", "{}_images", "X_{}"])
def test_an_npz_with_roles_keeps_its_test_images(tmp_path: Path, names: str) -> None:
    pixels, digits = images()
    labels = {"x_{}": "y_{}", "X_{}": "y_{}", "{}_images": "{}_labels"}[names]
    arrays = {names.format(role): pixels[part] for role, part in PARTS.items()}
    arrays |= {labels.format(role): digits[part] for role, part in PARTS.items()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    found = load_digits(f"{tmp_path / 'mnist.npz'}:3", tmp_path, tmp_path / "cache")
    assert found.target == 3
    assert np.array_equal(found.test.pixels, pixels[PARTS["test"]].reshape(10, 784))
    assert (len(found.train), len(found.validation)) == (30, 10)


PARTS = {"train": slice(0, 40), "test": slice(40, 50)}


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": np.zeros(3)}, "holds the arrays a; expected x and y"),
        ({"x": np.zeros((3, 28, 28))}, "has 'x' and no array 'y' or 'labels'"),
        ({"x_train": np.zeros((3, 28, 28)), "y": np.zeros(3)}, "has 'y' and no array 'x'"),
        ({"x": np.zeros((0, 28, 28)), "y": np.zeros(0)}, "has 0 images of a 0; expected 3 of each digit"),
        ({"x": np.zeros((3, 8, 8)), "y": np.zeros(3)}, "has pictures (3, 8, 8); expected (n, 28, 28)"),
        ({"x": np.zeros((3, 28, 28)), "y": np.zeros(4)}, "holds y (4,) beside 3 pictures"),
        ({"x": np.full((3, 28, 28), 7.5), "y": np.zeros(3)}, "has brightness from 7.5 to 7.5; expected 0 to 1"),
        ({"x": np.zeros((3, 28, 28)), "y": np.array(["a", "b", "c"])}, "has labels such as 'a'; expected the digits"),
        ({"x": np.array([{}]), "y": np.zeros(1)}, "holds Python objects"),
        ({"x": np.zeros((3, 28, 28)), "y": np.zeros(3)}, "has 0 images of a 1; expected 3 of each digit"),
    ],
)
def test_a_bad_npz_gets_one_sentence(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    refused(lambda: load(tmp_path / "a.npz", tmp_path), tmp_path / "cache", "a.npz", expected)


def test_one_of_mnists_files_stands_for_all(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist")
    one = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    assert load_digits(str(one), tmp_path, tmp_path / "cache").summary["test"] == 20
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    refused(lambda: load(one, tmp_path), tmp_path / "cache", f"{one} is one of MNIST's four files", "t10k-labels")


def test_nothing_to_tell_apart(tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist", n_train=100)
    for part in ("train", "t10k"):
        labels = tmp_path / "mnist" / f"{part}-labels-idx1-ubyte.gz"
        labels.write_bytes(gzip.compress(idx(np.zeros(100 if part == "train" else 20, np.uint8))))
    for target in (5, 0):
        with pytest.raises(DataError, match=f"images of a {target} among 80 train images, so there is nothing to tell"):
            load(f"{tmp_path / 'mnist'}:{target}", tmp_path)


def test_digits_as_picture_files(tmp_path: Path) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (60, 28, 28)).astype(np.uint8)
    digits = np.arange(60) % 10
    for row, digit in enumerate(digits):
        place = tmp_path / "png" / ("training" if row < 50 else "testing") / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row:02}.png").write_bytes(png(pixels[row]))
    table = pa.table({"image": [{"bytes": png(picture), "path": None} for picture in pixels], "label": digits})
    pq.write_table(table, tmp_path / "mnist.parquet")
    (tmp_path / "hub").mkdir()
    pq.write_table(table[:50], tmp_path / "hub" / "train-00000-of-00001.parquet")
    pq.write_table(table[50:], tmp_path / "hub" / "test-00000-of-00001.parquet")
    for name in ("png", "hub"):
        found = load_digits(f"{tmp_path / name}:3", tmp_path, tmp_path / "cache")
        assert sorted(map(bytes, found.test.pixels)) == sorted(picture.tobytes() for picture in pixels[50:])
        [of_threes] = found.test.pixels[found.test.is_target]
        assert of_threes.tobytes() == pixels[53].tobytes()
    assert len(load_digits(str(tmp_path / "mnist.parquet"), tmp_path, tmp_path / "cache").test) == 20
    (tmp_path / "png" / "training" / "3").rename(tmp_path / "png" / "training" / "three")
    expected = "has labels such as 'three'; expected the digits 0 to 9"
    refused(lambda: load_digits(str(tmp_path / "png"), tmp_path, tmp_path / "new"), tmp_path / "new", expected)
