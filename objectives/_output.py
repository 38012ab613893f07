"""The last layer and its loss as one step: the gradient is made from the softmax in place, with the value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

PADDING = -100  # a target that does not count, as torch has it
SMALLEST = torch.finfo(torch.float32).tiny  # of the odds whose logarithm is taken


class _Loss(torch.autograd.Function):
    """The gradient of a softmax's log loss is softmax - target, so the logits' memory can hold one after the other.

    Otherwise autograd keeps the logits and their log softmax, and fills a third tensor of that size with zeros.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        counts = (targets != PADDING)[:, None]
        index = targets.clamp(min=0)[:, None]
        low, low_weight = features.to(dtype), weight.to(dtype)
        odds = torch.addmm(bias.to(dtype), low, low_weight.t()).softmax(1)
        loss = (odds.gather(1, index).float().clamp(min=SMALLEST).log() * counts).sum().neg()
        odds.scatter_add_(1, index, odds.new_full(index.shape, -1.0)).mul_(counts)
        ctx.save_for_backward(odds @ low_weight, odds.t() @ low, odds.sum(0, dtype=torch.float32))
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_features, of_weight, of_bias = (gradient.float().mul_(upstream[0]) for gradient in ctx.saved_tensors)
        return of_features, of_weight, None, of_bias, None


def linear_cross_entropy(features: Tensor, weight: Tensor, targets: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the log loss, summed over the targets that count, of the classes' logits `features @ weight.T + bias`.

    features [n, width], weight [n_classes, width], bias [n_classes]: float32. targets [n]: classes, or PADDING.
    dtype: of the products. The gradients are of float32, can be asked for once, and have none of their own.
    `torch.nn.functional` has a function of this name since 2.15, which needs tuning to be as fast.
    """
    given = (features, weight, targets, bias)
    if has_torch_function(given):  # something watches what a loss is given, as `studies check` does
        seen: Tensor = handle_torch_function(linear_cross_entropy, given, *given, dtype)
        return seen
    loss: Tensor = _Loss.apply(*given, dtype)
    return loss
