"""The data sets of texts: their names, their licences, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from objectives._contract import DataError, Download, Origin
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.sources import OWN_FILE, SAMPLES, own_path, tables_in, with_options
from objectives._data.lyrics.readers import is_table, texts_below, texts_in

BUNDLED = {"sonnets": SAMPLES / "sonnets.csv.gz", "tinyshakespeare": SAMPLES / "tinyshakespeare.txt.gz"}
OPTIONS = ("drop_empty",)
DATASETS: Mapping[str, str] = {
    "sonnets": "Shakespeare's 154 sonnets, 94,000 characters; ships with the package (public domain).",
    "tinyshakespeare": "A million characters of his plays; ships with the package (public domain).",
    "songdata": "Kaggle's 57,650 song lyrics (songdata.csv), or any file of that form in its place.",
}
KAGGLE = "https://www.kaggle.com/datasets/mousehead/songlyrics"
ORIGINS: Mapping[str, Origin] = {
    "sonnets": Origin("public domain"),
    "tinyshakespeare": Origin("public domain"),
    "songdata": Origin(
        "the songs' owners have the rights; Kaggle",
        [Download("lyrics/songdata.csv", page=f"{KAGGLE} (an account is needed)")],
    ),
}


def locate(dataset: str, data: Path) -> Path:
    """Return the file of `dataset`, or a user's own directory of texts.

    Raises DataError that says which file to put where when it is missing.
    """
    dataset, _ = with_options(dataset, OPTIONS)
    if dataset in BUNDLED:
        return BUNDLED[dataset]
    if dataset == "songdata":
        place = data / "lyrics"
        found = next((path for path in (place / "songdata.csv", place / "songdata.csv.gz") if path.is_file()), None)
        if found is None:
            raise DataError(
                "the data set songdata is not there: put songdata.csv (artist,song,link,text) of Kaggle's "
                f"'55000+ Song Lyrics' into {place}"
            )
        return found
    path = own_path(dataset, DATASETS)
    tables = [table for each in tables_in(path).values() for table in each] if path.is_dir() else []
    return tables[0] if len(tables) == 1 and not texts_in(path) else path


def files_of(path: Path) -> dict[str, Path]:
    """The files of a data set that is at `path`, each under the name that counts. Raises DataError."""
    if not path.is_dir():
        return {"": path}
    return {str(one.relative_to(path)): one for one in (parts_of(path) if is_table(path) else texts_below(path))}


def rights(dataset: str) -> str:
    """The licence of a data set that can be prepared."""
    return "public domain" if dataset in BUNDLED else OWN_FILE
