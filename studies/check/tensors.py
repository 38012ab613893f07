"""What a tensor tells of itself: which bounded function it comes from, its rows, whether it fits another."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# What these give lies between two numbers, whatever they are given.
BOUNDS = {"sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, float("inf"))}
ACTIVATION_OF_NODE = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Tanh": "tanh", "Relu": "relu"}
PASSES_ON = (
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute", "Clone", "ToCopy",
    "Slice", "Select", "Alias", "Expand", "Index",
)  # fmt: skip


def is_tensor(value: Any) -> bool:
    """Whether it is a tensor of torch; without torch there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def bounded_by(answer: Tensor) -> str | None:
    """Return the name of the bounded function that a tensor comes straight from, if it does."""
    node: Any = answer.grad_fn
    while node is not None:
        name = node.name().rpartition("::")[2].split("Backward")[0]
        if name in ACTIVATION_OF_NODE:
            return ACTIVATION_OF_NODE[name]
        if name not in PASSES_ON:
            return None
        node = node.next_functions[0][0] if node.next_functions else None
    return None


def rows_of(values: list[Any]) -> list[bytes]:
    """Return each row of a model's inputs as bytes, [] when they are not rows; padding at the end of numbers is cut."""
    tensors = [value for value in values if is_tensor(value)]
    if not tensors or any(tensor.dim() == 0 or len(tensor) != len(tensors[0]) for tensor in tensors):
        return []
    rows = [b""] * len(tensors[0])
    for tensor in tensors:
        table = tensor.detach().cpu()
        table = (table.float() if table.dtype.is_floating_point else table).reshape(len(rows), -1).numpy()
        ends = [table.shape[1]] * len(rows)
        if tensor.dim() == 2 and table.dtype.kind in "iu":
            ends = ((table != 0) * np.arange(1, table.shape[1] + 1)).max(axis=1, initial=0).tolist()
        rows = [before + row[:end].tobytes() for before, row, end in zip(rows, table, ends, strict=True)]
    return rows


def broadcasts(left: Tensor, right: Tensor) -> bool:
    """Whether a loss of the two would be over more pairs than either has numbers."""
    if left.shape == right.shape:
        return False
    try:
        together = np.broadcast_shapes(tuple(left.shape), tuple(right.shape))
    except ValueError:
        return False
    return math.prod(together) > max(left.numel(), right.numel())
