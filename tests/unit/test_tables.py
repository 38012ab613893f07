"""One table in every form in which programs write it: each is read as the same rows, or refused with what to do."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from objectives._data.digits import load_digits
from objectives._data.kit.tables import open_table
from objectives._data.lyrics import load_lyrics
from objectives._data.motor import load_motor
from objectives._data.motor.readers import COLUMNS, SESSION
from objectives._data.titles import load_titles
from objectives._titles import read_titles
from objectives.mnist_target import read_images
from objectives.pmsm_temperature import read_rows

from ..data_files import refused

DRAW = np.random.RandomState(0)
TITLES = pd.DataFrame(
    {
        "title": [f"café {'abcdefgh'[row % 8] * 3} {'pqrstuvwxy'[row // 8] * 3}" for row in range(60)],
        "category": [f"C{row % 3}" for row in range(60)],
    }
)
MOTOR = pd.DataFrame(np.round(DRAW.normal(900, 500, (60, 12)), 3), columns=list(COLUMNS))
MOTOR[SESSION] = np.repeat(np.arange(6) + 4, 10)
TEXTS = pd.DataFrame({"song": range(30), "text": [f"la {'abcde'[row % 5]}, “ño”\nverse {row}" for row in range(30)]})
DIGITS = pd.DataFrame(DRAW.randint(0, 256, (50, 784)), columns=[f"pixel{pixel}" for pixel in range(784)])
DIGITS.insert(0, "label", np.arange(50) % 10)

Load = Callable[..., Any]
SETS = {
    "titles": (load_titles, TITLES),
    "motor": (load_motor, MOTOR),
    "texts": (load_lyrics, TEXTS),
    "digits": (load_digits, DIGITS),
}


def arrays(load: Load, path: Path, place: Path) -> dict[str, bytes]:
    directory = load(str(path), place, place / "cache").directory
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.name != "manifest.json"}


def as_csv(table: pd.DataFrame, **how: Any) -> str:
    return str(table.to_csv(index=False, **how))


def zipped(path: Path, table: pd.DataFrame) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/t.csv", as_csv(table))
        archive.writestr("__MACOSX/data/._t.csv", b"\0\1")


def spark(path: Path, table: pd.DataFrame) -> None:
    path.mkdir()
    for part, rows in enumerate((table[:20], table[20:])):
        rows.to_parquet(path / f"part-{part:05}.snappy.parquet")
    (path / "_SUCCESS").touch()


FORMS: dict[str, Callable[[Path, pd.DataFrame], Any]] = {
    **{
        f"{orient}.json": lambda path, table, orient=orient: table.to_json(path, orient=orient)
        for orient in ("records", "columns", "index", "split", "table")
    },
    "lines.json": lambda path, table: table.to_json(path, orient="records", lines=True),
    "pretty.json": lambda path, table: table.to_json(path, indent=2),
    "lists.json": lambda path, table: path.write_text(json.dumps(table.to_dict("list"))),
    "named.json": lambda path, table: path.write_text(json.dumps({"rows": table.to_dict("records")})),
    "t.csv.zip": zipped,
    "t.feather": lambda path, table: table.to_feather(path),
    "parts": spark,
    "utf-32.csv": lambda path, table: path.write_text(as_csv(table), encoding="utf-32"),
    "bars.csv": lambda path, table: table.to_csv(path, sep="|", index=False),
    "quoted sep.csv": lambda path, table: path.write_text('"sep=;"\r\n' + as_csv(table, sep=";"), encoding="utf-8-sig"),
    "first blank.csv": lambda path, table: path.write_text("\n\n" + as_csv(table, sep=";")),
    "last empty.csv": lambda path, table: path.write_text(as_csv(table) + "," * (table.shape[1] - 1) + "\r\n"),
    "surplus.csv": lambda path, table: path.write_text(
        ",".join(table) + "\n" + as_csv(table.assign(**{"": ""}), header=False)
    ),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_in_every_form(tmp_path: Path, form: str, name: str) -> None:
    load, table = SETS[name]
    table.to_csv(tmp_path / "t.csv", index=False)
    FORMS[form](tmp_path / form, table)
    assert arrays(load, tmp_path / form, tmp_path) == arrays(load, tmp_path / "t.csv", tmp_path)


def test_directories_say_a_column(tmp_path: Path) -> None:
    MOTOR.to_csv(tmp_path / "t.csv", index=False)
    MOTOR.to_parquet(tmp_path / "parts", partition_cols=[SESSION])
    assert arrays(load_motor, tmp_path / "parts", tmp_path) == arrays(load_motor, tmp_path / "t.csv", tmp_path)


def test_parts_of_several_tables_are_refused(tmp_path: Path) -> None:
    spark(tmp_path / "parts", MOTOR)
    MOTOR[["pm"]].to_parquet(tmp_path / "parts" / "part-2.parquet")
    expected = "part-2.parquet has the columns pm; expected ambient, "
    refused(lambda: load_motor(str(tmp_path / "parts"), tmp_path, tmp_path), tmp_path, expected)


def test_a_changed_part_is_other_data(tmp_path: Path) -> None:
    spark(tmp_path / "parts", MOTOR)
    before = load_motor(str(tmp_path / "parts"), tmp_path, tmp_path / "cache").sha256
    MOTOR[20:].assign(pm=MOTOR["pm"] + 1).to_parquet(tmp_path / "parts" / "part-00001.snappy.parquet")
    assert load_motor(str(tmp_path / "parts"), tmp_path, tmp_path / "cache").sha256 != before


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("titles", {"title": "Product Name", "category": " Category"}),
        ("titles", {"title": "product-title", "category": "category_name"}),
        ("motor", {SESSION: "session"}),
        ("motor", {name: name.replace("_", " ").title() for name in MOTOR}),
        ("motor", {"ambient": "# ambient"}),
        ("texts", {"text": "Song Lyrics"}),
        ("texts", {"text": "Poem"}),
    ],
)
def test_columns_as_people_call_them(tmp_path: Path, name: str, columns: dict[str, str]) -> None:
    load, table = SETS[name]
    table.to_csv(tmp_path / "t.csv", index=False)
    table.rename(columns=columns).to_csv(tmp_path / "other.csv", index=False)
    assert arrays(load, tmp_path / "other.csv", tmp_path) == arrays(load, tmp_path / "t.csv", tmp_path)


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "separator"), [(",", ";"), (".", "\t")])
def test_a_mark_of_thousands_is_no_decimal_mark(tmp_path: Path, mark: str, separator: str) -> None:
    grouped = MOTOR.round().astype(int).map(lambda value: f"{value:,}".replace(",", mark))
    path = tmp_path / "t.csv"
    grouped.to_csv(path, sep=separator, index=False)
    refused(
        lambda: load_motor(str(path), tmp_path, tmp_path), tmp_path, f"{mark}", "line 2: '", "and no mark of thousands"
    )
    grouped.loc[0, "pm"] = f"0{mark}5"
    grouped.to_csv(path, sep=separator, index=False)
    assert load_motor(str(path), tmp_path, tmp_path / "cache").values.min() < 1


def test_a_text_over_several_lines_in_a_column_that_is_not_used(tmp_path: Path) -> None:
    MOTOR.assign(note="a\nb").to_csv(tmp_path / "t.csv", index=False)
    refused(
        lambda: load_motor(str(tmp_path / "t.csv"), tmp_path, tmp_path),
        tmp_path,
        "line 2: quotes that are not closed; expected each row in one line",
    )


def test_pixels_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    DIGITS.to_csv(tmp_path / "t.csv", index=False)
    named = DIGITS.assign(ImageId=range(50), digit2="x")
    named[sorted(named)].to_csv(tmp_path / "sorted.csv", index=False)  # pixel10 before pixel2
    assert arrays(load_digits, tmp_path / "sorted.csv", tmp_path) == arrays(load_digits, tmp_path / "t.csv", tmp_path)
    asked = [[pixels for _, pixels in read_images(str(tmp_path / name))] for name in ("t.csv", "sorted.csv")]
    assert np.array_equal(*asked)


def test_pixels_without_digits(tmp_path: Path) -> None:
    for header in (True, False):
        DIGITS.drop(columns="label").to_csv(tmp_path / "test.csv", index=False, header=header)
        expected = "has pixels and no column of digits; add one with a name such as label"
        refused(lambda: load_digits(str(tmp_path / "test.csv"), tmp_path, tmp_path), tmp_path, expected)


# --- directories -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [("Train.csv", "valid.csv", "test.csv"), ("t_train.json", "t_dev.json", "t_test.json")]
)
def test_tables_of_titles_by_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "set").mkdir()
    for name, rows in zip(names, (TITLES[:36], TITLES[36:48], TITLES[48:]), strict=True):
        write = rows.to_csv if name.endswith("csv") else rows.to_json
        write(tmp_path / "set" / name, **({"index": False} if name.endswith("csv") else {"orient": "records"}))
    found = load_titles(str(tmp_path / "set"), tmp_path, tmp_path / "cache")
    assert [len(part) for part in (found.train, found.validation, found.test)] == [36, 12, 12]


def test_tables_of_digits_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    DIGITS[:40].to_csv(tmp_path / "set" / "mnist_train.csv", index=False)
    DIGITS[40:].to_csv(tmp_path / "set" / "mnist_test.csv", index=False)
    found = load_digits(str(tmp_path / "set"), tmp_path, tmp_path / "cache")
    assert np.array_equal(found.test.pixels, DIGITS[40:].to_numpy()[:, 1:])
    DIGITS[40:].drop(columns="label").to_csv(tmp_path / "set" / "mnist_test.csv", index=False)  # as Kaggle gives it
    found = load_digits(str(tmp_path / "set"), tmp_path, tmp_path / "cache")
    assert sum(len(part) for part in (found.train, found.validation, found.test)) == 40


def test_one_table_in_a_directory_or_several(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for name in SETS:
        load, table = SETS[name]
        table.to_csv(tmp_path / "t.csv", index=False)
        table.to_csv(tmp_path / "set" / "t.csv", index=False)
        if name != "motor":
            assert arrays(load, tmp_path / "set", tmp_path) == arrays(load, tmp_path / "t.csv", tmp_path)
    TITLES.to_csv(tmp_path / "set" / "other.csv", index=False)
    expected = "holds several tables (other.csv, t.csv); expected one, or train.csv"
    refused(lambda: load_titles(str(tmp_path / "set"), tmp_path, tmp_path), tmp_path, expected)


# --- texts -------------------------------------------------------------------------------------------


def test_line_ends_of_windows_within_texts(tmp_path: Path) -> None:
    TEXTS.to_csv(tmp_path / "t.csv", index=False)
    expected = load_lyrics(str(tmp_path / "t.csv"), tmp_path, tmp_path / "cache")
    for end in ("\r\n", "\r"):
        for path in (tmp_path / "w.csv", tmp_path / "w.json"):
            ended = TEXTS.assign(text=TEXTS["text"].str.replace("\n", end))
            ended.to_csv(path, index=False, lineterminator="\r\n") if path.suffix == ".csv" else ended.to_json(path)
            assert arrays(load_lyrics, path, tmp_path) == arrays(load_lyrics, tmp_path / "t.csv", tmp_path)
            assert load_lyrics(str(path), tmp_path, tmp_path / "cache").sha256 != expected.sha256


@pytest.mark.parametrize("write", ["to_csv", "to_json"])
def test_a_table_that_is_called_a_text(tmp_path: Path, write: str) -> None:
    TEXTS.to_csv(tmp_path / "t.csv", index=False)
    getattr(TEXTS, write)(tmp_path / "songs.txt", **({"index": False} if write == "to_csv" else {"orient": "records"}))
    assert arrays(load_lyrics, tmp_path / "songs.txt", tmp_path) == arrays(load_lyrics, tmp_path / "t.csv", tmp_path)


def test_texts_as_lists_of_lines(tmp_path: Path) -> None:
    TEXTS.to_csv(tmp_path / "t.csv", index=False)
    poems = [{"title": str(row.song), "lines": row.text.split("\n")} for row in TEXTS.itertuples()]
    (tmp_path / "poems.json").write_text(json.dumps(poems))
    assert arrays(load_lyrics, tmp_path / "poems.json", tmp_path) == arrays(load_lyrics, tmp_path / "t.csv", tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_an_encoding_that_is_not_read_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_text(as_csv(TITLES), encoding=encoding)
    expected = "is text in UTF-16 or UTF-32 without the mark of it (save it as UTF-8)"
    refused(lambda: load_titles(str(tmp_path / "t.csv"), tmp_path, tmp_path), tmp_path, expected)


def test_an_archive_of_several_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", as_csv(TITLES))
        archive.writestr("b.csv", as_csv(TITLES))
    for load, _ in SETS.values():
        expected = "t.zip is a zip archive (unpack it first); expected"
        refused(lambda load=load: load(str(tmp_path / "t.zip"), tmp_path, tmp_path), tmp_path, expected)  # type: ignore[misc]


# --- what is asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["asked.csv", "asked.txt", "asked.json", "asked.csv.zip", "parts"])
def test_titles_of_a_table_that_are_asked(tmp_path: Path, name: str) -> None:
    asked = TITLES.rename(columns={"title": "Product Name"}).assign(price=1)
    write: dict[str, Callable[[Path], Any]] = {
        ".json": lambda path: asked.to_json(path),
        ".zip": lambda path: zipped(path, asked),
        "": lambda path: spark(path, asked),
    }
    path = tmp_path / name
    write.get(path.suffix, lambda path: asked.to_csv(path, sep=";", index=False))(path)
    assert list(read_titles(str(path))) == TITLES["title"].tolist()


def test_measurements_that_are_asked(tmp_path: Path) -> None:
    MOTOR.rename(columns={SESSION: "session"}).to_json(tmp_path / "t.json", orient="split")
    with open_table(tmp_path / "t.json") as lines:
        answers = list(read_rows(lines, ["torque", "ambient"]))
    assert [values for _, (_, values) in answers] == MOTOR[["torque", "ambient"]].to_numpy().tolist()
    assert [about[SESSION] for about, _ in answers] == MOTOR[SESSION].astype(str).tolist()


def test_a_mark_of_thousands_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("torque;ambient\n1,882;20\n0,5;21\n1,882;22\n;\n7;8;\n", encoding="utf-8")
    with open_table(tmp_path / "t.csv") as lines:
        (_, first), *others = read_rows(lines, ["torque", "ambient"])
    assert "line 2: '1,882' may be 1882 or 1.882" in str(first)
    assert [values for _, (_, values) in others] == [[0.5, 21], [1.882, 22], [7, 8]]


def test_json_in_one_long_line_is_asked(tmp_path: Path) -> None:
    many = pd.concat([TITLES] * 50)
    many.to_json(tmp_path / "t.json", orient="records")
    assert (tmp_path / "t.json").stat().st_size > 1 << 16
    assert list(read_titles(str(tmp_path / "t.json"))) == many["title"].tolist()
