"""The lowest loss that a net with bounded outputs can reach, and how many right answers a loss allows.

Cross entropy takes logits. Where a sigmoid or softmax stands before it, the numbers y that it takes as logits lie
between 0 and 1, and the loss of a row of class t among K, ln(sum_j exp(y_j)) - y_t, is least at y_t = 1 and all others
0. There it is ln(e + K - 1) - 1 = ln(1 + (K - 1) / e): 1.46 for 10 classes, 5.45 for 632. With a tanh, whose outputs
are at most 2 apart, it is ln(1 + (K - 1) / e^2). No training gets below it, however right the answers are.

One output y for two classes, as binary cross entropy with logits takes it, costs ln(1 + exp(-y)) where the row is of
class 1 and ln(1 + exp(y)) where it is not. Behind a sigmoid the first is least at y = 1 and the second at y = 0: where
a share p of the rows is of class 1, the floor is p ln(1 + 1 / e) + (1 - p) ln 2, 0.50 of balanced classes and 0.66 of
one positive in ten. A tanh is at 1 and at -1 for them: ln(1 + 1 / e) for both, as with two outputs behind a sigmoid.

The loss by itself does not prove it, because a net that is really unsure has the same loss. The answers do. A
classifier that is as sure as it is right, with log loss L, errs on at least a share e of the rows with
h(e) + e ln(K - 1) = L, where h(e) = -e ln e - (1 - e) ln(1 - e) (Fano's inequality: Cover and Thomas, "Elements of
Information Theory", 2.10). One that stays at the floor and is right more often than that cannot say how sure it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

BOUNDED = {"sigmoid or softmax": 1.0, "tanh": 2.0}  # how far apart two outputs can be
BINARY_SLACK = 0.15  # of the way from the floor up to the guess


@dataclass(frozen=True)
class Floor:
    """The lowest value of a loss. guess: the loss of the best constant answer. slack: how far below it still counts.

    cause, formula, of: in words, such as "a tanh before the cross entropy"; for which rows. output: what to remove.
    """

    value: float
    guess: float
    cause: str
    formula: str
    output: str
    slack: float
    of: str = ""


@lru_cache(maxsize=256)
def floors(n_classes: int, positives: float | None) -> tuple[Floor, ...]:
    """Return the floors of a classifier. positives: of two classes, the share of validation rows of class 1."""
    found = []
    for output, width in BOUNDED.items():
        value = loss_floor(n_classes, width)
        formula = f"ln(1 + ({n_classes} - 1) / e^{width:.0f})"
        cause = f"a {output} before the cross entropy"
        found.append(
            Floor(
                value=value, guess=math.log(n_classes), cause=cause, formula=formula, output=output, slack=value * 1e-4
            )
        )
    if n_classes == 2 and positives is not None:
        value, guess = binary_floor(positives), binary_guess(positives)
        formula = f"{positives:.3g} ln(1 + 1 / e) + {1 - positives:.3g} ln 2"
        # The share among train rows may be another one by a little.
        slack = BINARY_SLACK * (guess - value)
        cause, of = "a sigmoid before the binary cross entropy with logits", ", by the validation rows' classes"
        found.append(
            Floor(value=value, guess=guess, cause=cause, formula=formula, output="sigmoid", slack=slack, of=of)
        )
    return tuple(found)


def binary_floor(positives: float, low: float = 0.0, high: float = 1.0) -> float:
    """Return the least binary cross entropy with logits, in nats, of an output between low and high."""
    return positives * math.log1p(math.exp(-high)) + (1 - positives) * math.log1p(math.exp(low))


def binary_guess(positives: float) -> float:
    """Return the binary cross entropy with logits, in nats, of the best constant output between 0 and 1."""
    log_odds = math.log(positives / (1 - positives)) if 0 < positives < 1 else (positives - 0.5) * math.inf
    output = min(max(log_odds, 0.0), 1.0)
    return positives * math.log1p(math.exp(-output)) + (1 - positives) * math.log1p(math.exp(output))


def loss_floor(n_classes: int, width: float) -> float:
    """Return the least cross entropy in nats of outputs that are at most `width` apart."""
    return math.log1p((n_classes - 1) * math.exp(-width))


def most_right(loss: float, n_classes: int) -> float:
    """Return the largest share of right answers of a calibrated classifier with this log loss, in nats."""
    low, high = 0.0, 1 - 1 / n_classes  # the share of errors; between them the bound grows with it
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _fano(middle, n_classes) < loss else (low, middle)
    return 1 - low


def _fano(errors: float, n_classes: int) -> float:
    entropy = -sum(share * math.log(share) for share in (errors, 1 - errors) if share > 0)
    return entropy + errors * math.log(max(n_classes - 1, 1))
