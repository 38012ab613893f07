"""What Adam, RMSprop and SGD do to the rows of an embedding, in a step with a gradient and in the steps without one.

The formulas and defaults are torch's. Everything happens in place: a batch's rows are megabytes, and each new tensor of
that size costs page faults.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam

BETA_1, BETA_2, ALPHA, EPSILON = 0.9, 0.999, 0.99, 1e-8  # torch's defaults for Adam and RMSprop
UNBIASED = 20_000  # steps of Adam from which its bias correction is 1 to nine digits


def make_rule(params: Mapping[str, Any]) -> Rule:
    """Return the rule for `optimizer`, `learning_rate`, `weight_decay` (default: 0) and, for sgd, `momentum`."""
    rate, decay = params["learning_rate"], params.get("weight_decay", 0.0)
    if params["optimizer"] == "adam":
        return Adam(rate, decay)
    if params["optimizer"] == "rmsprop":
        return RmsProp(rate, decay)
    return Momentum(rate, decay, params["momentum"]) if params["momentum"] else Sgd(rate, decay)


class Rule(ABC):
    """How rows [n, width] and their moments, each [n, width], change; `rate` and `decay` as in torch's optimizers."""

    n_moments: ClassVar[int]

    def __init__(self, rate: float, decay: float) -> None:
        self.rate = rate
        self.decay = decay

    @abstractmethod
    def step(self, rows: Tensor, gradient: Tensor, moments: list[Tensor], n_steps: int) -> None:
        """Take step number `n_steps`, counted from 1. The gradient [n, width] may be overwritten."""

    @abstractmethod
    def rest(self, rows: Tensor, moments: list[Tensor], last: Tensor, now: int) -> None:
        """Apply at once the steps without a gradient from each row's `last` step [n, 1] to step `now`.

        Without weight decay.
        """


class Adam(Rule):
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015."""

    n_moments = 2

    def step(self, rows: Tensor, gradient: Tensor, moments: list[Tensor], n_steps: int) -> None:
        """See Rule. Tensor formulas would read and write everything seven times; torch's kernel does it once."""
        mean, square = moments
        adam(
            [rows], [gradient], [mean], [square], [], [torch.tensor(n_steps - 1.0, device=rows.device)],
            fused=True, amsgrad=False, maximize=False, lr=self.rate, beta1=BETA_1, beta2=BETA_2,
            weight_decay=self.decay, eps=EPSILON,
        )  # fmt: skip

    def rest(self, rows: Tensor, moments: list[Tensor], last: Tensor, now: int) -> None:
        """See Rule.

        With the moments m and v of step s, step s + j goes by m b1^j / (1 - b1^(s+j)) / (sqrt(v b2^j / (1 - b2^(s+j)))
        + e), times the rate. That is m / sqrt(v) * r^j c(s+j), where r = b1 / sqrt(b2) and c has the two corrections:
        summed to infinity m / sqrt(v) * R(s), and until now R(s) - r^(now-s) R(now). Epsilon is kept at its effect in
        step s + 1.
        """
        mean, square = moments
        tables = _adams_tables(last.device)
        last, n_missed = last.clamp(max=UNBIASED), (now - last).clamp_(max=UNBIASED)
        distance = (tables.reach[last] - tables.reach[min(now, UNBIASED)] * tables.ratio[n_missed]).mul_(-self.rate)
        root = square.sqrt().add_(tables.epsilon[last])
        rows.addcmul_(torch.div(mean, root, out=root), distance)
        mean.mul_(tables.fade_1[n_missed])
        square.mul_(tables.fade_2[n_missed])


class _AdamsTables(NamedTuple):
    """What `Adam.rest` needs for 0 to UNBIASED steps, each [UNBIASED + 1]: cheaper than computing powers."""

    reach: Tensor  # R(s): r (c(s+1) + R(s+1))
    epsilon: Tensor  # in step s + 1, relative to sqrt(v)
    ratio: Tensor  # r^k
    fade_1: Tensor  # b1^k
    fade_2: Tensor


@cache
def _adams_tables(device: torch.device) -> _AdamsTables:
    steps = np.arange(UNBIASED + 2)
    roots = np.sqrt(1 - BETA_2**steps)
    ratio = BETA_1 / math.sqrt(BETA_2)
    corrections = roots / np.maximum(1 - BETA_1**steps, EPSILON)
    reach = np.full(UNBIASED + 1, ratio / (1 - ratio))
    for step in range(UNBIASED - 1, -1, -1):
        reach[step] = ratio * (corrections[step + 1] + reach[step + 1])
    columns = (reach, EPSILON * roots[1:], ratio ** steps[:-1], BETA_1 ** steps[:-1], BETA_2 ** steps[:-1])
    return _AdamsTables(*(torch.from_numpy(column).float().to(device) for column in columns))


class RmsProp(Rule):
    """Hinton's lecture 6e of "Neural networks for machine learning", 2012."""

    n_moments = 1

    def step(self, rows: Tensor, gradient: Tensor, moments: list[Tensor], n_steps: int) -> None:
        """See Rule."""
        [square] = moments
        _decay(gradient, rows, self.decay)
        square.mul_(ALPHA).addcmul_(gradient, gradient, value=1 - ALPHA)
        rows.addcdiv_(gradient, square.sqrt().add_(EPSILON), value=-self.rate)

    def rest(self, rows: Tensor, moments: list[Tensor], last: Tensor, now: int) -> None:
        """See Rule. Only the moment fades: without a gradient RMSprop does not move."""
        moments[0].mul_((ALPHA ** (now - last).double()).float())


class Sgd(Rule):
    """Gradient descent without momentum."""

    n_moments = 0

    def step(self, rows: Tensor, gradient: Tensor, moments: list[Tensor], n_steps: int) -> None:
        """See Rule."""
        _decay(gradient, rows, self.decay)
        rows.add_(gradient, alpha=-self.rate)

    def rest(self, rows: Tensor, moments: list[Tensor], last: Tensor, now: int) -> None:
        """See Rule. There is nothing to do."""


class Momentum(Rule):
    """Gradient descent with momentum, without dampening, as in torch's SGD."""

    n_moments = 1

    def __init__(self, rate: float, decay: float, momentum: float) -> None:
        super().__init__(rate, decay)
        self.momentum = momentum

    def step(self, rows: Tensor, gradient: Tensor, moments: list[Tensor], n_steps: int) -> None:
        """See Rule."""
        _decay(gradient, rows, self.decay)
        rows.add_(moments[0].mul_(self.momentum).add_(gradient), alpha=-self.rate)

    def rest(self, rows: Tensor, moments: list[Tensor], last: Tensor, now: int) -> None:
        """See Rule. The moment m goes by m u + m u^2 + ... + m u^k, times the rate."""
        fade = self.momentum ** (now - last).double()
        distance = -self.rate * self.momentum * (1 - fade) / (1 - self.momentum)
        rows.addcmul_(moments[0], distance.float())
        moments[0].mul_(fade.float())


def _decay(gradient: Tensor, rows: Tensor, decay: float) -> None:
    if decay:
        gradient.add_(rows, alpha=decay)
