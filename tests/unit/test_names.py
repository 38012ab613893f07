"""What a person means by a study's name."""

from __future__ import annotations

import pickle

import pytest

from studies import names
from studies.names import Direction

KNOWN = ["one", "one-confirm", "two", "two@2", "two@10", "two@2-confirm", "two-confirm"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("one", "one"),
        ("one@1", "one"),
        ("one@2", None),
        ("two", "two@10"),
        ("two@1", "two"),
        ("two@2", "two@2"),
        ("two@0", None),
        ("three", None),
        ("one-confirm", "one-confirm"),
        ("two-confirm", None),  # the newest version's, which has none
        ("two@1-confirm", "two-confirm"),
        ("two@2-confirm", "two@2-confirm"),
        ("", None),
        ("@", None),
    ],
)
def test_the_newest_version_is_meant(typed: str, meant: str | None) -> None:
    assert names.newest(typed, KNOWN) == meant


@pytest.mark.parametrize("name", KNOWN)
def test_every_stored_study_can_be_named_exactly(name: str) -> None:
    assert names.newest(names.exact(name), KNOWN) == name
    assert names.stored(names.exact(name)) == names.stored(name) == name


def test_a_name_is_read_as_it_is_typed() -> None:
    shown = [names.typed(name, KNOWN) for name in KNOWN]
    assert shown == ["one", "one-confirm", "two@1", "two@2", "two@10", "two@2-confirm", "two@1-confirm"]


def test_a_name_from_a_file_is_a_name_and_travels() -> None:
    name = pickle.loads(pickle.dumps(names.NameInFile("one", "./one.yaml")))
    assert (name, name.file, names.newest(name, KNOWN)) == ("one", "./one.yaml", "one")


@pytest.mark.parametrize(("direction", "best"), [(Direction.MAXIMIZE, 3.0), (Direction.MINIMIZE, -1.0)])
def test_a_direction_says_what_is_better(direction: Direction, best: float) -> None:
    values = [2.0, 3.0, -1.0, 3.0, -1.0]
    assert direction.best(values) == max(values, key=lambda value: direction.sign * value) == best
    assert all(direction.better(best, than=value) for value in values if value != best)
    assert not direction.better(best, than=best)
