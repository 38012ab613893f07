"""The checks' registry: its order, and what becomes of a check whose dependency did not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studies.check.checks import Check, load
from studies.check.findings import Fact, Item, NotChecked
from studies.check.inside import items_of
from studies.check.subject import Subject
from studies.registry import CHECKS, Registry


class Broken(Check):
    title = "what is broken"
    needs_training = False

    def check(self, subject: Subject) -> Iterator[Item]:
        raise RuntimeError("a fault of its own")


class Dependent(Check):
    title = "what follows"
    needs_training = False
    after = ("broken",)

    def check(self, subject: Subject) -> Iterator[Item]:
        yield Fact("follows", "it ran")


NOBODY: Any = None  # neither check looks at its subject
PATHS = {"broken": f"{__name__}:Broken", "dependent": f"{__name__}:Dependent"}


def test_every_check_loads_in_order_and_has_a_title_of_its_own() -> None:
    checks = load()
    assert list(checks) == list(CHECKS)
    assert len({check.title for check in checks.values()}) == len(CHECKS)


def test_a_check_before_its_dependency_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(ValueError, match="'dependent' needs broken to run before it; before it are none"):
        load(Registry("check", dict(reversed(PATHS.items()))))


def test_a_check_whose_dependency_failed_is_not_checked() -> None:
    failed: set[str] = set()
    checks = load(Registry("check", PATHS))
    told = [items_of(name, check, NOBODY, failed) for name, check in checks.items()]
    assert told == [
        [NotChecked("what is broken", "the check itself failed (RuntimeError: a fault of its own)")],
        [NotChecked("what follows", "it needs what the check 'broken' did, and that one failed")],
    ]


def test_a_check_whose_dependency_ran_runs() -> None:
    assert items_of("dependent", Dependent(), NOBODY, set()) == [Fact("follows", "it ran")]
