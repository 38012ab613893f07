"""What a linear model reaches on the bundled titles: TF-IDF and a linear support vector machine.

    python benchmarks/titles_baseline.py

Fitted on the train rows of exactly the split that the objectives train on, once with scikit-learn's own
tokens and once with theirs. The regularisation is chosen on validation. Writes results/titles-baseline.md.
"""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import LinearSVC

from objectives import silent
from objectives._data.kit.lines import TextLines
from objectives._data.kit.split import ROLES
from objectives._data.titles import TitleRows, Titles, load_titles
from objectives._data.titles.arrays import roles_of
from objectives._data.titles.readers import READERS
from objectives._data.titles.sources import locate
from objectives._data.titles.spool import spool

RESULTS = Path(__file__).parent / "results" / "titles-baseline.md"
SEEDS = (0, 1, 2, 3, 4)
REGULARISATIONS = (0.3, 1.0, 3.0, 10.0)
HEAD = f"""# The linear baseline on product titles

TF-IDF and scikit-learn's LinearSVC, on the split the objectives use; balanced accuracy, mean ± standard
deviation over n = {len(SEEDS)} seeds of the solver on the one fixed split; C of {REGULARISATIONS} chosen on
validation. Machine: virtual machine, 2 cores of an AMD EPYC, no GPU.
Command: `python benchmarks/titles_baseline.py`

| data set | tokens | train / validation / test rows | classes | C | validation | test |
|---|---|---|---|---|---|---|"""

Parts = list[tuple[list[str], np.ndarray]]  # documents and labels of train, validation and test


def cleaned(titles: Titles) -> Parts:
    """The tokens that the objectives train on, as words joined by spaces."""

    def documents(rows: TitleRows) -> list[str]:
        words = titles.vocabulary
        bounds = zip(rows.offsets[:-1], rows.offsets[1:], strict=True)
        return [" ".join(words[token] for token in rows.tokens[begin:end]) for begin, end in bounds]

    return [(documents(rows), rows.labels) for rows in (titles.train, titles.validation, titles.test)]


def published(name: str, titles: Titles, place: Path) -> Parts:
    """The titles as published, in the same roles."""
    source = locate(name, place)
    spooled = spool(source, place, silent)
    roles = roles_of(source, spooled)
    with TextLines(source.files[""]) as lines:
        texts = np.array([text for text, _ in READERS[source.form](lines, source.argument)], dtype=object)
    parts = [(texts[roles == number].tolist(), spooled.labels[roles == number]) for number in range(len(ROLES))]
    for (_, labels), rows in zip(parts, (titles.train, titles.validation, titles.test), strict=True):
        if len(labels) != len(rows):
            raise RuntimeError("not the split that the objectives train on")
    return parts


def fit(train: Any, labels: np.ndarray, regularisation: float, seed: int) -> LinearSVC:
    """A fitted classifier."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        return LinearSVC(C=regularisation, random_state=seed, max_iter=5000).fit(train, labels)


def score(parts: Parts, vectorizer: TfidfVectorizer) -> tuple[float, list[float], list[float]]:
    """The chosen regularisation, and for each seed the balanced accuracy on validation and on test."""
    labels = [labels for _, labels in parts]
    train = vectorizer.fit_transform(parts[0][0])
    held_out = [vectorizer.transform(documents) for documents, _ in parts[1:]]

    def scored(model: LinearSVC, which: int) -> float:
        return float(balanced_accuracy_score(labels[which + 1], model.predict(held_out[which])))

    chosen = max(REGULARISATIONS, key=lambda c: scored(fit(train, labels[0], c, SEEDS[0]), 0))
    models = [fit(train, labels[0], chosen, seed) for seed in SEEDS]
    return chosen, [scored(model, 0) for model in models], [scored(model, 1) for model in models]


def shown(scores: Iterable[float]) -> str:
    """Mean and spread."""
    scores = list(scores)
    return f"{statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f}"


def main() -> None:
    """Measure both data sets under both kinds of tokens and write the table."""
    lines = [HEAD]
    for name in ("pricerunner", "pricerunner-clusters"):
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            titles = load_titles(name, place, place / "cache")
            for tokens, parts, vectorizer in (
                ("scikit-learn's own", published(name, titles, place), TfidfVectorizer()),
                (
                    "the objectives'",
                    cleaned(titles),
                    TfidfVectorizer(token_pattern=r"\S+", sublinear_tf=True),
                ),
            ):
                chosen, validation, test = score(parts, vectorizer)
                counts = " / ".join(str(titles.summary[role]) for role in ROLES)
                row = (name, tokens, counts, len(titles.classes), chosen, shown(validation), shown(test))
                lines.append(f"| {' | '.join(map(str, row))} |")
    text = "\n".join(lines) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
