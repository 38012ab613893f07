"""What `studies check` looks for: one file for each kind of mistake.

To add a check: write one file here with a class that extends `Check`, and add one line to `CHECKS` in
`studies/registry.py`, which has their order. A check reports a mistake where it saw one and never guesses. What it
could not look at, it reports as not checked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from studies.registry import CHECKS, Registry

if TYPE_CHECKING:
    from studies.check.findings import Item
    from studies.check.subject import Subject


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


def load(registry: Registry = CHECKS) -> dict[str, Check]:
    """Return the checks by name, in order. Raises ValueError where one does not come after those that it needs."""
    checks: dict[str, Check] = {}
    for name in registry:
        check: Check = registry.load(name)()
        if missing := [other for other in check.after if other not in checks]:
            raise ValueError(
                f"check {name!r} needs {', '.join(missing)} to run before it; "
                f"before it are {', '.join(checks) or 'none'}: change the order of CHECKS"
            )
        checks[name] = check
    return checks
