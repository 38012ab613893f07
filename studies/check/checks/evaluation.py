"""Does a row's score depend on the row alone?"""

from __future__ import annotations

from collections.abc import Iterator

from studies.check.again import CLOSE
from studies.check.checks import Check
from studies.check.findings import Finding, Item, NotChecked
from studies.check.observation import Observation
from studies.check.subject import LIKELY_SPEEDS, Subject


class Evaluation(Check):
    """Look at the evaluation after the first epoch's last step, and repeat it."""

    title = "the evaluation"

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        first = subject.first
        causes = {seen.name for seen in first.seen}
        if "dropout-in-evaluation" in causes:
            yield from _dropout(first)
        if "batch-norm-in-evaluation" in causes:
            yield from _batch_norm(first)
        if not first.evaluated:
            yield NotChecked(self.title, "the first epoch did not reach it in time")
            return
        again = first.again
        assert again is not None
        where = subject.source.of(again.model) if again.model else None
        if "dropout-in-evaluation" not in causes and _is_random(first):
            yield Finding(
                "evaluation-random",
                "error",
                what="two evaluations of one model on the same rows differ",
                why="a trial's value is partly chance: pruning and the choice of the best follow it",
                fix="call model.eval() before evaluating, and draw nothing at random there",
                where=where,
            )
        if not causes & {"dropout-in-evaluation", "batch-norm-in-evaluation"} and not _is_random(first):
            if again.mates is not None and again.mates > CLOSE:
                yield _mates(
                    f"the answers to half of a batch differ by {again.mates:.0%} from those in the whole", where
                )
            if again.padding is not None and again.padding > CLOSE:
                yield _mates(f"a few more columns of padding change the answers by {again.padding:.0%}", where)
        if first.tested_twice is not None and again.random is None and not _is_random(first):
            again.reasons.pop("random", None)
        for name, reason in again.reasons.items():
            if name != "padding":
                yield NotChecked(f"the evaluation, {WORDS[name]}", reason)


WORDS = {"random": "made twice", "mates": "with other rows in the batch"}


def _is_random(first: Observation) -> bool:
    if first.again is not None and first.again.random is not None and first.again.random > CLOSE:
        return True
    if first.tested_twice is None:
        return False
    one, other = first.tested_twice
    return any(
        abs(one[name] - other.get(name, one[name])) > CLOSE * abs(one[name])
        for name in one
        if not LIKELY_SPEEDS.match(name)
    )


def _dropout(first: Observation) -> Iterator[Finding]:
    for seen in first.seen:
        if seen.name == "dropout-in-evaluation":
            yield Finding(
                "dropout-in-evaluation",
                "error",
                what=f"dropout is on after the last training step of an epoch, with {seen.facts['share']:g} of the "
                "inputs",
                why="the score is that of a damaged network, and another one each time",
                fix="call model.eval() before evaluating; F.dropout needs training=self.training, it is on by default",
                where=seen.where,
            )


def _batch_norm(first: Observation) -> Iterator[Finding]:
    for seen in first.seen:
        if seen.name == "batch-norm-in-evaluation":
            yield Finding(
                "batch-norm-in-evaluation",
                "error",
                what="batch normalisation uses the batch's own mean after the last training step of an epoch",
                why="a row's score depends on the rows beside it, and evaluation changes the model",
                fix="call model.eval() before evaluating and model.train() after it",
                where=seen.where,
            )


def _mates(what: str, where: str | None) -> Finding:
    return Finding(
        "evaluation-depends-on-batch",
        "error",
        what=what,
        why="a row's score depends on the rows beside it: another batch size or order gives another value",
        fix="leave padding out of means and maxima, normalise along the features, and call model.eval()",
        where=where,
    )
