"""Is the loss given what it expects?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from studies.check.checks import Check
from studies.check.findings import Finding, Item, NotChecked
from studies.check.losses_seen import Rows, Seen
from studies.check.observation import Observation
from studies.check.subject import Subject
from studies.check.tensors import BOUNDS
from studies.record.floor import binary_floor, loss_floor

FEW = 0.01  # of the targets may be outliers


class Losses(Check):
    """Look at every loss of the first epoch."""

    title = "what the loss is given"

    def check(self, subject: Subject) -> Iterator[Item]:
        """See Check."""
        first = subject.first
        bounded = [seen for seen in first.seen if seen.name == "bounded-logits"]
        # The loss that is trained on reports it; the same model's evaluation need not repeat it.
        for seen in [seen for seen in bounded if seen.facts["trained_on"]] or bounded:
            yield _bounded_logits(seen)
        for seen in first.seen:
            if seen.name == "loss-broadcasts":
                yield _broadcasts(seen)
            elif seen.name == "bounded-output" and seen.facts["outside"] > FEW * seen.facts["of"]:
                yield _bounded_output(seen, first)
        if not first.n_rows:
            yield NotChecked(self.title, "no loss of torch with a gradient was seen: the training computes its own")


def lowest(activation: str, n_classes: int, positives: float | None) -> float:
    """Return the least mean cross entropy that a bounded output can reach, in nats; see `studies.record.floor`.

    positives: their share, for one logit of a binary loss.
    """
    low, high = BOUNDS[activation]
    if positives is None:
        return loss_floor(n_classes, high - low)
    return binary_floor(positives, low, high)


def _bounded_logits(seen: Seen) -> Finding:
    facts = seen.facts
    activation, loss = facts["activation"], facts["loss"]
    made = f" (made at {facts['made']})" if facts.get("made") and facts["made"] != seen.where else ""
    if loss == "nll_loss":
        why = "it expects logarithms: made of probabilities, the loss hardly punishes a wrong answer"
        fix = "give it log_softmax of the raw outputs, or the raw outputs to cross_entropy"
    else:
        floor = lowest(activation, facts["n"], facts.get("positives"))
        formula = f"= ln(1 + {facts['n'] - 1} exp({BOUNDS[activation][0] - BOUNDS[activation][1]:g}))"
        if facts.get("positives") is not None:
            formula = f"with {facts['positives']:.0%} of positives"
        floor_is = f"{floor:.3f} {formula}"
        guess = math.log(facts["n"])
        why = f"the loss cannot fall below {floor_is}, where a uniform guess gives {guess:.3f}, and its gradient fades"
        fix = f"remove the {activation}: {loss} applies its own; apply one where a probability is shown"
    what = f"{loss} is given the output of a {activation}{made}; it expects raw outputs (logits)"
    if loss == "nll_loss":
        what = f"nll_loss is given the output of a {activation}{made}; it expects log-probabilities"
    return Finding("bounded-logits", "error", what, why, fix, seen.where)


def _broadcasts(seen: Seen) -> Finding:
    answer, target = seen.facts["answer"], seen.facts["target"]
    n = max(*answer, *target)
    return Finding(
        "loss-broadcasts",
        "error",
        what=f"the loss compares outputs of shape {list(answer)} with targets of shape {list(target)}",
        why=f"they broadcast to {n} x {n}: every output is drawn to the mean of all targets, and R2 stays near 0",
        fix="give both one shape, such as outputs.squeeze(1)",
        where=seen.where,
    )


def _bounded_output(seen: Seen, first: Observation) -> Finding:
    activation = seen.facts["activation"]
    low, high = BOUNDS[activation]
    share = seen.facts["outside"] / max(1, seen.facts["of"])
    cost = f"{share:.0%} of the targets cannot be reached"
    if (targets := first.targets.get(Rows.TRAINED_ON)) is not None and targets.var() > 0:
        missed = float(((targets - np.clip(targets, low, high)) ** 2).mean())
        cost += f": the squared error stays above {missed:.3g}, and R2 below {1 - missed / float(targets.var()):.2f}"
    return Finding(
        "bounded-output",
        "error",
        what=f"the output of a {activation} ({_between(low, high)}) is compared with targets {_range(targets)}",
        why=cost,
        fix=f"end the model with its linear layer, or scale the targets into {_between(low, high)}",
        where=seen.where,
    )


def _between(low: float, high: float) -> str:
    return f"above {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def _range(targets: Any) -> str:
    return "outside of it" if targets is None else f"from {targets.min():.3g} to {targets.max():.3g}"
