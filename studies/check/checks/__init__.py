"""What is looked for, one module for each kind of mistake, in the order in which they run.

A module has TITLE, part of the sentence "checking ..."; NEEDS_TRAINING, whether there is nothing to check when the
objective does not train; and `check(subject)`, which yields findings, facts, and what could not be checked. A mistake
is told where it was seen, never guessed; what was not seen is told as not checked, unless it was seen to be right.
"""

from studies.check.checks import (
    asked_for,
    cost,
    evaluation,
    labels,
    losses,
    parameters,
    randomness,
    resuming,
    split,
    training,
    weights,
)

CHECKS = (training, losses, evaluation, labels, weights, split, randomness, resuming, parameters, asked_for, cost)

__all__ = ["CHECKS"]
