"""Handwritten digits: the readers, the split, and the errors for bad files."""

from __future__ import annotations

import gzip
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives import DataError
from objectives._data.digits import DATASETS, load_digits
from objectives._data.digits.readers import read_idx
from objectives._data.digits.sources import IDX_FILES, SAMPLE
from objectives._data.digits.split import split
from objectives._data.kit.split import ROLES

from ..data_files import idx, refused

ROW = "0," * 784 + "3\n"


def load(path: object, tmp_path: Path) -> object:
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
def test_mnists_own_files_are_read(tmp_path: Path, below: str, zipped: bool) -> None:
    write_idx(tmp_path / "data" / "mnist" / below, zipped=zipped)
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
        ("", "has 0 images of a 0"),
        (ROW * 3, "has 0 images of a 0; expected 3 of each"),
        (ROW + "1,2,3\n", "line 2: 3 columns; expected 785"),
        (ROW + "\n" + "256," * 784 + "3\n", "line 3: pixel 0 is '256'; expected a whole number from 0 to 255"),
        (ROW + "0.5," * 784 + "3\n", "line 2: pixel 0 is '0.5'; expected a whole number"),
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
