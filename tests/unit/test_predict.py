"""What the shipped predictors make of INPUT: files, directories, streams, and what is wrong in them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from objectives import DataError
from objectives._data.titles.tokens import MODEL_NUMBERS
from objectives._predict import LONGEST_LINE, batches
from objectives.cifar10_cnn import Cnn as PictureNet
from objectives.cifar10_cnn import objective as cifar10_cnn
from objectives.meli_mlp import objective as meli_mlp
from objectives.mnist_target import objective as mnist_target
from objectives.mnist_target import perceptron
from objectives.pmsm_temperature import objective as pmsm_temperature
from objectives.pmsm_temperature import perceptron as motor_net

from ..data_files import idx

CLASSES = ["fridges", "phones"]
VOCABULARY = ["<pad>", "<unk>", "phone", "fridge", "cold"]
INPUTS = ["ambient", "coolant", "u_d", "u_q", "motor_speed", "torque", "i_d", "i_q"]


def defaults(objective: Any, **given: Any) -> dict[str, Any]:
    return {name: declared["default"] for name, declared in objective.space.items()} | given


@pytest.fixture(scope="module")
def titles() -> Any:
    params = defaults(meli_mlp, hidden_layers=[128, 128])
    torch.manual_seed(0)
    weights = meli_mlp.build(params, len(VOCABULARY), len(CLASSES)).state_dict()
    recipe = {"digits": True, "min_letters": 1, "stop_words": "none"}
    assert type(MODEL_NUMBERS)(**recipe) == MODEL_NUMBERS
    fitted = {"classes": CLASSES, "recipe": recipe, "vocabulary": VOCABULARY}
    return meli_mlp.predictor(params, fitted, weights, device="cpu")


def test_a_model_that_began_with_vectors_is_as_wide_as_they_were() -> None:
    params = defaults(meli_mlp, hidden_layers=[128, 128])
    weights = meli_mlp.build(params, len(VOCABULARY), len(CLASSES), torch.ones(len(VOCABULARY), 50)).state_dict()
    recipe = {"digits": True, "min_letters": 1, "stop_words": "none"}
    fitted = {"classes": CLASSES, "recipe": recipe, "vocabulary": VOCABULARY}
    assert list(meli_mlp.predictor(params, fitted, weights, device="cpu").predict("phone"))


@pytest.fixture(scope="module")
def pictures() -> Any:
    params = defaults(cifar10_cnn)
    torch.manual_seed(0)
    weights = PictureNet({"widths": params["widths"], "dropout": 0.0}, 2).state_dict()
    return cifar10_cnn.predictor(params, {"classes": CLASSES}, weights, device="cpu")


@pytest.fixture(scope="module")
def digits() -> Any:
    params = defaults(mnist_target)
    torch.manual_seed(0)
    fitted = {"target": 3, "pixels": list(range(100, 700))}
    return mnist_target.predictor(params, fitted, perceptron(params, 600).state_dict(), device="cpu")


@pytest.fixture(scope="module")
def motor() -> Any:
    params = defaults(pmsm_temperature, ewma_spans=[60])
    torch.manual_seed(0)
    fitted = {"inputs": {"middle": [0.0] * 16, "size": [1.0] * 16}, "target": {"mean": 50.0, "deviation": 10.0}}
    return pmsm_temperature.predictor(params, fitted, motor_net(params).state_dict(), device="cpu")


def stream(content: bytes) -> BinaryIO:
    return io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type] - as sys.stdin.buffer is


def refused(predictor: Any, source: Any) -> str:
    """What is said of the one thing that is wrong with INPUT: an error in a row's place, or one that ends it."""
    try:
        [said] = [answer["error"] for answer in predictor.predict(source) if "error" in answer]
    except DataError as error:
        said = str(error)
    assert "\n" not in said
    return said


def test_titles_from_a_text_a_file_a_table_and_a_stream(titles: Any, tmp_path: Path) -> None:
    (one,) = titles.predict("cold fridge")
    assert one["title"] == "cold fridge"
    assert set(one) == {"title", "category", "probability", "category_2", "probability_2", "known_words"}
    answers = titles.predict(stream(b"cold fridge\ncold zeppelin\nzeppelin\n"))
    assert [answer["known_words"] for answer in answers] == [1, 0.5, 0]
    assert one["probability"] + one["probability_2"] == pytest.approx(1, abs=1e-5)
    (tmp_path / "titles.txt").write_bytes(b"\xef\xbb\xbfcold fridge\r\nphone\r\n")
    (tmp_path / "titles.txt.gz").write_bytes(gzip.compress(b"cold fridge\nphone"))
    (tmp_path / "titles.csv").write_text('n,Title\n1,cold fridge\n\n2,"phone"\n')
    (tmp_path / "windows.tsv").write_text("n\tTitle\n1\tcold fridge\n2\tphone\n", encoding="utf-16")
    (tmp_path / "titles.jsonl").write_text('{"Title": "cold fridge"}\n{"title": "phone"}')
    (tmp_path / "titles.json").write_text('[{"title": "cold fridge", "n": 1},\n{"title": "phone"}]')
    streams = [
        stream((tmp_path / name).read_bytes()) for name in ("titles.csv", "windows.tsv", "titles.jsonl", "titles.json")
    ]
    for source in (*map(str, tmp_path.iterdir()), *streams, stream(b"cold fridge\nphone\n")):
        first, second = titles.predict(source)
        assert first == pytest.approx(one, abs=1e-5)
        assert second["title"] == "phone"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "stdin is empty; expected a product title a line"),
        (b"phone\n\nfridge\n", "stdin, line 2: an empty title"),
        (b"phone\nfr\x8fdge\n", "stdin, line 2: byte 0x8f is not UTF-8"),
        ("frídge\n".encode() + b"fr\xefdge\n", "stdin, line 2: byte 0xef is not UTF-8"),
        (b"fr\xefdge\n" + "frídge\n".encode(), "stdin, line 2: UTF-8 below lines in Latin-1"),
        (b"phone\n" + b"x " * LONGEST_LINE, "stdin, line 2: more than 65,536 bytes"),
        (gzip.compress(b"phone\n" * 9999, mtime=0)[:-9], "the gzip data is truncated or damaged"),
    ],
)
def test_titles_that_are_wrong(titles: Any, content: bytes, expected: str) -> None:
    assert expected in refused(titles, stream(content))


def test_what_can_only_be_a_mistyped_file(titles: Any, tmp_path: Path) -> None:
    for name in ("titels.txt", "./data/titles", "titles.csv.gz"):
        assert f"there is no file {name!r}" in refused(titles, name)
    assert "cannot be read" in refused(titles, str(tmp_path))
    assert "the title is empty" in refused(titles, "  ")
    (tmp_path / "table.csv").write_text("name,price\nphone,3\n")
    assert "line 1: no column 'title'" in refused(titles, str(tmp_path / "table.csv"))
    (tmp_path / "table.csv").write_text("title,price,title\nphone,3,fridge\n")
    assert "line 1: several columns 'title'" in refused(titles, str(tmp_path / "table.csv"))
    assert len(list(titles.predict("x" * 5000))) == 1  # too long for a path, and no error


def test_answers_come_before_and_after_a_wrong_line_and_before_the_end(titles: Any) -> None:
    content = b"phone\n" * 3 + b"\n" + b"phone\n" + b"x " * LONGEST_LINE + b"\nfr\x8fdge\nphone\n\n"
    found = list(titles.predict(stream(content)))
    assert ["error" in answer for answer in found] == [False] * 3 + [True, False, True, True, False, True]
    assert [answer["title"] for answer in found if "error" not in answer] == ["phone"] * 5
    lines = [answer["error"].partition(":")[0] for answer in found if "error" in answer]
    assert lines == [f"stdin, line {number}" for number in (4, 6, 7, 9)]

    class Endless(io.RawIOBase):
        """Titles without an end: whoever holds all of them never answers."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = (b"fridge\n" * (len(buffer) // 7 + 1))[: len(buffer)]
            return len(buffer)

    endless = titles.predict(io.BufferedReader(Endless()))
    assert next(endless)["title"].startswith("fridge")
    endless.close()


def test_a_long_title_beside_short_ones_costs_little(titles: Any) -> None:
    n_words = 30_000
    content = b"phone\n" * 2000 + b"a " * n_words + b"\n" + b"phone\n" * 2000
    answers = list(titles.predict(stream(content)))
    assert len(answers) == 4001
    assert answers[0] == pytest.approx(answers[-1], abs=1e-5)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 9), st.integers(1, 80))
def test_batches_keep_order_and_bounds(sizes: list[int], n: int, largest: int) -> None:
    found = list(batches(iter(sizes), n, lambda size: size, largest))
    assert [size for batch in found for size in batch] == sizes
    assert all(len(batch) <= n for batch in found)
    assert all(max(batch) * len(batch) <= largest for batch in found if len(batch) > 1)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["phone", "cold fridge", "", " ", "x " * 90, '"quoted']), min_size=1, max_size=30))
def test_every_line_is_answered_in_its_place(titles: Any, rows: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("objectives._titles.SCORE_BATCH", 4)
        patch.setattr("objectives._predict.LONGEST_LINE", 100)
        found = list(titles.predict(stream("".join(f"{row}\n" for row in rows).encode())))
    expected = [row if row.strip() and len(row) < 100 else "" for row in rows]
    assert [answer["title"] for answer in found] == expected
    assert ["error" in answer for answer in found] == [not title for title in expected]


def test_the_other_rows_of_every_kind_are_answered(motor: Any, digits: Any, pictures: Any, tmp_path: Path) -> None:
    def ok(answers: Any) -> list[bool]:
        return ["error" not in answer for answer in answers]

    header, *rows = table(4)
    wrong = ["hot" + row[row.index(",") :] if number in (0, 2) else row for number, row in enumerate(rows)]
    found = list(motor.predict(stream("\n".join([header, *wrong, "1,2", ""]).encode())))
    assert ok(found) == [False, True, False, True, False]
    assert [answer["row"] for answer in found] == [1, 2, 3, 4, 5]
    image = ",".join(["7"] * 784)
    found = list(digits.predict(stream(f"{image}\n1,2\n\n{image}\n".encode())))
    assert ok(found) == [True, False, True]
    assert [answer["image"] for answer in found] == [1, 2, 3]
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"hello")
    assert ok(pictures.predict(str(tmp_path))) == [False, True]
    listed = f"nowhere.png\n{tmp_path / 'b.png'}\n{tmp_path / 'a.png'}\n".encode()
    assert ok(pictures.predict(stream(listed))) == [False, True, False]


def test_the_other_rows_of_a_table_of_titles_are_answered(titles: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("price,TITLE\n1,phone, red\n2\n3,\n4,fridge\n")
    (tmp_path / "t.jsonl").write_text('{"title": "phone"\n["phone"]\n{"title": null}\n{"title": "fridge"}\n')
    expected = {
        "t.csv": ["line 2: 3 columns", "line 3: 1 column;", "line 4: an empty title"],
        "t.jsonl": ["line 1: not JSON", "line 2: not a JSON object", "line 3: an empty title"],
    }
    for name, errors in expected.items():
        *wrong, last = titles.predict(str(tmp_path / name))
        assert [error in answer["error"] for answer, error in zip(wrong, errors, strict=True)] == [True] * 3
        assert last["title"] == "fridge"


def test_batches_give_what_came_before_a_mistake() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise DataError("four")

    found = batches(items(), 2)
    assert [next(found), next(found)] == [[1, 2], [3]]
    with pytest.raises(DataError, match="four"):
        next(found)


def test_pictures_of_any_size_from_a_file_a_tree_and_a_list(pictures: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for place, size in (("a/one.png", (32, 32, 3)), ("b/two.jpg", (70, 45, 3)), ("grey.png", (9, 40))):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / place)
    (tmp_path / "notes.txt").touch()
    names = [str(tmp_path / place) for place in ("a/one.png", "b/two.jpg", "grey.png")]
    tree = list(pictures.predict(str(tmp_path)))
    assert [answer["picture"] for answer in tree] == names
    listed = list(pictures.predict(stream("\n".join([*names, ""]).encode())))
    assert listed == tree
    (alone,) = pictures.predict(names[1])
    assert alone == pytest.approx(tree[1], abs=1e-5)


def test_pictures_that_are_none(pictures: Any, tmp_path: Path) -> None:
    assert "holds no pictures" in refused(pictures, str(tmp_path))
    (tmp_path / "no.png").write_bytes(b"hello")
    assert "no.png: not a picture that can be read (of no known form)" in refused(pictures, str(tmp_path))
    whole = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(whole, "png")
    (tmp_path / "no.png").write_bytes(whole.getvalue()[:-30])
    assert "no.png: not a picture that can be read" in refused(pictures, str(tmp_path / "no.png"))
    Image.fromarray(np.zeros((10_000, 9_000), np.uint8)).save(tmp_path / "no.png")  # 100 kB that would be 270 MB
    assert "no.png: not a picture that can be read" in refused(pictures, str(tmp_path / "no.png"))
    assert "there is no file or directory" in refused(pictures, "nowhere.png")
    assert "stdin, line 2: there is no file 'b.png'" in refused(pictures, stream(b"\nb.png\n"))


def test_digits_from_pixels_pictures_and_mnists_own_file(digits: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    rows = [",".join(map(str, image.flatten())) for image in pixels]
    expected = list(digits.predict(stream("\n".join(rows).encode())))
    assert [(answer["image"], answer["target"]) for answer in expected] == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "pixels.csv.gz").write_bytes(gzip.compress("\n".join(f"{row},7" for row in rows).encode()))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    for name in ("pixels.csv.gz", "t10k-images-idx3-ubyte.gz"):
        assert list(digits.predict(str(tmp_path / name))) == expected
    for row, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
    found = list(digits.predict(str(tmp_path)))
    assert [answer["probability"] for answer in found] == [answer["probability"] for answer in expected]


def test_digits_that_are_wrong(digits: Any, tmp_path: Path) -> None:
    row = b",".join([b"7"] * 784)
    assert "line 2: 783 columns" in refused(digits, stream(row + b"\n" + row[2:]))
    assert "line 3: pixel 0 is '999'" in refused(digits, stream(row + b"\n\n999" + row[1:]))
    assert "stdin is empty" in refused(digits, stream(b"\n\n"))
    (tmp_path / "images-ubyte").write_bytes(b"\0\0\x08\x03" + b"\0\0\0\x01" * 3 + b"x")
    assert "has images of 1 pixel;" in refused(digits, str(tmp_path / "images-ubyte"))
    assert "there is no file" in refused(digits, "nowhere.csv")


def table(n: int, sessions: list[int] | None = None, seed: int = 0) -> list[str]:
    values = np.random.default_rng(seed).normal(size=(n, len(INPUTS))).tolist()
    ids = [] if sessions is None else sessions
    header = ",".join([*INPUTS, *(["profile_id"] if ids else [])])
    return [header, *(",".join(map(str, [*row, *ids[i : i + 1]])) for i, row in enumerate(values))]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(1, 40))
def test_averages_go_on_over_batches_and_keep_to_their_session(sessions: list[int], n_rows: int) -> None:
    params = defaults(pmsm_temperature, ewma_spans=[60])
    torch.manual_seed(0)
    fitted = {"inputs": {"middle": [0.0] * 16, "size": [1.0] * 16}, "target": {"mean": 50.0, "deviation": 10.0}}
    predictor = pmsm_temperature.predictor(params, fitted, motor_net(params).state_dict(), device="cpu")
    header, *rows = table(len(sessions), sessions)
    together = list(predictor.predict(stream("\n".join([header, *rows]).encode())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("objectives.pmsm_temperature.PREDICT_ROWS", n_rows)
        cut = list(predictor.predict(stream("\n".join([header, *rows]).encode())))
    for one, other in zip(cut, together, strict=True):
        assert one == pytest.approx(other, abs=2e-3)
    for session in set(sessions):
        own = [row for row, id in zip(rows, sessions, strict=True) if id == session]
        alone = [answer["pm"] for answer in predictor.predict(stream("\n".join([header, *own]).encode()))]
        beside = [answer["pm"] for answer in together if answer["profile_id"] == str(session)]
        assert alone == pytest.approx(beside, abs=2e-3)


def test_measurements_that_are_wrong(motor: Any, tmp_path: Path) -> None:
    header, first, second = table(2)
    assert len(list(motor.predict(stream("\n".join([header, first, "", second]).encode())))) == 2

    def said(*lines: str) -> str:
        return refused(motor, stream("\n".join(lines).encode()))

    assert "stdin, line 1: no column 'i_q'" in said(header.replace("i_q", "iq"), first)
    assert "several columns 'i_q'" in said(f"{header},i_q", f"{first},1")
    assert "stdin, line 3: 7 columns; expected 8" in said(header, first, second.rpartition(",")[0])
    for wrong in ("nan", "inf", "1e999", "hot", "", "1_0"):
        assert f"line 2: i_q is {wrong!r}" in said(header, f"{first.rpartition(',')[0]},{wrong}")
    assert "line 2: a carriage return within a line" in said(header, f"1\r{first}")
    assert "has a header and no rows" in said(header)
    assert "is empty" in said("")
    assert "there is no file 'hello'" in refused(motor, "hello")
    assert "there is no file" in refused(motor, str(tmp_path))
