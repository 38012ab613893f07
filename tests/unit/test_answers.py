"""The shipped objectives on their test rows: the answers score what the training says, and test rows taught nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from objectives._data.lyrics import Vocabulary
from objectives._data.motor import COLUMNS
from objectives.lyrics_lstm import Writer
from objectives.pmsm_temperature import FEATURES
from studies.testing.predictors import Trained
from studies.testing.subject import Subject

Answers = list[Any]


@dataclass(frozen=True)
class Shown:
    """What an objective's trained model has to show.

    ask(data, directory): writes the test rows as INPUT, in their order. agree(training, answers, data): the answers to
    them are those of the trained model. learnt(fitted, params, data): what was fitted follows from the train rows.
    """

    ask: Callable[[Any, Path], str]
    agree: Callable[[Any, Answers, Any], None]
    learnt: Callable[[Mapping[str, Any], Mapping[str, Any], Any], None]


def ask_titles(data: Any, directory: Path) -> str:
    """The test titles as their cleaned words, of which an unknown one stays unknown."""
    words = [*data.vocabulary]
    words[data.unk] = "unheardof"
    rows = np.split(data.test.tokens, data.test.offsets[1:-1])
    asked = [" ".join(words[number] for number in row) for row in rows]
    (directory / "test.txt").write_text("\n".join(asked) + "\n")
    return str(directory / "test.txt")


def agree_on_classes(name: str) -> Callable[[Any, Answers, Any], None]:
    """The accuracy of the answers is that which the training found."""

    def agree(training: Any, answers: Answers, data: Any) -> None:
        right = [data.classes.index(answer[name]) for answer in answers] == data.test.labels
        assert np.mean(right) == pytest.approx(training.test()["accuracy"])
        assert all(1 / 3 <= answer["probability"] <= 1 for answer in answers)  # of three classes

    return agree


def words_are_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """Every word was seen twice in train, and no row of another role brought a class."""
    counts = np.bincount(data.train.tokens, minlength=len(fitted["vocabulary"]))
    assert (counts[2:] >= 2).all()
    assert set(range(len(fitted["classes"]))) == set(data.train.labels.tolist())


def ask_pictures(data: Any, directory: Path) -> str:
    """The test pictures, without loss."""
    place = directory / "test pictures"
    place.mkdir(exist_ok=True)
    names = [place / f"{row:04}.png" for row in range(len(data.test))]
    for name, pixels in zip(names, data.test.pixels, strict=True):
        Image.fromarray(pixels).save(name)
    return str(place)


def classes_are_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """No row of another role brought a class."""
    assert set(range(len(fitted["classes"]))) == set(data.train.labels.tolist())


def ask_digits(data: Any, directory: Path) -> str:
    """The test images as lines of pixels."""
    lines = [",".join(map(str, pixels)) for pixels in data.test.pixels.tolist()]
    (directory / "test.csv").write_text("\n".join(lines) + "\n")
    return str(directory / "test.csv")


def agree_on_digits(training: Any, answers: Answers, data: Any) -> None:
    """The accuracy of the answers is that which the training found."""
    right = np.array([answer["answer"] == "yes" for answer in answers]) == data.test.is_target
    assert np.mean(right) == pytest.approx(training.test()["accuracy"])
    assert [answer["answer"] == "yes" for answer in answers] == [answer["probability"] > 0.5 for answer in answers]


def pixels_are_lit_in_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """Which pixels are looked at, the training images alone say."""
    lit = [pixel for pixel in range(784) if data.train.pixels[:, pixel].max() > 0]
    assert fitted == {"target": data.target, "pixels": lit}
    assert 0 < len(lit) <= 756


def ask_motor(data: Any, directory: Path) -> str:
    """The test sessions, each column of the measurements but the target."""
    rows = data.rows("test")
    columns = [name for name in COLUMNS if name != "pm"]
    values = data.values[rows][:, [COLUMNS.index(name) for name in columns]]
    sessions = np.repeat(data.sessions, np.diff(data.offsets))[rows]
    with (directory / "test.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["profile_id", *reversed(columns), "note"])  # in any order and among others
        for session, row in zip(sessions, values.astype(np.float64), strict=True):
            writer.writerow([session, *reversed(row.tolist()), "as it was, at noon"])
    return str(directory / "test.csv")


def agree_on_temperatures(training: Any, answers: Answers, data: Any) -> None:
    """The error of the answers is that which the training found."""
    truth = data.values[data.rows("test"), COLUMNS.index("pm")]
    wrong = np.array([answer["pm"] for answer in answers]) - truth
    assert np.sqrt(np.mean(wrong**2)) == pytest.approx(training.test()["rmse"], abs=1e-4)
    assert [answer["row"] for answer in answers] == list(range(1, len(truth) + 1))


def scale_is_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """Mean and deviation of the target and of the inputs of an instant are those of the train sessions."""
    train = data.values[data.rows("train")].astype(np.float64)
    now = train[:, [COLUMNS.index(name) for name in FEATURES[params["features"]]]]
    k = now.shape[1]
    assert params["scaling"] == "standard"
    np.testing.assert_allclose(fitted["inputs"]["middle"][:k], now.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fitted["inputs"]["size"][:k], now.std(axis=0), rtol=1e-5)
    pm = train[:, COLUMNS.index("pm")]
    assert fitted["target"]["mean"] == pytest.approx(pm.mean(), rel=1e-4)
    assert fitted["target"]["deviation"] == pytest.approx(pm.std(), rel=1e-4)


def ask_songs(data: Any, directory: Path) -> str:
    """The beginning of a song."""
    return "aa bb cc"


def agree_on_texts(training: Any, answers: Answers, data: Any) -> None:
    """The text is what the trained network itself writes."""
    vocabulary = Vocabulary("word", data.tokens["word"].vocabulary)
    assert answers == list(Writer(training.model.eval(), vocabulary).predict("aa bb cc"))


def tokens_are_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """Every token was seen twice in train."""
    train = data.tokens[params["tokens"]].train.numbers
    assert (np.bincount(train, minlength=len(fitted["vocabulary"]))[2:] >= 2).all()


TITLES = Shown(ask_titles, agree_on_classes("category"), words_are_of_train)
SHOWN = {
    "cifar10_cnn": Shown(ask_pictures, agree_on_classes("class"), classes_are_of_train),
    "lyrics_lstm": Shown(ask_songs, agree_on_texts, tokens_are_of_train),
    "meli_cnn": TITLES,
    "meli_mlp": TITLES,
    "mnist_target": Shown(ask_digits, agree_on_digits, pixels_are_lit_in_train),
    "pmsm_temperature": Shown(ask_motor, agree_on_temperatures, scale_is_of_train),
}


@pytest.mark.parametrize("name", SHOWN)
def test_answers_are_those_of_the_training_and_what_was_fitted_is_of_train(name: str, tmp_path: Path) -> None:
    subject, shown = Subject(f"objectives.{name}", tmp_path, None, {}), SHOWN[name]
    trained = Trained(subject)
    shown.learnt(trained.fitted, trained.params, trained.data)
    shown.agree(trained.training, trained.answers(shown.ask(trained.data, tmp_path)), trained.data)
    merged = subject.data.with_validation()
    shown.learnt(subject.objective.fitted(trained.params, merged), trained.params, merged)
