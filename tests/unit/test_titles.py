"""Product titles, from raw files of every form to shared arrays."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import DataError
from objectives._data.digits import load_digits
from objectives._data.kit import hashes
from objectives._data.kit.split import ROLES
from objectives._data.lyrics import load_lyrics
from objectives._data.motor import load_motor
from objectives._data.titles import DATASETS, UNK, TitleRows, Titles, load_titles
from objectives._data.titles.prepare import mark_of
from objectives._data.titles.sources import locate
from objectives._data.titles.split import split
from objectives._data.titles.tokens import MODEL_NUMBERS, STOP_WORDS, Recipe, course, tokenizer

from ..data_files import TITLES_HEADER as HEADER
from ..data_files import left_in, refused, write

RECIPES = [MODEL_NUMBERS, *(course(language) for language in STOP_WORDS)]


def csv_rows(n_rows: int = 30, language: str = "spanish") -> str:
    rows = (
        f"telefono rojo {'abcdefghijklmnopqrstuvwxyzñ'[i % 27] * 4},reliable,{language},C{i % 2}\n"
        for i in range(n_rows)
    )
    return HEADER + "".join(rows)


def course_line(title: str, category: str, **more: Any) -> str:
    return json.dumps({"title": title, "category": category, "language": "spanish", **more}) + "\n"


def load(path: Path | str, tmp_path: Path, **given: Any) -> Titles:
    return load_titles(str(path), tmp_path / "data", tmp_path / "cache", **given)


def words(titles: Titles, rows: TitleRows) -> list[list[str]]:
    return [
        [titles.vocabulary[token] for token in rows.tokens[begin:end]]
        for begin, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)
    ]


@pytest.fixture(scope="module")
def pricerunner(tmp_path_factory: pytest.TempPathFactory) -> Titles:
    return load("pricerunner", tmp_path_factory.mktemp("pricerunner"))


# --- tokens ---------------------------------------------------------------------------------------


def test_the_published_row_gives_the_published_tokens() -> None:
    assert tokenizer(course("spanish"))("Procesador Intel Core 2 Duo") == [
        "procesador",
        "intel",
        "core",
        "duo",
    ]


def test_tags_punctuation_digits_and_stop_words_go() -> None:
    assert tokenizer(course("spanish"))("<b>Funda</b> PARA el iPhone8, ¡nueva!") == [
        "funda",
        "iphone",
        "nueva",
    ]


def test_a_hair_dryer_keeps_its_hair_in_spanish() -> None:
    assert "pelo" in tokenizer(course("spanish"))("Secador de pelo")
    assert "pelo" in tokenizer(course("both"))("Secador de pelo")
    assert "pelo" not in tokenizer(course("portuguese"))("enviado pelo correio")


def test_model_numbers_stay() -> None:
    assert tokenizer(MODEL_NUMBERS)("Bosch KGF39SB45 64GB") == ["bosch", "kgf", "39", "sb", "45", "64", "gb"]


def test_entities_are_what_they_stand_for() -> None:
    tokenize = tokenizer(course("spanish"))
    assert tokenize("Tom &amp; Jerry &#233;lite Cami&Oacute;n&nbsp;&lt;b&gt;rojo") == [
        "tom", "jerry", "élite", "camión", "rojo",
    ]  # fmt: skip
    assert tokenize("black&notebook R&D&G") == ["black", "notebook"]  # none without its semicolon


def test_only_titles_with_entities_get_another_fingerprint(tmp_path: Path) -> None:
    for text, mark in ((csv_rows(), ""), (csv_rows().replace("rojo", "rojo &amp; azul"), " entities")):
        path = write(tmp_path / "t.csv", text)
        assert mark_of(locate(str(path), tmp_path))(path) == mark
    path = write(tmp_path / "t.csv", csv_rows().replace("C1", "C&amp;D"))
    assert mark_of(locate(str(path), tmp_path))(path) == ""


def test_both_spellings_of_an_accent_are_one_word() -> None:
    tokenize = tokenizer(course("spanish"))
    assert tokenize("cami\u00f3n") == tokenize("camio\u0301n") == ["cami\u00f3n"]


@given(st.text(), st.sampled_from(RECIPES))
def test_cleaning_what_is_clean_changes_nothing(title: str, recipe: Recipe) -> None:
    tokens = tokenizer(recipe)(title)
    assert tokenizer(recipe)(" ".join(tokens)) == tokens


# --- split ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), min_size=1))
def test_no_title_is_in_two_roles_and_order_has_no_influence(rows: list[tuple[int, int]]) -> None:
    titles = np.array([title for title, _ in rows], dtype=np.uint64)
    labels = np.array([label for _, label in rows], dtype=np.int32)
    roles = split(titles, labels)
    for title in np.unique(titles):
        assert len(np.unique(roles[titles == title])) == 1
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    np.testing.assert_array_equal(split(titles[order], labels[order]), roles[order])


def test_shares_are_70_15_15_in_every_class() -> None:
    titles = np.arange(40_000, dtype=np.uint64)
    labels = np.repeat(np.arange(4, dtype=np.int32), [100, 900, 9_000, 30_000])
    for label in range(4):
        shares = np.bincount(split(titles, labels)[labels == label]) / np.count_nonzero(labels == label)
        np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=1e-4)


# --- the bundled data -----------------------------------------------------------------------------


def test_bundled_titles(pricerunner: Titles) -> None:
    assert pricerunner.summary["rows"] == 35_311
    assert pricerunner.summary["scored_titles_also_in_train"] == 0
    assert len(pricerunner.classes) == 10
    for role in ROLES:
        rows = getattr(pricerunner, role)
        assert isinstance(rows.tokens, np.memmap)
        assert not rows.tokens.flags.writeable
        assert (rows.tokens.dtype, rows.offsets.dtype, rows.labels.dtype) == (np.int32, np.int64, np.int32)
        assert rows.offsets[0] == 0
        assert rows.offsets[-1] == len(rows.tokens)
        assert (np.diff(rows.offsets) > 0).all()
        assert set(np.unique(rows.labels)) == set(range(10))
        assert rows.tokens.min() >= UNK
        assert rows.tokens.max() < len(pricerunner.vocabulary)


def test_the_vocabulary_is_train_s_alone(pricerunner: Titles) -> None:
    counts = np.bincount(pricerunner.train.tokens, minlength=len(pricerunner.vocabulary))
    assert (counts[2:] >= 2).all()
    assert (np.diff(counts[2:]) <= 0).all()
    assert (pricerunner.validation.tokens == UNK).any()


def test_no_validation_row_in_train(pricerunner: Titles) -> None:
    train = {" ".join(title) for title in words(pricerunner, pricerunner.train) if "<unk>" not in title}
    for rows in (pricerunner.validation, pricerunner.test):
        assert not train & {" ".join(title) for title in words(pricerunner, rows) if "<unk>" not in title}


def test_clusters(tmp_path: Path) -> None:
    titles = load("pricerunner-clusters", tmp_path)
    assert titles.summary["rows"] == 7_465
    assert len(titles.classes) == 700
    for rows in (titles.train, titles.validation, titles.test):
        assert len(np.unique(rows.labels)) == 700


def test_encode_is_the_preparation_s_cleaning(pricerunner: Titles) -> None:
    assert [pricerunner.vocabulary[i] for i in pricerunner.encode("APPLE iPhone-8, 64GB")] == [
        "apple",
        "iphone",
        "8",
        "64",
        "gb",
    ]
    assert pricerunner.encode("!!!") == pricerunner.encode("qqqqqqqqqqqqx") == [UNK]


def test_the_manifest_says_where_the_rows_come_from(pricerunner: Titles) -> None:
    manifest = json.loads((pricerunner.directory / "manifest.json").read_text())
    assert manifest["sha256"] == pricerunner.sha256
    assert "Akritidis" in manifest["rights"]
    assert "CC BY 4.0" in manifest["rights"]
    assert manifest["options"]["split"]["seed"] == 2019
    assert manifest["sources"][0]["bytes"] > 100_000
    assert manifest["counts"] == dict(pricerunner.summary)


# --- forms ----------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.lists(st.text("abcdé 7<>", min_size=1).filter(str.strip), min_size=3, max_size=12))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, raw: list[str]) -> None:
    """What was written is read back: every row once, as its cleaned words, in its class."""
    tmp_path = tmp_path_factory.mktemp("round")
    drawn = [course_line(title, category) for title in raw for category in "AB"]
    # Three titles that only their class has: without them the drawn ones may be too few to split.
    own = [course_line(f"{word * 3} {category}wn", category) for word in "xyz" for category in "AB"]
    path = write(tmp_path / "t.jsonl", "".join([*drawn, *own]))
    titles = load(path, tmp_path)
    tokenize = tokenizer(course("both"))
    known = set(titles.vocabulary)

    def seen(title: str) -> list[str]:
        return [word if word in known else "<unk>" for word in tokenize(title)] or ["<unk>"]

    written = [(seen(row["title"]), row["category"]) for row in map(json.loads, path.read_text().splitlines())]
    back = [
        (title, titles.classes[label])
        for rows in (titles.train, titles.validation, titles.test)
        for title, label in zip(words(titles, rows), rows.labels, strict=True)
    ]
    assert sorted(back) == sorted(written)


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz", "no suffix", 'it\'s "ñ" 日本.csv.gz', "wrong.gz.csv"])
def test_challenge_csv_under_any_name(tmp_path: Path, name: str) -> None:
    titles = load(write(tmp_path / name, csv_rows()), tmp_path)
    assert titles.classes == ["C0", "C1"]
    assert titles.summary["rows"] == 30


def test_language_filter(tmp_path: Path) -> None:
    text = csv_rows() + csv_rows(12, "portuguese").removeprefix(HEADER)
    place = tmp_path / "data" / "mercadolibre"
    place.mkdir(parents=True)
    write(place / "train.csv.gz", text)
    assert load("mercadolibre-challenge", tmp_path).summary["rows"] == 42
    assert load("mercadolibre-challenge-portuguese", tmp_path).summary["rows"] == 12
    assert load("mercadolibre-challenge-spanish", tmp_path).summary["rows"] == 30


def write_course(place: Path, prefix: str = "spanish") -> Path:
    place.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Iterable[str]] = {
        "train": ["rojo coche", "rojo coche", "azul coche", "azul bici"],
        "validation": ["rojo coche", "verde verde"],
        "test": ["azul coche", "44 %"],
    }
    for role, texts in rows.items():
        lines = [
            course_line(f"EL {text}!", f"C{i % 2}", tokenized_title=text.split() if text != "44 %" else [])
            for i, text in enumerate(texts)
        ]
        write(place / f"{prefix}.{role}.jsonl.gz", "".join(lines))
    return place


def test_the_course_s_split_is_kept_and_its_vocabulary_is_train_s(tmp_path: Path) -> None:
    write_course(tmp_path / "data" / "mercadolibre")
    titles = load("mercadolibre-spanish", tmp_path)
    assert [len(rows) for rows in (titles.train, titles.validation, titles.test)] == [4, 2, 2]
    assert titles.vocabulary == ["<pad>", "<unk>", "coche", "azul", "rojo"]
    assert words(titles, titles.validation) == [["rojo", "coche"], ["<unk>", "<unk>"]]
    assert words(titles, titles.test) == [["azul", "coche"], ["<unk>"]]
    assert titles.summary["scored_titles_also_in_train"] == 2
    assert load(tmp_path / "data" / "mercadolibre", tmp_path).sha256 == titles.sha256


def test_a_file_of_the_users_own_has_no_rights_of_others(tmp_path: Path) -> None:
    rows = "\n".join(map(json.dumps, rows_in_json(csv_rows(54))))
    manifest = json.loads((load(write(tmp_path / "a.jsonl", rows), tmp_path).directory / "manifest.json").read_text())
    assert manifest["rights"] == "a file of the user's own"


def test_other_content_or_options_have_another_sha256(tmp_path: Path) -> None:
    one = load(write(tmp_path / "a.csv", csv_rows(30)), tmp_path)
    same = load(write(tmp_path / "b.csv", csv_rows(30)), tmp_path)
    other = load(write(tmp_path / "a.csv", csv_rows(32)), tmp_path)
    assert one.sha256 == same.sha256 != other.sha256
    assert one.directory == same.directory
    assert load(f"{tmp_path / 'b.csv'}:drop_classes_below=2", tmp_path).sha256 != one.sha256


# --- bad input ------------------------------------------------------------------------------------

BAD_FILES: dict[str, tuple[str | bytes, str]] = {
    "empty.csv": ("", "is empty"),
    "empty.gz": ("", "is empty"),
    "blank.jsonl": ("\n\n", "is empty"),
    "header-only.csv": (HEADER, "has no rows"),
    "no-category.csv": ("title,label_quality\na,b\n", "line 1: no column 'category'"),
    "unknown.csv": ("some,other,table\n1,2,3\n", "line 1: not a known form"),
    "short.csv": (HEADER + "a,b,c,d\nonly two,columns\n", "line 3: 2 columns"),
    "empty-title.csv": (HEADER + "a,b,c,d\n  ,b,c,d\n", "line 3: an empty title"),
    "nan.csv": (HEADER + "a,b,c,NaN\n", "line 2: the category is 'NaN'"),
    "no-class.csv": (HEADER + "a,b,c,\n", "line 2: the category is ''"),
    "quote.csv": (HEADER + '"a"x,b,c,d\n', "line 2: not CSV"),
    "latin.csv": (
        "título,".encode() + HEADER.encode() + "camión,b,c,d\n".encode("latin-1"),
        "line 2: byte 0xf3 is not",
    ),
    "latin.csv.gz": (
        "título,".encode() + HEADER.encode() + "camión,b,c,d\n".encode("latin-1"),
        "line 2: byte 0xf3 is not",
    ),
    "one-row.csv": (
        csv_rows() + "solo,reliable,spanish,LONELY\n",
        "line 32: the class 'LONELY' has 1 row with 1",
    ),
    "short-pricerunner.csv": ("1,a,1,1,A,1,T\n2,b\n", "line 2: 2 columns"),
    "not-json.jsonl": (course_line("a", "b") + "{oops\n", "line 2: not JSON"),
    "long-number.jsonl": ('{"title": ' + "9" * 5000 + "}\n", "line 1: not JSON"),
    "deep.jsonl": ('{"title": ' + "[" * 200_000 + "\n", "line 1: not JSON"),
    "two-arrays.json": ("[{}]\n[{}]".format(*2 * [course_line("a", "b").strip()]), "line 2: '[{"),
    "not-object.jsonl": (course_line("a", "b") + "[1]\n", "line 2: not a JSON object"),
    "no-title.jsonl": ('{"category": "a"}\n', "line 1: no 'title'"),
    "null-title.jsonl": ('{"title": null, "category": "a"}\n', "line 1: an empty title"),
    "nan-category.jsonl": ('{"title": "a", "category": NaN}\n', "line 1: the category is 'nan'"),
    "empty-title.jsonl": (course_line(" ", "b"), "line 1: an empty title"),
    "object.json": ('{"title": {"a": "b"}, "category": {"c": "d"}}', "line 1: 'title' is {'a': 'b'}; expected text"),
    "array.json": ('[{"title": "a", "category": "b"},\n\n {"title": "a"}]', "line 3: no 'category' in 'title'"),
    "open.json": ('[{"title": "a", "category": "b"}', "line 1: not JSON"),
    "no-comma.json": ('[{"title": "a", "category": "b"}\n{}]', "line 1: not JSON"),
    "deep.json": ("[" * 200_000, "line 1: not JSON"),
    "half.csv": ("title,category\n".encode("utf-16")[:-1], "after line 0: not UTF-16 as its first bytes say"),
    "twice.csv": ("title,title,category\na,b,c\n", "line 1: several columns 'title'"),
    "comma.csv": (HEADER + "a, b,b,c,d\n", "line 2: 5 columns; expected 4 as in the first line: quote a text"),
    "return.csv": (HEADER + "a\rb,b,c,d\n", "line 2: a carriage return within a line"),
    "long.csv": (HEADER + "a" * 200_000 + ",b,c,d\n", "line 2: a field of more than 131,072 characters"),
    "digits.csv": ("title,category\n1,a\n2,a\n1,b\n", "(capitals, digits and punctuation do not count)"),
    "tokens.jsonl": (course_line("a", "b", tokenized_title=[1]), "line 1: 'tokenized_title' is [1]"),
}


@pytest.mark.parametrize("separator", ";\t")
def test_other_separators_and_latin_1(tmp_path: Path, separator: str) -> None:
    rows = csv_rows(54).replace("rojo", "marrón").replace("title,", "Título,Title,").replace("\ntel", "\nx,tel")
    expected = load(write(tmp_path / "a.csv", rows), tmp_path)
    found = load(write(tmp_path / "b.csv", rows.replace(",", separator).encode("latin-1")), tmp_path)
    assert found.vocabulary == expected.vocabulary
    np.testing.assert_array_equal(found.train.tokens, expected.train.tokens)
    assert found.summary == {**expected.summary, "files_read_as_latin_1": 1}


@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: "\ufeff".encode("utf-16-be") + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r\n").encode("utf-16"),
        lambda text: text.replace("\n", "\r").encode("utf-16"),
    ],
    ids=["Mac", "UTF-16", "big-endian", "Windows", "both"],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_text_as_windows_and_old_macs_write_it(tmp_path: Path, encoded: Any, packed: Any) -> None:
    rows = csv_rows(54).replace("rojo", "marrón")
    expected = load(write(tmp_path / "a.csv", rows), tmp_path)
    found = load(write(tmp_path / "b.csv", packed(encoded(rows))), tmp_path)
    assert found.summary == expected.summary
    assert found.vocabulary == expected.vocabulary


def rows_in_json(rows: str) -> list[dict[str, str]]:
    return [{"Title": title, "category": category} for title, *_, category in csv.reader(rows.splitlines()[1:])]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_an_array_and_in_lines(tmp_path: Path, indent: int | None) -> None:
    rows = rows_in_json(csv_rows(54))
    expected = load(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))), tmp_path)
    found = load(write(tmp_path / "b.json", "\n" + json.dumps(rows, indent=indent)), tmp_path)
    assert found.summary == expected.summary
    assert found.classes == expected.classes
    numbered = [{**row, "category": expected.classes.index(row["category"])} for row in rows]
    numbers = load(write(tmp_path / "c.json", json.dumps(numbered, indent=indent)), tmp_path)
    assert numbers.classes == [str(number) for number in range(len(expected.classes))]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("separator", ",;\t")
def test_two_columns_without_a_header(tmp_path: Path, separator: str, swapped: bool) -> None:
    pairs = [(row["Title"], row["category"]) for row in rows_in_json(csv_rows(54))]
    expected = load(write(tmp_path / "a.csv", f"title,category\n{csv_of(pairs, ',')}"), tmp_path)
    given = [pair[::-1] for pair in pairs] if swapped else pairs
    found = load(write(tmp_path / "b.csv", csv_of(given, separator)), tmp_path)
    assert found.summary == expected.summary | {"files_read_without_a_header": 1}
    assert found.classes == expected.classes


def csv_of(rows: Sequence[Sequence[str]], separator: str) -> str:
    return "".join(f'"{separator.join(row)}"\n'.replace(separator, f'"{separator}"') for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        "words,kind\n" + csv_of([(f"word{row}", "ab"[row % 2]) for row in range(20)], ","),  # a header of other names
        csv_of([(f"word{row}", f"class{row}") for row in range(20)], ","),  # either may be the category
        csv_of([("a", "b")], ","),
    ],
)
def test_two_columns_that_may_be_anything(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "a.csv", content)
    refused(lambda: load(path, tmp_path), tmp_path / "cache", f"{path}, line 1: not a known form")


@pytest.mark.parametrize(
    ("title", "category"), [("text", "label"), ("Text", "CLASS"), ("title", "label"), ("Text", "category")]
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "semicolons"])
def test_columns_by_their_other_names(tmp_path: Path, title: str, category: str, form: str) -> None:
    expected = load(write(tmp_path / "t.csv", csv_rows()), tmp_path)
    header, *rows = csv_rows().splitlines()
    columns = header.split(",")
    other = [{"title": title, "category": category}.get(name, name) for name in columns]
    if form == "jsonl":
        text = "".join(json.dumps(dict(zip(other, row.split(","), strict=True))) + "\n" for row in rows)
    else:
        text = "\n".join([",".join(other), *rows]) + "\n"
        text = text.replace(",", ";") if form == "semicolons" else text
    found = load(write(tmp_path / f"other.{form}", text), tmp_path)
    assert found.summary == expected.summary
    assert found.classes == expected.classes


def test_tables_in_a_directory_are_its_roles(tmp_path: Path) -> None:
    place = tmp_path / "titles"
    place.mkdir()
    write(place / "train.csv", csv_rows(54))
    alone = load(place, tmp_path)
    write(place / "test.csv", "id,title\n1,rojo\n")  # the challenge's has no categories
    assert load(place, tmp_path).summary == alone.summary
    write(place / "test.csv", csv_rows(12))
    refused(
        lambda: load(place, tmp_path), tmp_path / "cache", f"{place} has train.csv and test.csv; add validation.csv"
    )
    write(place / "validation.csv", csv_rows(9).replace("category", "kind"))
    refused(
        lambda: load(place, tmp_path),
        tmp_path / "cache",
        "validation.csv does not say what is to be learnt; give it the header of train.csv, or name that file",
    )
    write(place / "validation.csv", csv_rows(9))
    found = load(place, tmp_path).summary
    assert [found[role] for role in ROLES] == [54, 9, 12]


def test_classes_that_are_spelt_in_several_ways_are_counted(tmp_path: Path) -> None:
    names = ["Tent", "tent", "1", "1.0", "café", "cafe\u0301", "a  b", "a b", "c"]
    found = load(write(tmp_path / "t.csv", rows_of(dict.fromkeys(names, 5))), tmp_path)
    assert len(found.classes) == len(names)
    assert found.summary["classes_spelt_in_several_ways"] == 4


FOREIGN = {
    "a PNG picture": b"\x89PNG\r\n\x1a\n",
    "a parquet file": b"PAR1\x15\x04",
    "an SQLite database": b"SQLite format 3\0",
    "a PDF document": b"%PDF-1.7\n",
    "an HTML page": b"\n<!DOCTYPE html><html>",
    "a zip archive": b"PK\x03\x04" + bytes(22) + b"\x05\0\0\0a.csv",
    "an Office file": b"PK\x03\x04" + bytes(22) + b"\x13\0\0\0[Content_Types].xml",
    "NumPy arrays (.npz)": b"PK\x03\x04" + bytes(22) + b"\x05\0\0\0x.npy",
    "an IDX file of 3 dimensions": b"\0\0\x08\x03\0\0\0\1",
    "binary data": b"abc\0\1\2",
    "a tar archive": bytes(257).replace(b"\0", b"a") + b"ustar",
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("load", [load_titles, load_motor, load_lyrics, load_digits])
@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, kind: str, load: Any, name: str) -> None:
    path = write(tmp_path / name, FOREIGN[kind])
    if kind.startswith(("NumPy", "an IDX")) and load is load_digits:
        return  # these it reads
    refused(
        lambda: load(str(path), tmp_path, tmp_path / "cache"), tmp_path / "cache", f"{path} is {kind}", "expected a"
    )


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_get_one_sentence_and_leave_nothing(tmp_path: Path, name: str) -> None:
    content, expected = BAD_FILES[name]
    path = write(tmp_path / name, content)
    refused(lambda: load(path, tmp_path), tmp_path / "cache", str(path), expected)


def rows_of(sizes: dict[str, int], shared: int = 0) -> str:
    """Rows of different titles in each class, and `shared` titles that all of them have."""
    own = [f"word {'x' * row}ycc {name}q,{name}\n" for name, size in sizes.items() for row in range(size)]
    return "title,category\n" + "".join(own + [f"{'z' * row}ucc,{name}\n" for name in sizes for row in range(shared)])


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", rows_of({"only": 20}))
    expected = f"{path} has only one class, 'only', in 20 rows; expected 2 or more to tell apart"
    refused(lambda: load(path, tmp_path), tmp_path / "cache", expected)
    write(path, rows_of({"one": 20, "two": 3}))
    refused(lambda: load(f"{path}:drop_classes_below=9", tmp_path), tmp_path / "cache", "only one class, 'one', of 9")
    place = write_course(tmp_path / "course")
    for role in ROLES:
        write(place / f"spanish.{role}.jsonl.gz", course_line("rojo coche", "C") * 3)
    refused(lambda: load(place, tmp_path), tmp_path / "cache", "has only one class, 'C', in 9 rows")


def test_all_classes_that_are_too_small_are_told_at_once(tmp_path: Path) -> None:
    names = dict.fromkeys("abcdefgh", 0)
    sizes = {"big": 9, "large": 7} | {f"rare{name}": 1 + number % 2 for number, name in enumerate(names)}
    path = write(tmp_path / "t.csv", rows_of(sizes))
    parts = (
        f"{path}: 8 of 10 classes have too few to train", "'rarea' from line 18: 1 row with 1 different title",
        "'rareb' from line 19: 2 rows", "and 3 more", f"{path}:drop_classes_below=3",
    )  # fmt: skip
    refused(lambda: load(path, tmp_path), tmp_path / "cache", *parts)
    found = load(f"{path}:drop_classes_below=3", tmp_path)
    assert found.classes == ["big", "large"]
    assert (found.summary["rows"], found.summary["classes_left_out"], found.summary["rows_left_out"]) == (16, 8, 12)
    write(path, rows_of({"big": 9, "large": 7}))
    plain, asked = load(path, tmp_path), load(f"{path}:drop_classes_below=3", tmp_path)
    assert plain.sha256 != asked.sha256  # an option that was given is part of it
    assert load(f"{path}:drop_classes_below=2", tmp_path).sha256 != asked.sha256


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=6), shared=st.integers(0, 4), least=st.integers(3, 5))
def test_classes_that_are_left_can_always_be_split(
    sizes: list[int], shared: int, least: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("sizes")
    path = write(place / "t.csv", rows_of({"ABCDEF"[number] * 3: size for number, size in enumerate(sizes)}, shared))
    own = [sizes[0] + shared, *sizes[1:]]  # a title that several classes have is the first one's
    if sum(size >= least for size in own) < 2:
        refused(lambda: load(f"{path}:drop_classes_below={least}", place), place / "cache", "to tell apart")
        return
    found = load(f"{path}:drop_classes_below={least}", place)
    assert len(found.classes) == sum(size >= least for size in own)
    for rows in (found.train, found.validation, found.test):
        assert len(np.unique(rows.labels)) == len(found.classes)


def test_all_rows_without_a_title_or_category_are_told_at_once(tmp_path: Path) -> None:
    lines = rows_of({"one": 9, "two": 9}).splitlines(keepends=True)
    empty = ["word,\n", "word,NaN\n"] + [",one\n"] * 6
    path = write(tmp_path / "t.csv", "".join([*lines[:3], " ,one\n", *lines[3:], *empty]))
    parts = (
        f"{path}: 9 rows cannot be used (line 4: an empty title, line 21: the category is ''",
        "line 22: the category is 'NaN'", "and 4 more", f"{path}:drop_empty=yes",
    )  # fmt: skip
    refused(lambda: load(path, tmp_path), tmp_path / "cache", *parts)
    found = load(f"{path}:drop_empty=yes", tmp_path)
    assert (found.summary["rows"], found.summary["empty_rows_left_out"]) == (18, 9)
    assert load(f"{path}:drop_classes_below=2,drop_empty=yes", tmp_path).summary["rows"] == 18


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("drop_clases_below=3", "'drop_clases_below'; known are drop_classes_below, drop_empty"),
        ("drop_classes_below=x", "drop_classes_below = 'x'; expected a whole number, or yes"),
        ("drop_classes_below=", "expected a whole number"),
    ],
)
def test_a_wrong_option(tmp_path: Path, option: str, expected: str) -> None:
    path = write(tmp_path / "t.csv", csv_rows())
    refused(lambda: load(f"{path}:{option}", tmp_path), tmp_path / "cache", expected)
    strange = write(tmp_path / f"t:{option}", csv_rows())  # a file of that name
    assert load(strange, tmp_path).summary["rows"] == 30


@pytest.mark.parametrize("cut", [15, 200, 2_000])
def test_a_truncated_gzip(tmp_path: Path, cut: int) -> None:
    rng = random.Random(0)
    noise = "".join(f"{rng.random()}x,reliable,spanish,C\n" for _ in range(5_000))
    path = write(tmp_path / "train.csv.gz", HEADER + noise)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"train.csv.gz, after line \d+: the gzip data is truncated"):
        load(path, tmp_path)
    assert left_in(tmp_path / "cache") == []


def test_no_rows_in_the_language(tmp_path: Path) -> None:
    place = tmp_path / "data" / "mercadolibre"
    place.mkdir(parents=True)
    write(place / "train.csv.gz", csv_rows())
    with pytest.raises(DataError, match=r"has no rows in portuguese"):
        load("mercadolibre-challenge-portuguese", tmp_path)


def test_a_class_that_is_scored_but_never_trained(tmp_path: Path) -> None:
    place = write_course(tmp_path / "course")
    write(place / "spanish.test.jsonl.gz", course_line("verde", "NEW"))
    with pytest.raises(DataError, match=r"spanish.test.jsonl.gz, line 1: the class 'NEW' has no row to train on"):
        load(place, tmp_path)


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name.startswith("mercadolibre")])
def test_missing_files_say_what_to_put_where(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(
        DataError, match=r": put (train.csv|\w+.train.jsonl.gz, \w+.validation.jsonl).* into "
    ) as caught:
        load(dataset, tmp_path)
    assert str(tmp_path / "data" / "mercadolibre") in str(caught.value)


def test_a_misspelt_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set or file 'pricerunnr'; give a path or one of pricerunner, "):
        load("pricerunnr", tmp_path)


def test_a_directory_without_titles_or_with_too_many(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"holds no table"):
        load(tmp_path / "nothing", tmp_path)
    write_course(write_course(tmp_path / "both"), "portuguese")
    with pytest.raises(DataError, match=r"several data sets \(portuguese, spanish\)"):
        load(tmp_path / "both", tmp_path)
    for path in (tmp_path / "both").glob("portuguese.*"):
        path.unlink()
    assert load(tmp_path / "both", tmp_path).summary["train"] == 4
    (tmp_path / "both" / "spanish.test.jsonl.gz").unlink()
    with pytest.raises(DataError, match=r"has no spanish.test.jsonl.gz"):
        load(tmp_path / "both", tmp_path)


# --- the cache, with real processes ---------------------------------------------------------------

CHILD = """
import os, signal, sys, time
from pathlib import Path
from objectives._data.titles import load_titles
def progress(what, fraction):
    print(what, flush=True)
    if sys.argv[3] == "die" and what.startswith(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[3] == "slow" and what.startswith("writing"):
        time.sleep(0.3)
titles = load_titles(sys.argv[1], Path("none"), Path(sys.argv[2]), progress)
print("made", titles.sha256, flush=True)
"""


def start(path: Path, cache: Path, *how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, str(path), str(cache), *how],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("phase", ["reading", "writing"])
def test_a_killed_preparation_leaves_nothing_that_looks_whole(tmp_path: Path, phase: str) -> None:
    path, cache = write(tmp_path / "a b 'ñ'.csv", csv_rows()), tmp_path / 'ca che "ü"'
    with start(path, cache, "die", phase) as child:
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert any(name.endswith(".tmp") for name in left_in(cache))
    titles = load_titles(str(path), tmp_path, cache)
    assert titles.summary["rows"] == 30
    assert left_in(cache) == [titles.directory.name]


def test_a_temporary_of_another_data_set_is_swept(tmp_path: Path) -> None:
    path, other = write(tmp_path / "a.csv", csv_rows()), write(tmp_path / "b.csv", csv_rows(40))
    with start(path, tmp_path / "cache", "die", "writing") as child:
        child.communicate()
    titles = load(other, tmp_path)
    assert left_in(tmp_path / "cache") == [titles.directory.name]


def test_processes_that_ask_at_once_prepare_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", csv_rows())
    children = [start(path, tmp_path / "cache", "slow") for _ in range(3)]
    printed = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert sum("writing" in text for text in printed) == 1
    assert len({text.splitlines()[-1] for text in printed}) == 1


def test_a_damaged_preparation_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", csv_rows())
    titles = load(path, tmp_path)
    (titles.directory / "train.tokens.npy").write_bytes(b"cut")
    again = load(path, tmp_path)
    assert again.sha256 == titles.sha256
    np.testing.assert_array_equal(again.train.labels, titles.train.labels)
    assert again.train.tokens.max() > UNK


def test_a_large_source_is_hashed_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.csv", csv_rows())
    told: list[str] = []

    def progress(what: str, fraction: float) -> None:
        told.append(what)
        assert 0 <= fraction <= 1

    def hashed() -> bool:
        told.clear()
        load(path, tmp_path, progress=progress)
        return any(what.startswith("fingerprinting") for what in told)

    monkeypatch.setattr(hashes, "SETTLED_NS", 3600 * 10**9)
    assert hashed()
    assert hashed(), "a file that has just changed is not trusted yet"
    monkeypatch.setattr(hashes, "SETTLED_NS", 0)
    assert hashed()
    assert not hashed()
    size = path.stat().st_size
    before = path.stat()
    write(path, csv_rows().replace("rojo", "ocre"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == size
    assert hashed(), "its modification time was set back, but it changed"


def test_an_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    with pytest.raises(DataError, match=r"cache .* cannot be written"):
        load(write(tmp_path / "a.csv", csv_rows()), tmp_path)


@pytest.mark.parametrize("limit", [1_000, 100_000, 900_000, 1_100_000])
def test_a_disk_that_fills_up(tmp_path: Path, limit: int) -> None:
    """At whichever file the space ends; a limit on a file's size fails as a full disk does."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))" + CHILD
    arguments = [sys.executable, "-W", "error", "-c", code, "pricerunner", str(tmp_path / "cache"), "fill"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert "DataError: the cache" in last
    assert "free space there" in last
    assert left_in(tmp_path / "cache") == []
    assert load("pricerunner", tmp_path).summary["rows"] == 35_311


def test_importing_the_readers_imports_no_torch() -> None:
    modules = ", ".join(f"objectives._data.{name}" for name in ("titles", "pictures", "digits", "motor", "lyrics"))
    code = f"import sys; import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
