"""Below which loss a net cannot fall whose outputs are bounded, and how many right answers a loss allows.

Cross entropy takes logits. Where a sigmoid or softmax stands before it, the numbers y that it takes as logits lie
between 0 and 1, and the loss of a row of class t among K, ln(sum_j exp(y_j)) - y_t, is least at y_t = 1 and all others
0. There it is ln(e + K - 1) - 1 = ln(1 + (K - 1) / e): 1.46 of 10 classes, 5.45 of 632. With a tanh, whose outputs are
2 apart at most, it is ln(1 + (K - 1) / e^2). No training gets below, however right the answers are.

A loss alone does not prove it: a net that is really unsure has the same one. Its answers do. A classifier that is as
sure as it is right, of log loss L, errs on at least a share e of the rows with h(e) + e ln(K - 1) = L, where
h(e) = -e ln e - (1 - e) ln(1 - e) (Fano's inequality: Cover and Thomas, "Elements of Information Theory", 2.10). One
that stays at the floor and is right more often than that cannot say how sure it is.
"""

from __future__ import annotations

import math

BOUNDED = {"a sigmoid or softmax": 1.0, "a tanh": 2.0}  # how far apart two outputs can be


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
