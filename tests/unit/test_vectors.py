"""Pre-trained word vectors, good and bad."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from objectives import DataError
from objectives._data.vectors import load_vectors

VOCABULARY = ["<pad>", "<unk>", "rojo", "azul", "madrid", "nadie"]
ROWS = "rojo 1 2 3\nazul -1 .5 2e-1 \nMadrid 7 8 9\nmadrid 4 5 6\nMADRID 0 0 0\n. . . 1 1 1\n"


def write(path: Path, content: str | bytes) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_both_forms(tmp_path: Path, name: str, header: str) -> None:
    rows = ROWS if not header else header + ROWS
    vectors = load_vectors(write(tmp_path / name, rows), VOCABULARY, seed=1)
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 3)
    np.testing.assert_allclose(vectors[2:5], [[1, 2, 3], [-1, 0.5, 0.2], [4, 5, 6]], rtol=1e-6)
    assert not vectors[0].any()
    assert vectors[1].any()
    assert vectors[5].any()


def test_random_rows_follow_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", ROWS)
    one, same, other = (load_vectors(path, VOCABULARY, seed=seed)[5] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


BAD = {
    "narrow": ("rojo 1 2 3\nazul 1 2\n", "line 2: 2 values for 'azul'; expected 3"),
    "wide": ("rojo 1 2 3\nazul 1 2 3 4\n", "line 2: 4 values for 'azul'; expected 3"),
    "header-width": ("2 4\nrojo 1 2 3\n", "line 2: 3 values for 'rojo'; expected 4"),
    "cut-short": ("9 3\nrojo 1 2 3\n", "line 2: the file ends after 1 words, its header says 9"),
    "no-number": ("rojo 1 zwei 3\n", "line 1: a value of 'rojo' is no number"),
    "nan": ("rojo 1 nan 3\n", "line 1: a value of 'rojo' is not finite"),
    "empty": ("", "is empty"),
    "blank-line": ("rojo 1 2 3\n\nazul 1 2 3\n", "line 2: 0 values"),
    "latin-1": (b"rojo 1 2 3\nca\xf1o 1 2 3\n", "line 2: byte 0xf1 is not UTF-8"),
    "other-words": ("uno 1 2 3\n", "has a vector for none of the 6 words"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_bad_files_get_one_sentence(tmp_path: Path, name: str, suffix: str) -> None:
    content, expected = BAD[name]
    path = write(tmp_path / f"{name}{suffix}", content)
    with pytest.raises(DataError) as caught:
        load_vectors(path, VOCABULARY, seed=0)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_truncated_and_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "v.gz", ROWS * 500)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"v.gz, after line \d+: the gzip data is truncated"):
        load_vectors(path, VOCABULARY, seed=0)
    with pytest.raises(DataError, match=r"v.txt cannot be read"):
        load_vectors(tmp_path / "v.txt", VOCABULARY, seed=0)
