"""What the nets on plain rows of numbers share: rows that live on the device, batches of them, and a perceptron."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

POOL_ROWS = 8192

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


@dataclass(frozen=True)
class Table:
    """Rows on the device. inputs [n, k], target [n]. decode: from stored inputs [m, k] to what the model takes."""

    inputs: Tensor
    target: Tensor
    decode: Callable[[Tensor], Tensor] = lambda inputs: inputs

    def shuffled(self, batch_size: int, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs [m, k] and target [m] of every row once, in random batches.

        Rows are gathered and decoded for many batches at once; a batch is then a slice, which costs no copy.
        """
        permutation = torch.randperm(len(self.target), generator=order).to(self.target.device)
        for rows in permutation.split(max(1, POOL_ROWS // batch_size) * batch_size):
            inputs, target = self.decode(self.inputs[rows]), self.target[rows]
            yield from zip(inputs.split(batch_size), target.split(batch_size), strict=True)

    def answers(self, model: nn.Module) -> Tensor:
        """Return the model's answer [n] to every row, in order."""
        return torch.cat([model(self.decode(inputs)) for inputs in self.inputs.split(POOL_ROWS)])


class Perceptron(nn.Sequential):
    """Inputs [n, k] to one number each [n]: [Linear, activation, dropout] for each width, then Linear.

    Its output is linear. A sigmoid belongs to the loss: a second one would keep it from falling, and over a
    standardised target it could not go below zero.
    """

    def __init__(self, n_inputs: int, widths: Sequence[int], activation: str, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(n_inputs, width), ACTIVATIONS[activation]()]
            layers += [nn.Dropout(dropout)] if dropout else []
            n_inputs = width
        # [n, 1] against a target of [n] would broadcast to [n, n] in a loss without a word.
        super().__init__(*layers, nn.Linear(n_inputs, 1), nn.Flatten(0))
