"""A tiny data set for each objective, made at test time, parameters that make an epoch quick, and how to ask its model.

An objective without an entry fails the contract suite: add one here.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from objectives._data.lyrics import Vocabulary
from objectives._data.motor import COLUMNS
from objectives._data.motor.simulation import simulate
from objectives.lyrics_lstm import Writer
from objectives.pmsm_temperature import FEATURES

Answers = list[Any]


@dataclass(frozen=True)
class Questions:
    """What to ask a model. whole: INPUT of the test rows in their order. alone: INPUTs of the first few of them."""

    whole: str
    alone: list[str]


@dataclass(frozen=True)
class Tiny:
    """An objective's tiny data, and what its trained model has to show.

    make: writes the data below a directory and returns the `dataset` to prepare. params: quick ones.
    ask(data, directory): writes the test rows as INPUT. agree(training, answers, data): the answers to them are those
    of the trained model. learnt(fitted, params, data): what was fitted follows from the train rows.
    """

    make: Callable[[Path], str]
    ask: Callable[[Any, Path], Questions]
    agree: Callable[[Any, Answers, Any], None]
    learnt: Callable[[Mapping[str, Any], Mapping[str, Any], Any], None]
    params: dict[str, Any] = field(default_factory=dict)


def titles(directory: Path) -> str:
    """Three categories of sixty titles whose words overlap a little, as a PriceRunner file."""
    draw = random.Random(0)
    path = directory / "titles.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in range(180):
            kind = row % 3
            words = [f"word{kind}{draw.randrange(12)}" for _ in range(draw.randint(1, 7))]
            words += [f"common{draw.randrange(5)}" for _ in range(draw.randint(0, 3))]
            writer.writerow([row, " ".join(words) + f" n{row}", 1, kind, f"cluster {kind}", kind, f"Category {kind}"])
    return str(path)


def digits(directory: Path) -> str:
    """Thirty images of each digit in the form of the bundled file: noise, and a stroke where the digit says."""
    draw = random.Random(0)
    path = directory / "digits.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        for row in range(300):
            digit = row % 10
            pixels = [draw.randrange(120) for _ in range(756)] + [0] * 28  # the last line is dark
            for place in range(28 * (2 + 2 * digit), 28 * (3 + 2 * digit)):
                pixels[place] = draw.randrange(100, 256)
            writer.writerow([*pixels, digit])
    return f"{path}:3"


def motor(directory: Path) -> str:
    """Eight short sessions of the simulated motor, as a file of the measurements' first release."""
    simulation = simulate(n_sessions=8, samples=(100, 200), seed=3)
    path = directory / "motor.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*simulation.columns, "profile_id"])
        for values, session in zip(simulation.values.tolist(), simulation.sessions.tolist(), strict=True):
            writer.writerow([*values, session])
    return str(path)


def pictures(directory: Path) -> str:
    """Three classes of sixty noisy pictures, each class of another brightness, as a tree of PNG files."""
    draw = np.random.default_rng(0)
    for row in range(180):
        kind = row % 3
        (place := directory / "pictures" / f"kind {kind}").mkdir(parents=True, exist_ok=True)
        pixels = draw.normal(64 + 64 * kind, 60, (32, 32, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{row}.png")
    return str(directory / "pictures")


def songs(directory: Path) -> str:
    """Twenty songs of sixty words each, in the format of songdata.csv; a word depends on the one before it."""
    draw = random.Random(0)
    path = directory / "songs.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["artist", "song", "link", "text"])
        for row in range(20):
            words = [draw.randrange(9)]
            for _ in range(59):
                words.append((words[-1] * 2 + draw.randrange(2)) % 9)
            writer.writerow(["Anna", f"Song {row}", "", " ".join("abcdefghi"[word] * 2 for word in words)])
    return str(path)


def ask_titles(data: Any, directory: Path) -> Questions:
    """The test titles as their cleaned words, of which an unknown one stays unknown."""
    words = [*data.vocabulary]
    words[data.unk] = "unheardof"
    rows = np.split(data.test.tokens, data.test.offsets[1:-1])
    asked = [" ".join(words[number] for number in row) for row in rows]
    (directory / "test.txt").write_text("\n".join(asked) + "\n")
    return Questions(str(directory / "test.txt"), asked[:5])


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


def ask_pictures(data: Any, directory: Path) -> Questions:
    """The test pictures, without loss."""
    place = directory / "test pictures"
    place.mkdir(exist_ok=True)
    names = [place / f"{row:04}.png" for row in range(len(data.test))]
    for name, pixels in zip(names, data.test.pixels, strict=True):
        Image.fromarray(pixels).save(name)
    return Questions(str(place), [str(name) for name in names[:5]])


def classes_are_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """No row of another role brought a class."""
    assert set(range(len(fitted["classes"]))) == set(data.train.labels.tolist())


def ask_digits(data: Any, directory: Path) -> Questions:
    """The test images as lines of pixels."""
    lines = [",".join(map(str, pixels)) for pixels in data.test.pixels.tolist()]
    for name, content in [("test", lines), *((f"test {row}", [lines[row]]) for row in range(5))]:
        (directory / f"{name}.csv").write_text("\n".join(content) + "\n")
    return Questions(str(directory / "test.csv"), [str(directory / f"test {row}.csv") for row in range(5)])


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


def ask_motor(data: Any, directory: Path) -> Questions:
    """The test sessions, each column of the measurements but the target; alone, the first session."""
    rows = data.rows("test")
    columns = [name for name in COLUMNS if name != "pm"]
    values = data.values[rows][:, [COLUMNS.index(name) for name in columns]]
    sessions = np.repeat(data.sessions, np.diff(data.offsets))[rows]
    for name, own in [("test", sessions > 0), ("alone", sessions == sessions[0])]:
        with (directory / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["profile_id", *reversed(columns), "note"])  # in any order and among others
            for session, row in zip(sessions[own], values[own].astype(np.float64), strict=True):
                writer.writerow([session, *reversed(row.tolist()), "as it was, at noon"])
    return Questions(str(directory / "test.csv"), [str(directory / "alone.csv")])


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


def ask_songs(data: Any, directory: Path) -> Questions:
    """The beginning of a song."""
    return Questions("aa bb cc", ["aa bb cc"])


def agree_on_texts(training: Any, answers: Answers, data: Any) -> None:
    """The text is what the trained network itself writes."""
    vocabulary = Vocabulary("word", data.tokens["word"].vocabulary)
    assert answers == list(Writer(training.model.eval(), vocabulary).predict("aa bb cc"))


def tokens_are_of_train(fitted: Mapping[str, Any], params: Mapping[str, Any], data: Any) -> None:
    """Every token was seen twice in train."""
    train = data.tokens[params["tokens"]].train.numbers
    assert (np.bincount(train, minlength=len(fitted["vocabulary"]))[2:] >= 2).all()


TITLES = (titles, ask_titles, agree_on_classes("category"), words_are_of_train)
TINY = {
    "cifar10_cnn": Tiny(pictures, ask_pictures, agree_on_classes("class"), classes_are_of_train, {"batch_size": 128}),
    "lyrics_lstm": Tiny(
        songs,
        ask_songs,
        agree_on_texts,
        tokens_are_of_train,
        {"batch_size": 5, "bptt": 20, "adam_learning_rate": 1e-2},
    ),
    "meli_cnn": Tiny(*TITLES, {"n_filters": 10, "batch_size": 64}),
    "meli_mlp": Tiny(*TITLES, {"batch_size": 64}),
    "mnist_target": Tiny(digits, ask_digits, agree_on_digits, pixels_are_lit_in_train, {"batch_size": 20}),
    "pmsm_temperature": Tiny(motor, ask_motor, agree_on_temperatures, scale_is_of_train, {"batch_size": 128}),
}
