"""Is the initialisation that was written applied?"""

from __future__ import annotations

from collections.abc import Iterator

from studies.check.checks import Check
from studies.check.findings import Finding, Item
from studies.check.subject import Subject


class Weights(Check):
    """Look for initialisers of the model that are never called."""

    title = "the initialisation"

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        for name, where in subject.first.unused:
            yield Finding(
                "initialisation-unused",
                "warning",
                what=f"{name} is not called, neither when the model is built nor in its first epoch",
                why="the weights are torch's defaults, not those that the code defines",
                fix=f"call it where the model is built (model.apply({name.rpartition('.')[2]}) if a function), or "
                "drop it",
                where=where,
            )
