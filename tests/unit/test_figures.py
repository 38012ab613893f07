"""The report's section on predictions, and its figures as PNG files."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from objectives._evidence import confused
from studies.errors import WrongInput
from studies.files import write_all
from studies.record.study import StudyRecord
from studies.report.page import files, render
from studies.report.png import DPI, pictures, slug
from studies.report.sections import document

from ..reports import HOSTILE, make_evidence, make_report, make_study, make_trial

TITLE = "Predictions of the best trial"
FORMULA = r"$\frac{broken"


def with_evidence(evidence: Any) -> StudyRecord:
    return make_report([make_trial(0, [0.5, 0.6], attributes={"evidence": evidence}), make_trial(1, [0.4])])


def section(report: StudyRecord, title: str) -> Any:
    return next((section for section in document(report).sections if section.title == title), None)


def test_the_matrix_and_its_numbers_are_those_of_the_evidence() -> None:
    counts = [[8, 2, 0], [1, 6, 3], [0, 0, 20]]
    report = with_evidence({"classes": ["a", "b", "c"], "confusion": counts, "pr_auc": [0.9, 0.7, 1.0]})
    found = section(report, TITLE)
    assert found.text == [
        "Trial 0 answered 40 validation rows of 3 classes, 85.0% of them rightly, after epoch 2. "
        "The lowest recall is 0.6000, of b. The most frequent mistake takes b for c (3 times)."
    ]
    assert list(found.tables[0].rows) == [
        ("b", "10", "0.6000", "0.7500", "0.7000"),
        ("a", "10", "0.8000", "0.8889", "0.9000"),
        ("c", "20", "1.0000", "0.8696", "1.0000"),
    ]
    assert list(found.tables[1].rows) == [("b", "c", "3"), ("a", "b", "2"), ("b", "a", "1")]
    (trace,) = found.figures[0].data
    assert trace["text"] == [["8", "2", "0"], ["1", "6", "3"], ["0", "0", "20"]]
    assert trace["z"] == [[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.0, 1.0]]


def test_of_many_classes_the_worst_and_the_most_confused_are_shown() -> None:
    import numpy as np

    n = 632
    confusion = np.eye(n, dtype=np.int64) * 10
    confusion[5, 9] = 30
    found = section(with_evidence(confused(confusion, [f"CLASS {k}" for k in range(n)])), TITLE)
    assert next(iter(found.tables[0].rows)) == ("CLASS 5", "40", "0.2500")
    assert list(found.tables[1].rows) == [("CLASS 5", "CLASS 9", "30")]
    assert "of 632 classes" in found.text[0]


def test_groups_are_shown_worst_first() -> None:
    groups = {"by": "session", "metric": "r2", "values": [["17", 0.9], ["4", -0.2]]}
    found = section(with_evidence({"groups": groups}), TITLE)
    assert list(found.tables[0].rows) == [("4", "-0.2000"), ("17", "0.9000")]
    assert "lies between -0.2000 (session 4) and 0.9000, over 2 sessions" in found.text[0]


def test_of_many_groups_the_lowest_are_shown() -> None:
    values = [[n, n / 1000] for n in range(3000)]
    found = section(with_evidence({"groups": {"by": "day", "metric": "r2", "values": [*values, ["nan", None]]}}), TITLE)
    assert len(found.tables[0].rows) == len(found.figures[0].data[0]["x"]) == 40
    assert "over 3,000 days. Shown are the lowest 40." in found.text[0]


@pytest.mark.parametrize("evidence", [None, 3, {}, {"groups": 3}, {"groups": {"by": 1, "metric": 2, "values": [[1]]}}])
def test_without_evidence_that_is_known_there_is_no_section(evidence: Any) -> None:
    assert section(with_evidence(evidence), TITLE) is None


def test_evidence_that_was_not_kept_is_said() -> None:
    assert "could not be kept: it is a list" in render(with_evidence({"error": "it is a list"}), "md")


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def test_every_figure_is_a_picture_for_print() -> None:
    page = document(make_study(80))
    drawn = dict(pictures(page))
    assert len(drawn) == sum(len(section.figures) for section in page.sections)
    assert {"confusion-matrix.png", "learning-rate.png"} <= {name.partition("-")[2] for name in drawn}
    for name, content in drawn.items():
        image = opened(content)
        assert round(image.info["dpi"][0]) == DPI
        assert image.width > 3 * DPI, name
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 8, name  # something is on it


@pytest.mark.parametrize("name", [HOSTILE, FORMULA, "ünïcode ∑", "a 🤖", "x" * 500, "a\nb"])
def test_names_are_drawn_as_they_are(name: str) -> None:
    declared = {name: {"choices": [name, "other"], "default": name}}
    evidence = make_evidence(random.Random(0), 0.8, [name, "other", FORMULA])
    trials = [
        make_trial(n, [0.3, 0.4 + n / 100], params={name: [name, "other"][n % 2]}, attributes={"evidence": evidence})
        for n in range(12)
    ]
    drawn = list(pictures(document(make_report(trials, declared))))
    assert len(drawn) >= 4
    for file, content in drawn:
        assert "/" not in file
        assert len(file) < 80
        assert opened(content).width < 9 * DPI


@pytest.mark.parametrize("trials", [[], [make_trial(0, [])], [make_trial(0, [0.5])]])
def test_small_studies_have_what_there_is_to_draw(trials: list[Any]) -> None:
    list(pictures(document(make_report(trials))))


def test_a_parameter_over_six_hundred_decades_is_drawn() -> None:
    declared = {"tiny": {"low": 1e-300, "high": 1e300, "log": True, "default": 1.0}}
    trials = [make_trial(n, [0.3, 0.4 + n / 100], params={"tiny": 10.0 ** (50 * n - 300)}) for n in range(12)]
    for _, content in pictures(document(make_report(trials, declared))):
        opened(content)


def test_slug() -> None:
    assert slug("Every trial, epoch by epoch (87 more are not drawn)") == "every-trial-epoch-by-epoch"
    assert slug("learning_rate: 56% of the importance") == "learning-rate"
    assert slug("../../etc") == "etc"
    assert slug("∑") == "figure"


def test_a_directory_has_the_page_and_the_figures(tmp_path: Path) -> None:
    report = make_report([make_trial(0, [0.5, 0.6])])
    place = tmp_path / "new" / "paper"
    assert write_all(place, files(report)) == len(list(place.iterdir())) == 5
    assert (place / "made-up.report.md").read_text() == render(report, "md")
    assert (place / "made-up.report.html").read_text() == render(report, "html")

    def stopped() -> Iterator[tuple[str, str]]:
        yield "first.md", "It was made."
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path / "stopped", stopped())
    assert not (tmp_path / "stopped").exists()
    (tmp_path / "file").touch()
    with pytest.raises(WrongInput, match="Cannot make the directory"):
        write_all(tmp_path / "file", [])
