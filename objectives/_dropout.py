"""Dropout whose masks are cheap: on a CPU, drawing them one by one is a quarter of a small perceptron's step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 1 << 16  # a probability is met to the nearest of so many steps; the scale is that of what is met


class Dropout(nn.Dropout):
    """nn.Dropout: masks of the same distribution from other draws."""

    def forward(self, values: Tensor) -> Tensor:
        """Return, in training, values with each zero by chance p and the others larger for it."""
        if not self.training or not self.p or values.device.type != "cpu":
            return F.dropout(values, self.p, self.training)
        return values * scaled_mask(values, self.p)


def scaled_mask(like: Tensor, p: float) -> Tensor:
    """Return what to multiply values like these by: 0 by chance p, else 1 / (1 - p), from torch's generator.

    On a CPU four masks come of each 64-bit number, where bernoulli_ draws one for each: a sixth of the time.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - p).div_(1 - p)
    n_dropped = min(STEPS - 1, round(p * STEPS))
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.int16)[: like.numel()].view(like.shape)
    # As floats, for comparisons of small integers are slow; all 65,536 of them are exact.
    return drawn.to(like.dtype).ge_(n_dropped - STEPS // 2).mul_(STEPS / (STEPS - n_dropped))
