"""Tables in Parquet, which the readers of CSV read as such."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from objectives._data.lyrics import load_lyrics
from objectives._data.motor import load_motor
from objectives._data.motor.readers import COLUMNS, SESSION
from objectives._data.titles import load_titles
from objectives._titles import read_titles

from ..data_files import refused

TITLES = pd.DataFrame(
    {
        "category": [f"C{row % 3}" for row in range(60)],
        "title": [f'red "{"x" * row}", a\nlong; née {"abc"[row % 3]}' for row in range(60)],
    }
)
MOTOR = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32), columns=list(COLUMNS))
MOTOR[SESSION] = np.repeat(np.arange(6), 10)
TEXTS = pd.DataFrame({"Lyrics": [f"la, la\n{row} la" for row in range(30)]})
OTHERS = {"list": [[1, 2]], "time": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)], "file": [b"\xff\0"]}


def same_rows(load: Any, table: pd.DataFrame, place: Path, **written: Any) -> None:
    """Loading the table from CSV and from Parquet, with other columns beside it, gives the same arrays."""
    table.to_csv(place / "t.csv", index=False)
    more = table.assign(**{name: values * len(table) for name, values in OTHERS.items()})
    more.set_index(np.arange(len(table)) * 2 + 7).to_parquet(place / "t.parquet", **written)
    cache = place / "cache"
    expected, found = (load(str(place / name), place, cache).directory for name in ("t.csv", "t.parquet"))
    arrays = sorted(path.name for path in expected.glob("*.npy"))
    assert arrays == sorted(path.name for path in found.glob("*.npy"))
    assert all((expected / name).read_bytes() == (found / name).read_bytes() for name in arrays)


@pytest.mark.parametrize(
    ("load", "table"),
    [
        (load_titles, TITLES),
        (load_titles, TITLES.astype({"category": "category"})),
        (load_titles, TITLES.assign(category=np.arange(60) % 3)),
        (load_motor, MOTOR),
        (load_lyrics, TEXTS),
    ],
    ids=["titles", "categories", "numbers", "motor", "texts"],
)
def test_parquet_is_read_as_the_same_table_in_csv(load: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    same_rows(load, table, tmp_path, row_group_size=20)


def test_roles_in_a_directory(tmp_path: Path) -> None:
    for number, role in enumerate(("train", "validation", "test")):
        TITLES[number * 20 :][:20].to_parquet(tmp_path / f"{role}.parquet")
    assert (
        dict(load_titles(str(tmp_path), tmp_path, tmp_path / "cache").summary).items()
        >= {"rows": 60, "test": 20}.items()
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    TITLES.assign(category=None).to_parquet(path)
    refused(lambda: load_titles(str(path), tmp_path, tmp_path / "cache"), tmp_path / "cache", "no column 'category'")
    MOTOR.assign(pm=[None, *MOTOR["pm"][1:]]).to_parquet(path)
    refused(
        lambda: load_motor(str(path), tmp_path, tmp_path / "cache"),
        tmp_path / "cache",
        "t.parquet, line 2 of it as CSV: pm is ''; expected a finite number",
    )


def test_a_damaged_file_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    TITLES.to_parquet(path)
    path.write_bytes(path.read_bytes()[:-9])
    refused(lambda: load_titles(str(path), tmp_path, tmp_path / "cache"), tmp_path / "cache", "expected a whole one")


def test_predictions_for_a_file(tmp_path: Path) -> None:
    for name in ("title", "Text"):
        TITLES.rename(columns={"title": name}).to_parquet(tmp_path / "t.parquet")
        assert list(read_titles(str(tmp_path / "t.parquet"))) == TITLES["title"].tolist()
