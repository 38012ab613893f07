"""`studies init` with the real command: what it writes works as it is, from the check to a prediction."""

from __future__ import annotations

import json

import pytest
import yaml

from .conftest import Studies
from .test_bad_input import sentence


def test_a_class_is_checked_launched_confirmed_trained_asked_and_exported(studies: Studies) -> None:
    said = studies("init", "--objective", "my-fruit").stderr
    assert "Written: my_fruit.py, my-fruit.yaml, my-fruit.csv." in said
    assert "studies launch ./my-fruit.yaml --workers 2" in said
    assert len((studies.directory / "my_fruit.py").read_text().splitlines()) < 120
    checked = json.loads(studies("check", "./my-fruit.yaml", "--json").stdout)
    assert checked["findings"] == []
    assert [left["name"] for left in checked["not_checked"]] == ["groups on both sides"]  # there are none
    studies("launch", "./my-fruit.yaml", "--workers", "2", "--trials", "3")
    studies("confirm", "my-fruit", "--top", "2", "--seeds", "2", "--workers", "2")
    studies("train", "my-fruit")
    model = studies.directory / "my-fruit.model"
    assert json.loads((model / "metrics.json").read_text())["test"]["accuracy"] > 0.8
    answers = studies("predict", "my-fruit.model", "7.6,7.2,170\n5.8,7.9,110", "--json").stdout.splitlines()
    assert [json.loads(answer)["class"] for answer in answers] == ["apple", "lemon"]
    (studies.directory / "rows.csv").write_text("7.6,7.2,170\n")
    assert studies("predict", "my-fruit.model", "rows.csv", "--json").stdout == answers[0] + "\n"
    assert yaml.safe_load(studies("export", "my-fruit").stdout)["objective"] == "my_fruit:Classifier"


def test_a_function_is_checked_and_launched(studies: Studies) -> None:
    assert "Written: first.py, first.yaml. Next:" in studies("init", "first").stderr
    checked = json.loads(studies("check", "./first.yaml", "--json").stdout)
    assert checked["findings"] == []
    studies("launch", "./first.yaml", "--trials", "2")
    assert (studies.directory / "first.best.yaml").exists()
    studies("launch", "./first.yaml", "--trials", "3")  # the file that is new here is no data of the study


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Study", "such as `studies init my-study`"),
        ("2d", "a letter first, such as `studies init d`"),
        ("-", "such as `studies init my-study`"),
        ("x" * 300, "expected at most 100 small letters"),
        ("torch", "such as `studies init my-torch`"),
        ("class", "such as `studies init my-class`"),
        ("meli-cnn", "ships with `studies`"),
        ("mine", "mine.py is there already"),
        ("parabola", "parabola.yaml is there already"),
    ],
)
def test_a_name_that_cannot_be_used_writes_nothing(studies: Studies, name: str, expected: str) -> None:
    before = {path: path.read_bytes() for path in studies.directory.iterdir()}
    assert expected in sentence(studies, "init", "--", name)
    assert {path: path.read_bytes() for path in studies.directory.iterdir()} == before
