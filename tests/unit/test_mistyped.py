"""What is typed wrong gets one sentence: what was given, what was expected, what to type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer

from studies.cli import app
from studies.cli.mistyped import sentence
from studies.cli.options import seconds_of
from studies.settings import MOST_S


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1")  # which a command sets for its process


def said(*words: str) -> str:
    with pytest.raises(Exception, match=r"\w") as caught:
        app([*words], prog_name="studies", standalone_mode=False)
    return sentence(caught.value)


def numbers(command: Any, *path: str) -> Iterator[list[str]]:
    """Yield each number of each command with a word in its place."""
    for param in command.params:
        kind = param.type_descriptor.annotation
        if {int, float} & {kind, *get_args(kind)}:
            needed = [each for each in command.params if each.param_type_name == "argument" and each.required]
            arguments = ["two" if each is param else "x" for each in needed]
            yield [*path, *arguments, *([] if param in needed else [max(param.opts, key=len), "two"])]
    for name, inner in getattr(command, "commands", {}).items():
        yield from numbers(inner, *path, name)


NUMBERS = [*numbers(typer.main.get_command(app))]


@pytest.mark.parametrize("words", NUMBERS, ids=" ".join)
def test_a_word_for_a_number(words: list[str]) -> None:
    assert re.fullmatch(r"(--\w+|TRIAL) is 'two'; expected a (whole )?number, such as (--\w+ )?\d+\.", said(*words))


def test_the_numbers_of_all_commands_are_tried() -> None:
    assert {"launch", "confirm", "dashboard", "storage", "worker", "retry"} <= {words[0] for words in NUMBERS}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("launch x --workers two", "--workers is 'two'; expected a whole number, such as --workers 4."),
        ("launch x --timeout soon", "--timeout is 'soon'; expected a number, such as --timeout 30."),
        ("dashboard --port 99999999", "--port is '99999999'; expected 65535 or less, such as --port 65535."),
        ("storage serve --port -1", "--port is '-1'; expected 0 or more, such as --port 0."),
        (f"train x --seed {2**32}", f"--seed is '{2**32}'; expected {2**32 - 1} or less, such as --seed {2**32 - 1}."),
        (f"confirm x --top {10**30}", f"--top is '{10**30}'; expected 10000 or less, such as --top 10000."),
        ("launch x --wrokers 2", "There is no option --wrokers; did you mean --workers?"),
        ("launch x --zzz", "No such option: --zzz; `studies launch --help` shows what to type."),
        ("launch x y", "'y' is more than was expected; `studies launch --help` shows what to type."),
        ("launch", "Missing argument 'NAME'; `studies launch --help` shows what to type."),
        ("launch x --workers", "Option '--workers' requires an argument; `studies COMMAND --help` shows what to type."),
        ("zzz", "No such command 'zzz'; `studies --help` shows what to type."),
        ("launhc", "No such command 'launhc'. Did you mean 'launch'?"),
    ],
)
def test_what_is_typed_wrong_is_named_with_what_to_type(words: str, expected: str) -> None:
    assert said(*words.split()) == expected


def test_a_time_that_no_wait_can_take_is_the_longest_one() -> None:
    assert seconds_of(1e300) == seconds_of(float("inf")) == MOST_S
