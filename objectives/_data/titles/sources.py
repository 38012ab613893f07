"""The data sets of product titles: their names, where their files are, and how each is read and prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from objectives._contract import DataError, Download, Origin
from objectives._data.kit.arrow import parts_of
from objectives._data.kit.sources import OWN_FILE, SAMPLES, own_path, tables_of_roles, with_options
from objectives._data.kit.split import ROLES
from objectives._data.titles.readers import PRICERUNNER_COLUMNS, form_of_pairs, has_categories, recognise, unknown
from objectives._data.titles.tokens import MODEL_NUMBERS, Recipe, course

DATASETS: Mapping[str, str] = {
    "pricerunner": "35,311 product titles in 10 categories; ships with the package (CC BY 4.0).",
    "pricerunner-clusters": "The 7,465 of them whose product has 8 offers or more, in 700 products.",
    "mercadolibre-spanish": "The challenge's Spanish titles in the course's form and split, 632 categories.",
    "mercadolibre-portuguese": "The same in Portuguese.",
    "mercadolibre-challenge": "The challenge's own train.csv, 20 million titles in both languages.",
    "mercadolibre-challenge-spanish": "Its Spanish titles.",
    "mercadolibre-challenge-portuguese": "Its Portuguese titles.",
}
OPTIONS = ("drop_classes_below", "drop_empty")
LANGUAGES = ("spanish", "portuguese")
SAMPLE = SAMPLES / "pricerunner_aggregate.csv.gz"
MIN_CLUSTER_ROWS = 8  # a smaller class cannot be split three ways and still be learnt

PRICERUNNER_RIGHTS = (
    "Product Classification and Clustering, L. Akritidis, UCI Machine Learning Repository, data set 837, CC BY 4.0"
)
MERCADOLIBRE_RIGHTS = "MercadoLibre Data Challenge 2019; no licence is stated, do not redistribute"

# The addresses are from the scripts of the course and of several participants; no checksums are published.
COURSE_ADDRESS = "https://cs.famaf.unc.edu.ar/~ccardellino/resources/diplodatos/"
CHALLENGE_ADDRESS = "https://meli-data-challenge.s3.amazonaws.com/"
SBW = "SBW-vectors-300-min5.txt"  # Spanish Billion Words, C. Cardellino, CC BY-SA 4.0: what the published models read


def _course_files(language: str) -> Download:
    members = [f"{language}.{role}.jsonl.gz" for role in ROLES]
    archive = "meli-challenge-2019.tar.bz2"
    return Download(f"mercadolibre/{archive}", [COURSE_ADDRESS + archive], members=members)


CHALLENGE_FILE = Download("mercadolibre/train.csv.gz", [CHALLENGE_ADDRESS + "train.csv.gz"])
SPANISH_VECTORS = Download(f"mercadolibre/{SBW}.gz", [f"{COURSE_ADDRESS}{SBW}.gz"], needed=False)
MERCADOLIBRE = "no licence stated; MercadoLibre Data Challenge 2019"
ORIGINS: Mapping[str, Origin] = {
    "pricerunner": Origin("CC BY 4.0; L. Akritidis, UCI 837"),
    "pricerunner-clusters": Origin("CC BY 4.0; L. Akritidis, UCI 837"),
    "mercadolibre-spanish": Origin(MERCADOLIBRE, [_course_files("spanish"), SPANISH_VECTORS]),
    "mercadolibre-portuguese": Origin(MERCADOLIBRE, [_course_files("portuguese")]),
    "mercadolibre-challenge": Origin(MERCADOLIBRE, [CHALLENGE_FILE]),
    "mercadolibre-challenge-spanish": Origin(MERCADOLIBRE, [CHALLENGE_FILE, SPANISH_VECTORS]),
    "mercadolibre-challenge-portuguese": Origin(MERCADOLIBRE, [CHALLENGE_FILE]),
}


@dataclass(frozen=True)
class TitleSource:
    """The files of a data set and everything that decides what is made of them.

    files: one file to split, under the key "", or one for each of ROLES. form: a key of readers.READERS. argument: for
    that reader, the class's column, the language to keep, or the form of pairs. min_rows: smaller classes are left out.
    rights: licence and attribution. dataset, options: as they were typed. vectors: pre-trained word vectors to start
    from, if such a file lies beside the others.
    """

    files: Mapping[str, Path]
    form: str
    argument: str
    recipe: Recipe
    rights: str
    min_rows: int = 1
    dataset: str = ""
    options: Mapping[str, int] = field(default_factory=dict)
    vectors: Path | None = None


def locate(dataset: str, data: Path) -> TitleSource:
    """The files of `dataset`, a key of DATASETS or a path to a file or a directory; reads a few rows at most.

    data: the directory of full data sets. Raises DataError that says which files to put where when they are missing.
    """
    dataset, options = with_options(dataset, OPTIONS)
    if dataset in DATASETS:
        place = data / dataset.partition("-")[0]
        source = _named(dataset, place)
    else:
        path = own_path(dataset, DATASETS)
        place = path if path.is_dir() else path.parent
        source = _directory(path) if path.is_dir() else _file(path)
    source = replace(source, dataset=dataset, options=options)
    return replace(source, vectors=_vectors_beside(place, source.recipe.stop_words))


def raw_files(dataset: str, data: Path) -> Sequence[Path]:
    """Return the files of `dataset`, with the word vectors, if any, as the last one. Raises DataError."""
    source = locate(dataset, data)
    tables = [part for table in source.files.values() for part in parts_of(table)]
    return [*tables, *([source.vectors] if source.vectors else [])]


def _vectors_beside(place: Path, language: str) -> Path | None:
    """Word vectors for titles in `language`: LANGUAGE.vectors.txt, the course's own, or vectors.txt, gzip or not."""
    names = [f"{language}.vectors.txt", *([SBW] if language == "spanish" else []), "vectors.txt"]
    return next((path for path in (_either(place, name) for name in names) if path), None)


def _named(dataset: str, place: Path) -> TitleSource:
    family, _, variant = dataset.partition("-")
    if family == "pricerunner":
        if variant == "clusters":
            return _pricerunner(SAMPLE, "cluster_id", PRICERUNNER_RIGHTS, min_rows=MIN_CLUSTER_ROWS)
        return _pricerunner(SAMPLE, "category", PRICERUNNER_RIGHTS)
    if variant in LANGUAGES:
        files = {role: _present(place, f"{variant}.{role}.jsonl", dataset) for role in ROLES}
        return _course(files, variant, MERCADOLIBRE_RIGHTS)
    language = variant.removeprefix("challenge").removeprefix("-")
    return _challenge({"": _present(place, "train.csv", dataset)}, language, MERCADOLIBRE_RIGHTS)


def _present(place: Path, name: str, dataset: str) -> Path:
    """The file `name` in `place`, gzip or not."""
    found = _either(place, name)
    if found is None:
        wanted = (
            f"{name}.gz"
            if name.endswith(".csv")
            else ", ".join(f"{dataset.rpartition('-')[2]}.{role}.jsonl.gz" for role in ROLES)
        )
        raise DataError(
            f"the data set {dataset} needs {name}.gz, which is not there: put {wanted} "
            f"of the MercadoLibre Data Challenge 2019 into {place}"
        )
    return found


def _either(place: Path, name: str) -> Path | None:
    names = (f"{name}.gz", name, name.replace(".csv", ".parquet"))
    return next((path for path in (place / each for each in names) if path.is_file()), None)


def _directory(place: Path) -> TitleSource:
    """The source in a directory: one family of course files, or tables."""
    prefixes = sorted(
        {path.name.partition(f".{ROLES[0]}.jsonl")[0] for path in place.glob(f"*.{ROLES[0]}.jsonl*")},
    )
    if len(prefixes) > 1:
        raise DataError(f"{place} holds several data sets ({', '.join(prefixes)}); keep one of them in a directory")
    if prefixes:
        files = {role: _either(place, f"{prefixes[0]}.{role}.jsonl") for role in ROLES}
        absent = [role for role, path in files.items() if path is None]
        if absent:
            raise DataError(f"{place} has no {prefixes[0]}.{absent[0]}.jsonl.gz; put it beside the others")
        rights = MERCADOLIBRE_RIGHTS if prefixes[0] in LANGUAGES else OWN_FILE  # by its files' names
        return _course({role: path for role, path in files.items() if path}, prefixes[0], rights)
    tables = tables_of_roles(place, has_categories)
    if "" in tables:
        return _file(tables[""])
    missing = next((role for role in ROLES if role not in tables), None)
    if missing:
        given = " and ".join(path.name for path in tables.values())
        raise DataError(f"{place} has {given}; add {missing}.csv, or name a file, to split it")
    if recognise(tables["train"]) == "course":
        return _course(tables, "", OWN_FILE)
    return _challenge(tables, "", OWN_FILE)


def _file(path: Path) -> TitleSource:
    form = recognise(path)
    if form == "challenge":
        return _challenge({"": path}, "", OWN_FILE)
    if form == "course":
        return _course({"": path}, "", OWN_FILE)
    pairs = "" if form else form_of_pairs(path)
    if not form and not pairs:
        raise unknown(path)
    if pairs:
        return TitleSource({"": path}, "pairs", pairs, course("both"), OWN_FILE)
    return _pricerunner(path, "category", OWN_FILE)


def _pricerunner(path: Path, column: str, rights: str, **more: Any) -> TitleSource:
    if column not in PRICERUNNER_COLUMNS:
        raise ValueError(column)
    return TitleSource({"": path}, "pricerunner", column, MODEL_NUMBERS, rights, **more)


def _challenge(files: Mapping[str, Path], language: str, rights: str) -> TitleSource:
    return TitleSource(files, "challenge", language, course(language or "both"), rights)


def _course(files: Mapping[str, Path], spoken: str, rights: str) -> TitleSource:
    """The source in files like the course's. spoken: the language of the titles where the files' names say it."""
    return TitleSource(files, "course", "", course(spoken if spoken in LANGUAGES else "both"), rights)
