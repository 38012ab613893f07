"""Pre-trained word vectors, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from objectives import DataError, meli_cnn, meli_mlp
from objectives._data.titles import Titles, load_titles, raw_files
from objectives._data.titles.vectors import load_vectors
from studies.spec.space import Space

from ..data_files import refused, write

VOCABULARY = ["<pad>", "<unk>", "rojo", "azul", "madrid", "nadie"]
ROWS = "rojo 1 2 3\nazul -1 .5 2e-1 \nMadrid 7 8 9\nmadrid 4 5 6\nMADRID 0 0 0\n. . . 1 1 1\n"


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_both_forms(tmp_path: Path, name: str, header: str) -> None:
    rows = ROWS if not header else header + ROWS
    vectors, n_found = load_vectors(write(tmp_path / name, rows), VOCABULARY, seed=1)
    assert n_found == 3
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, 3)
    np.testing.assert_allclose(vectors[2:5], [[1, 2, 3], [-1, 0.5, 0.2], [4, 5, 6]], rtol=1e-6)
    assert not vectors[0].any()
    assert vectors[1].any()
    assert vectors[5].any()


def test_random_rows_follow_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", ROWS)
    one, same, other = (load_vectors(path, VOCABULARY, seed=seed)[0][5] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


@pytest.mark.parametrize(("n", "share"), [(1, 10), (5, 50), (10, 100)])
def test_the_share_of_words_with_a_vector_is_told(tmp_path: Path, n: int, share: int) -> None:
    words = [f"wort{chr(97 + number) * 3}" for number in range(10)]
    text = "title,category\n" + "".join(f"{' '.join(words)} {'x' * row}yzz,C{row % 2}\n" for row in range(40))
    write(tmp_path / "titles.csv", text)
    write(tmp_path / "vectors.txt", "".join(f"{word} 1 2\n" for word in words[:n]))
    told: list[str] = []
    found = load_titles(
        str(tmp_path / "titles.csv"), tmp_path, tmp_path / "cache", lambda what, fraction: told.append(what)
    )
    assert found.summary["percent_of_words_with_vector"] == share
    expected = f"vectors.txt has {n} of 10 words ({share} %)" + ": is it of another language?" * (share < 20)
    assert expected in told


BAD = {
    "narrow": ("rojo 1 2 3\nazul 1 2\n", "line 2: 2 values for 'azul'; expected 3"),
    "wide": ("rojo 1 2 3\nazul 1 2 3 4\n", "line 2: 4 values for 'azul'; expected 3"),
    "header-width": ("2 4\nrojo 1 2 3\n", "line 2: 3 values for 'rojo'; expected 4"),
    "cut-short": ("9 3\nrojo 1 2 3\n", "line 2: the file ends after 1 word, its header says 9"),
    "no-number": ("rojo 1 zwei 3\n", "line 1: a value of 'rojo' is not a number"),
    "nan": ("rojo 1 nan 3\n", "line 1: a value of 'rojo' is not finite"),
    "empty": ("", "is empty"),
    "blank-line": ("rojo 1 2 3\n\nazul 1 2 3\n", "line 2: 0 values"),
    "latin-1": ("ñu 1 2 3\n".encode() + b"ca\xf1o 1 2 3\n", "line 2: byte 0xf1 is not UTF-8"),
    "other-words": ("uno 1 2 3\n", "has a vector for none of the 6 words"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_bad_files_get_one_sentence(tmp_path: Path, name: str, suffix: str) -> None:
    content, expected = BAD[name]
    path = write(tmp_path / f"{name}{suffix}", content)
    refused(lambda: load_vectors(path, VOCABULARY, seed=0), tmp_path / "cache", str(path), expected)


def test_truncated_and_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "v.gz", ROWS * 500)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"v.gz, after line \d+: the gzip data is truncated"):
        load_vectors(path, VOCABULARY, seed=0)
    with pytest.raises(DataError, match=r"v.txt cannot be read"):
        load_vectors(tmp_path / "v.txt", VOCABULARY, seed=0)


# --- as part of a data set ------------------------------------------------------------------------


def titles(directory: Path) -> str:
    """A file of sixty titles in two categories."""
    colours = ["rojo", "azul", "madrid", "verde"]
    rows = [f"{colours[row % 4]} {colours[row // 4 % 4]} casa{'abcdefghij'[row % 10]},C{row % 2}" for row in range(60)]
    write(directory / "titles.csv", "title,category\n" + "\n".join(rows) + "\n")
    return str(directory / "titles.csv")


def load(directory: Path) -> Titles:
    return load_titles(titles(directory), directory / "data", directory / "cache")


def test_a_file_of_vectors_beside_the_titles_belongs_to_them(tmp_path: Path) -> None:
    without = load(tmp_path)
    assert without.vectors() is None
    path = write(tmp_path / "vectors.txt.gz", ROWS)
    found = load(tmp_path)
    vectors = found.vectors()
    assert isinstance(vectors, np.memmap)
    assert vectors[found.vocabulary.index("azul")].tolist() == pytest.approx([-1, 0.5, 0.2])
    assert vectors.shape == (len(found.vocabulary), 3)
    assert (found.summary["words_with_vector"], found.summary["vector_width"]) == (3, 3)
    assert raw_files(titles(tmp_path), tmp_path) == [tmp_path / "titles.csv", path]
    assert found.directory == without.directory  # the titles themselves are prepared once
    write(path, ROWS.replace("azul -1", "azul -2"))
    assert len({without.sha256, found.sha256, load(tmp_path).sha256}) == 3
    path.unlink()
    assert load(tmp_path).sha256 == without.sha256


@pytest.mark.parametrize("objective", [meli_mlp.objective, meli_cnn.objective], ids=["mlp", "cnn"])
def test_every_training_starts_from_the_vectors_and_no_other_s(objective: meli_mlp.MeliMlp, tmp_path: Path) -> None:
    write(tmp_path / "vectors.txt", ROWS)
    data = load(tmp_path)
    expected = torch.from_numpy(np.array(data.vectors()))
    space = Space.declared(objective.space)
    values = []
    for frozen in (False, True, False):
        training = objective.start(space.completed({"freeze_embeddings": frozen}), data, seed=1, device="cpu")
        assert torch.equal(training.model.embedding.weight, expected)
        values.append(training.epoch()["train_loss"])
        assert torch.equal(training.model.embedding.weight, expected) == frozen
    assert values[0] == values[2]
    assert torch.equal(torch.from_numpy(np.array(data.vectors())), expected)


def test_the_course_s_vectors_are_for_spanish_alone(tmp_path: Path) -> None:
    place = tmp_path / "data" / "mercadolibre"
    place.mkdir(parents=True)
    rows = "title,label_quality,language,category\n"
    rows += "".join(f"rojo {'abcdef'[row % 6] * 4} azul,reliable,LANGUAGE,C{row % 2}\n" for row in range(60))
    spanish, portuguese = rows.replace("LANGUAGE", "spanish"), rows.replace("LANGUAGE", "portuguese")
    write(place / "train.csv.gz", spanish + portuguese.partition("\n")[2])
    write(place / "SBW-vectors-300-min5.txt.gz", "2 3\n" + "".join(ROWS.splitlines(keepends=True)[:2]))
    found = {
        name: load_titles(f"mercadolibre-challenge{name}", tmp_path / "data", tmp_path / "cache").vectors()
        for name in ("", "-spanish", "-portuguese")
    }
    assert [name for name, vectors in found.items() if vectors is not None] == ["-spanish"]


def test_a_bad_file_of_vectors_leaves_nothing_half_made(tmp_path: Path) -> None:
    write(tmp_path / "vectors.txt", "rojo 1 2\nazul 1\n")
    with pytest.raises(DataError, match=r"vectors.txt, line 2: 1 value for"):
        load(tmp_path)
    assert not list((tmp_path / "cache").glob("*vectors*/"))
