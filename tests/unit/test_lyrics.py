"""Texts: documents stay whole, the vocabulary is that of train, and bad input is one sentence with no cache left."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import DataError
from objectives._data.lyrics import END, UNKNOWN, Lyrics, Stream, load_lyrics
from objectives._data.lyrics.readers import CHUNK_CHARACTERS, LONGEST, read_otherwise, read_text
from objectives._data.lyrics.tokens import split_words
from objectives._lstm import Lstm
from objectives.lyrics_lstm import objective, pieces

from ..data_files import SONGS_HEADER, refused, song_table

SONGS = [f"La la {word} {word},\nand {word}'s end" for word in ("rain", "sun", "wind", "snow", "fog", "hail", "heat")]
PARAMS: dict[str, Any] = {"hidden_size": 8, "n_layers": 2, "dropout": 0.0, "tied": True, "convolution": 3}


def load(path: str | Path, directory: Path) -> Lyrics:
    return load_lyrics(str(path), directory / "data", directory / "cache")


def table(path: Path, header: str = SONGS_HEADER, songs: Sequence[str] = SONGS) -> Path:
    return song_table(path, songs, header)


def documents(stream: Stream, vocabulary: list[str]) -> list[str]:
    bounds = zip(stream.offsets[:-1], stream.offsets[1:], strict=True)
    return ["".join(vocabulary[number] for number in stream.numbers[begin : end - 1]) for begin, end in bounds]


def test_bundled_texts(tmp_path: Path) -> None:
    found = load("sonnets", tmp_path)
    assert found.summary["documents"] == 154
    assert [found.summary[role] for role in ("train", "validation", "test")] == [111, 20, 23]
    words = found.tokens["word"]
    assert 4 < words.validation.unigram_nats < 6


def test_documents_stay_whole_and_the_vocabulary_is_that_of_train(tmp_path: Path) -> None:
    path = table(tmp_path / "songs.csv", songs=SONGS * 2)
    found = load(path, tmp_path)
    kept: dict[str, set[str]] = {}
    characters = found.tokens["character"]
    for role in ("train", "validation", "test"):
        stream = getattr(characters, role)
        assert stream.numbers[stream.offsets[1:] - 1].tolist() == [END] * (len(stream.offsets) - 1)
        kept[role] = {text.replace("<unknown>", "?") for text in documents(stream, characters.vocabulary)}
    assert kept["train"].isdisjoint(kept["validation"] | kept["test"])  # each song is there twice
    words = found.tokens["word"]
    counts = Counter(words.vocabulary[number] for number in words.train.numbers)
    assert all(counts[word] >= 2 for word in words.vocabulary if not word.startswith("<"))
    assert UNKNOWN in words.validation.numbers


@pytest.mark.parametrize("header", ["Artist,SONG,Link,Text", "ALink,SName,SLink,Lyric", "lyrics"])
def test_the_texts_have_several_names(tmp_path: Path, header: str) -> None:
    expected = load(table(tmp_path / "songs.csv"), tmp_path)
    found = load(table(tmp_path / "more.csv", header=header), tmp_path)
    assert found.tokens["word"].vocabulary == expected.tokens["word"].vocabulary


def test_unigram_is_that_of_its_definition(tmp_path: Path) -> None:
    words = load(table(tmp_path / "songs.csv"), tmp_path).tokens["word"]
    counts = Counter(words.train.numbers.tolist())
    total = len(words.train.numbers) + len(words.vocabulary)
    nats = [math.log(total / (counts[number] + 1)) for number in words.validation.numbers.tolist()]
    assert words.validation.unigram_nats == pytest.approx(sum(nats) / len(nats))


def test_gzip_and_order_make_no_difference_to_who_is_held_out(tmp_path: Path) -> None:
    one = load(table(tmp_path / "songs.csv"), tmp_path)
    other = table(tmp_path / "back.csv", songs=SONGS[::-1])
    (tmp_path / "back.csv.gz").write_bytes(gzip.compress(other.read_bytes()))
    two = load(tmp_path / "back.csv.gz", tmp_path)
    texts = [
        sorted(documents(getattr(found.tokens["character"], role), found.tokens["character"].vocabulary))
        for found in (one, two)
        for role in ("train", "validation", "test")
    ]
    assert texts[:3] == texts[3:]


@given(text=st.text(alphabet="ab .\n", max_size=3 * CHUNK_CHARACTERS))
def test_plain_text_is_cut_between_paragraphs(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_text(text)
    found = list(read_text(path))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(document.strip() for document in found)


def read(directory: Path, text: str) -> list[str]:
    (directory / "a.txt").write_text(text)
    return list(read_text(directory / "a.txt"))


@settings(max_examples=40)
@given(
    words=st.integers(20_000, 60_000),
    between=st.sampled_from([" ", ". ", "\n", "! \n", "", "\u3002"]),
    blank_at=st.lists(st.integers(0, 60_000), max_size=4),
)
def test_no_document_of_a_long_text_is_long(
    words: int, between: str, blank_at: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("text")
    parts = [f"word{number}{between}" for number in range(words)]
    for place_of in blank_at:
        parts.insert(place_of, "\n\n")
    text = "".join(parts)
    found = read(place, text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert max(map(len, found)) <= LONGEST
    assert len(found) >= len(text) // LONGEST
    if between:  # no word is cut
        assert all(document.startswith("word") for document in found)
    if between in (". ", "! \n", "\u3002") and not blank_at:
        assert all(document.endswith((".", "!", "\u3002")) for document in found)


@pytest.mark.parametrize("blank", ["", "\n", "\n\n \n"])
def test_a_blank_line_somewhere_does_not_make_a_novel_one_document(tmp_path: Path, blank: str) -> None:
    lines = "".join(f"In the year {number} nothing happened, and again.\n" for number in range(5000))
    path = tmp_path / "novel.txt"
    path.write_text(blank + lines)
    found = load(path, tmp_path)
    assert found.summary["documents"] == pytest.approx(len(lines) / CHUNK_CHARACTERS, rel=0.1)


def test_a_text_that_repeats_itself_and_one_of_a_single_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("It rained again that day, and again. " * 9000)
    assert load(tmp_path / "a.txt", tmp_path).summary["documents"] > 50


def test_only_a_text_that_is_cut_otherwise_gets_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    verses = [f"verse {number} " + "la " * 400 for number in range(60)]
    for text, mark in (
        ("\n\n".join(verses), ""),
        ("\n".join(verses), ""),
        ("\n\n".join(["la. " * LONGEST, *verses]), " cut shorter"),
        ("\n".join(["la " * LONGEST, *verses]), " cut shorter"),
        ("\n" + "\n".join(verses), ""),  # was refused
        ("", ""),
        ("\r".join(verses), " in lines"),  # a single one, once
    ):
        path.write_text(text, newline="")
        assert read_otherwise(path) == mark


def test_texts_that_are_empty_are_told_at_once(tmp_path: Path) -> None:
    path = table(tmp_path / "songs.csv", songs=[*SONGS, " ", "", SONGS[0] + "!"])
    parts = (f"{path}, 2 empty texts (line 16, line 17)", f"{path}:drop_empty=yes")
    refused(lambda: load(path, tmp_path), tmp_path / "cache", *parts)
    found = load(f"{path}:drop_empty=yes", tmp_path)
    assert (found.summary["documents"], found.summary["empty_texts_left_out"]) == (len(SONGS) + 1, 2)


def test_json_and_a_directory_are_the_documents_of_a_table(tmp_path: Path) -> None:
    expected = load(table(tmp_path / "songs.csv"), tmp_path)
    rows = [json.dumps({"Song": number, "Lyrics": song}) for number, song in enumerate(SONGS)]
    (tmp_path / "songs.jsonl").write_text("\n".join(rows))
    (tmp_path / "songs.json.gz").write_bytes(gzip.compress(f"[{','.join(rows)}]".encode()))
    place = tmp_path / "songs"
    (place / "more").mkdir(parents=True)
    (place / ".hidden.txt").write_text("not read")
    (place / "notes.md").write_text("not read")
    for number, song in enumerate(SONGS):
        (place / ("more" if number % 2 else ".") / f"{number}.txt").write_text(song)
    for name in ("songs.jsonl", "songs.json.gz", "songs"):
        assert load(tmp_path / name, tmp_path).summary == expected.summary
    (place / "more" / "empty.txt").write_text("\n")
    refused(lambda: load(place, tmp_path), tmp_path / "cache", f"{place}, {Path('more', 'empty.txt')}: an empty text")
    found = load(f"{place}:drop_empty=yes", tmp_path)
    assert found.summary == expected.summary | {"empty_texts_left_out": 1}
    (place / "0.txt").write_text(SONGS[0] + "!")
    assert load(f"{place}:drop_empty=yes", tmp_path).sha256 != found.sha256


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("twice.csv", "text,Text\na,b\n", "several columns 'text' in 'text,Text'"),
        ("empty.txt", "", "is empty"),
        ("book.md", "a", "is not a known form of texts; expected a .txt"),
        ("list.json", '["la"]', "line 1: not a JSON object: 'la'"),
        ("other.jsonl", '{"song": "la"}', "line 1: no 'text' in 'song'"),
        ("columns.json", '{"text": {"first": "la"}}', "line 1: 'text' is {'first': 'la'}; expected text in"),
        ("missing.csv", "n,text\n1,nan\n2,la\n", "line 2: an empty text"),
        ("comma.csv", "n,text\n1,la, la\n", "line 2: 3 columns; expected 2 as in the first line: quote a text"),
    ],
)
def test_texts_that_are_wrong(tmp_path: Path, name: str, content: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    refused(lambda: load(path, tmp_path), tmp_path / "cache", str(path), expected)


def test_a_speech_is_not_cut(tmp_path: Path) -> None:
    speeches = [f"NAME {number}:\n" + "word " * 90 for number in range(60)]
    (tmp_path / "a.txt").write_text("\n\n".join(speeches))
    for document in read_text(tmp_path / "a.txt"):
        assert document.startswith("NAME")


@given(st.text())
def test_words_lose_nothing_but_spaces(text: str) -> None:
    assert "".join("".join(split_words(text)).split()) == "".join(text.lower().split())


def truncated(directory: Path) -> Path:
    path = directory / "songs.csv.gz"
    path.write_bytes(gzip.compress(table(directory / "songs.csv").read_bytes())[:-20])
    return path


def latin(directory: Path) -> Path:
    path = table(directory / "songs.csv")
    path.write_bytes(path.read_bytes() + "Ána,Nine,,la\n".encode() + "Anna,Nine,,caf\xe9\n".encode("latin-1"))
    return path


def short_row(directory: Path) -> Path:
    path = table(directory / "songs.csv")
    path.write_text(path.read_text() + "Anna,Nine\n")
    return path


def open_quote(directory: Path) -> Path:
    path = table(directory / "songs.csv")
    path.write_text(path.read_text() + 'Anna,Nine,,"la la\nla\n')
    return path


def empty_file(directory: Path) -> Path:
    (directory / "songs.txt").write_text(" \n\n")
    return directory / "songs.txt"


def other_kind(directory: Path) -> Path:
    (directory / "songs.pdf").write_text("la la")
    return directory / "songs.pdf"


@pytest.mark.parametrize("name", ["Song Lyrics", "songLyrics", "poem_text", "LYRIC"])
def test_the_only_column_of_texts_may_have_a_longer_name(name: str, tmp_path: Path) -> None:
    expected = load(table(tmp_path / "songs.csv"), tmp_path)
    found = load(table(tmp_path / "other.csv", header=f"artist,context,link,{name}"), tmp_path)
    assert found.summary == expected.summary


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (truncated, "truncated"),
        (latin, "line 17: byte 0xe9"),
        (short_row, "line 16: 2 columns"),
        (open_quote, "line 16: not CSV"),
        (empty_file, "is empty; expected songs"),
        (other_kind, "expected a .txt, a .csv, .parquet or JSON"),
        (lambda directory: table(directory / "songs.csv", songs=[*SONGS, " "]), "line 16: an empty text"),
        (lambda directory: table(directory / "songs.csv", songs=SONGS[:2]), "holds 2 different documents"),
        (
            lambda directory: table(directory / "songs.csv", header="artist,song,link,body"),
            "no column text or lyrics or lyric",
        ),
        (
            lambda directory: table(directory / "songs.csv", header="artist,song,intro_text,poem_text"),
            "rename the column of the texts",
        ),
        (lambda directory: directory / "absent.csv", "there is no data set or file"),
        (lambda directory: table(directory / "songs.csv").with_name("song.csv"), "did you mean songs.csv?"),
        (lambda directory: "songdata", "put songdata.csv"),
    ],
)
def test_bad_input(make: Callable[[Path], Path | str], part: str, tmp_path: Path) -> None:
    refused(lambda: load(make(tmp_path), tmp_path), tmp_path / "cache", part)


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 30))
def test_every_token_is_a_target_once_after_the_one_before_it(n: int, n_columns: int, length: int) -> None:
    numbers = np.arange(100, 100 + n, dtype=np.int32)
    found = list(pieces(numbers, n_columns, length, "cpu"))
    inputs = torch.cat([piece.inputs for piece in found]).T.flatten().tolist()
    targets = torch.cat([piece.targets for piece in found]).T.flatten().tolist()
    asked = [(before, target) for before, target in zip(inputs, targets, strict=True) if target >= 0]
    assert asked == list(zip([END, *range(100, 99 + n)], range(100, 100 + n), strict=True))
    assert sum(piece.n_targets for piece in found) == n
    assert [piece.first for piece in found] == [True] + [False] * (len(found) - 1)


@pytest.mark.parametrize("convolution", ["none", 3, 5])
def test_reading_in_pieces_is_reading_at_once(convolution: str | int) -> None:
    torch.manual_seed(0)
    model = Lstm(PARAMS | {"convolution": convolution}, n_tokens=30).eval()
    text = torch.randint(0, 30, (23, 4))
    whole, _ = model(text, None)
    state, parts = None, []
    for piece in text.split(2):
        logits, state = model(piece, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole)
    alone, _ = model(text[:, 1:2], None)
    torch.testing.assert_close(alone, whole[:, 1:2])
    changed = text.clone()
    changed[15:] = 0
    torch.testing.assert_close(model(changed, None)[0][:15], whole[:15])  # what comes later is not seen


def test_tied_is_one_matrix() -> None:
    model = Lstm(PARAMS, n_tokens=30)
    assert model.output.weight is model.embedding.weight


def test_products_of_bfloat16_learn_the_same_and_repeat(tmp_path: Path) -> None:
    data = load(table(tmp_path / "songs.csv", songs=SONGS * 8), tmp_path)
    defaults = {name: declared["default"] for name, declared in objective.space.items()}

    def learnt(precision: str) -> list[float]:
        params = defaults | {"precision": precision, "dropout": 0.0, "tokens": "character", "batch_size": 5}
        training = objective.start(params, data, seed=1, device="cpu")
        return [training.epoch()["nats_per_token"] for _ in range(4)]

    low, full = learnt("bfloat16"), learnt("float32")
    assert low == learnt("bfloat16")
    assert low != full
    assert low == pytest.approx(full, abs=0.01)
    assert full[-1] < full[0] - 0.05  # they learn


def test_it_writes(tmp_path: Path) -> None:
    data = load(table(tmp_path / "songs.csv", songs=SONGS * 2), tmp_path)
    params = {name: declared["default"] for name, declared in objective.space.items() if name != "sgd_learning_rate"}
    for tokens in ("word", "character"):
        training = objective.start(params | {"tokens": tokens}, data, seed=1, device="cpu")
        training.epoch()
        params |= {"tokens": tokens}
        writer = objective.predictor(params, objective.fitted(params, data), training.weights(), device="cpu")

        def written(writer: Any = writer, **options: Any) -> str:
            (text,) = writer.predict("la la", length=20, **options)
            return str(text)

        assert written(temperature=0.8, seed=3) == written(temperature=0.8, seed=3)
        assert written(temperature=0.8, seed=3) != written(temperature=0.8, seed=4)
        assert written(temperature=1e-300, seed=3) == written(temperature=1e-9, seed=4)  # the likeliest always wins
        assert "<unknown>" not in written(temperature=50.0)
        for wrong in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(DataError, match="temperature"):
                written(temperature=wrong)
