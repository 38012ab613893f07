"""What `studies check` looks for: one file for each kind of mistake.

To add a check: write one file here with a class that extends `Check`, and add one line to `CHECKS`. A check reports a
mistake where it saw one and never guesses. What it could not look at, it reports as not checked.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from studies.check.findings import Item
    from studies.check.subject import Subject

# In the order in which they run: first those that only read the first epoch, then those that train again.
CHECKS: dict[str, str] = {
    "training": "studies.check.checks.training:Training",
    "losses": "studies.check.checks.losses:Losses",
    "evaluation": "studies.check.checks.evaluation:Evaluation",
    "labels": "studies.check.checks.labels:Labels",
    "weights": "studies.check.checks.weights:Weights",
    "split": "studies.check.checks.split:Split",
    "parameters": "studies.check.checks.parameters:Parameters",
    "asked_for": "studies.check.checks.asked_for:AskedFor",
    "randomness": "studies.check.checks.randomness:Randomness",
    "resuming": "studies.check.checks.resuming:Resuming",
    "cost": "studies.check.checks.cost:Cost",
}


class Check(ABC):
    """One kind of mistake to look for.

    title: completes the sentence "checking ...". needs_training: there is nothing to check when the objective does not
    train with its defaults. after: names of the checks whose trainings this one reads from `subject.tried`; where one
    of them failed, this one is reported as not checked. share: how much of the time that is left it may take, relative
    to the checks after it, which get what it leaves over; 0 for one that trains nothing itself.
    """

    title: ClassVar[str]
    needs_training: ClassVar[bool] = True
    share: ClassVar[int] = 0
    after: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def check(self, subject: Subject) -> Iterator[Item]:
        """Yield findings, facts, and what could not be checked."""


def load(paths: Mapping[str, str] = CHECKS) -> dict[str, Check]:
    """Return the checks by name, in order. Raises ValueError where one does not come after those that it needs."""
    checks: dict[str, Check] = {}
    for name, path in paths.items():
        module, _, attribute = path.partition(":")
        check: Check = getattr(importlib.import_module(module), attribute)()
        if missing := [other for other in check.after if other not in checks]:
            raise ValueError(
                f"check {name!r} needs {', '.join(missing)} to run before it; "
                f"before it are {', '.join(checks) or 'none'}: change the order of CHECKS"
            )
        checks[name] = check
    return checks
