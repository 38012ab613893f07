"""Does it train at all?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from studies.check.checks import Check
from studies.check.findings import Finding, Item, NotChecked
from studies.check.isolate import Failure, FailureKind
from studies.check.subject import Subject
from studies.spec import StudySpec

NEEDS_MAX_EPOCHS = ("asha", "hyperband")
ENDS = {
    FailureKind.RAISED: "raised",
    FailureKind.CRASHED: "crashed:",
    FailureKind.HUNG: "hung:",
    FailureKind.OUT_OF_MEMORY: "ran out of memory:",
}


class Training(Check):
    """Look at the first epoch."""

    title = "whether it trains"
    needs_training = False

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        first = subject.first
        if first.failure is not None:
            if not first.misses_a_parameter:  # which asked_for reports better
                yield fails(first.failure, "with its defaults")
            return
        yield from _beyond(first.last_step, subject.spec)
        if not first.whole:
            reason = f"one at the defaults takes more than {subject.first_s:.0f} s here"
            yield NotChecked("what needs a whole epoch", reason)
        for number, metrics in enumerate(first.trajectory.epochs, start=1):
            for name in (*subject.spec.metrics, "train_loss"):
                if not math.isfinite(metrics.get(name, 0.0)):
                    yield Finding(
                        "not-a-number",
                        "error",
                        what=f"{name} is {metrics[name]} in epoch {number}, with the defaults",
                        why="a trial whose metric is not a number fails; when the defaults do, most of the study will",
                        fix="lower the default learning rate, or look for a division by zero or a logarithm of it",
                    )


def _beyond(step: int, spec: StudySpec) -> Iterator[Finding]:
    if step > spec.max_epochs and spec.pruner.name in NEEDS_MAX_EPOCHS:
        yield Finding(
            "steps-beyond-max-epochs",
            "warning",
            what=f"it reports up to step {step}, and max_epochs is {spec.max_epochs}",
            why="early stopping compares trials within max_epochs, so by their first steps alone",
            fix=f"set `max_epochs: {step}` in the study file, the last step that a trial reports",
        )


def fails(failure: Failure, how: str) -> Finding:
    """Return the finding of a training that did not finish. how: the parameters, as part of a sentence."""
    return Finding(
        "does-not-train",
        "error",
        what=f"{how}, the training {ENDS[failure.kind]} {failure.detail}",
        why="every trial with these parameters fails, and ten in a row end the study",
        fix="fix the line, or take these values out of the space"
        if failure.kind is not FailureKind.HUNG
        else "fix the line; where it is only slow, --timeout MINUTES gives it more time",
        where=failure.where,
    )
