"""What the nets on plain rows of numbers share: rows that live on the device, a perceptron, and how it is trained.

A step of a small perceptron is a handful of tiny products, and nearly all of its time goes into the machinery around
them: a loader that fetches one item at a time, an autograd graph, an optimizer that visits each tensor. Here batches
are slices of gathered rows, the gradients are written by hand (they are short), and the optimizer sees one vector of
weights. `benchmarks/results/training-motor-mnist.md` has the speed; `tests/unit/test_tabular.py` compares gradients and
optimizer with torch's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from objectives._dropout import Dropout, scaled_mask
from objectives._fit import Fit
from objectives._rules import BETA_1, BETA_2, EPSILON

POOL_BYTES = {"cpu": 2**19, "cuda": 2**28}  # on a CPU few enough to stay in the cache of one core

ACTIVATIONS: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}


@dataclass(frozen=True)
class Table:
    """Rows on the device. inputs [n, k], target [n]. scale: the model gets the inputs times this, as floats.

    Many rows are gathered and scaled together, into memory that is used again; a batch is a view of it, not a copy.
    """

    inputs: Tensor
    target: Tensor
    scale: float | None = None

    def shuffled(self, batch_size: int, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs [m, k] and target [m] of every row once, in random batches.

        A batch's inputs are a view of a pool of rows, valid until the next batch.
        """
        permutation = torch.randperm(len(self.target), generator=order).to(self.target.device)
        target = self.target.index_select(0, permutation)
        n_rows = max(1, self._n_rows() // batch_size) * batch_size
        pool, stored = self._empty(n_rows, torch.float32), self._empty(n_rows, self.inputs.dtype)
        for rows, answers in zip(torch.split(permutation, n_rows), torch.split(target, n_rows), strict=True):
            inputs = pool[: len(rows)]
            if self.scale is None:
                torch.index_select(self.inputs, 0, rows, out=inputs)
            else:
                inputs.copy_(torch.index_select(self.inputs, 0, rows, out=stored[: len(rows)])).mul_(self.scale)
            yield from zip(torch.split(inputs, batch_size), torch.split(answers, batch_size), strict=True)

    def answers(self, model: nn.Module) -> Tensor:
        """Return the model's answer [n] to every row, in order."""
        parts = torch.split(self.inputs, self._n_rows())
        if self.scale is None:
            return torch.cat([model(part) for part in parts])
        pool = self._empty(len(parts[0]), torch.float32)
        return torch.cat([model(pool[: len(part)].copy_(part).mul_(self.scale)) for part in parts])

    def _n_rows(self) -> int:
        n_rows = POOL_BYTES[self.inputs.device.type] // (4 * self.inputs.shape[1])
        return max(1, min(n_rows, len(self.inputs)))

    def _empty(self, n_rows: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(n_rows, self.inputs.shape[1], dtype=dtype, device=self.inputs.device)


class Loss(ABC):
    """A mean loss of answers [n] to a target [n]."""

    @abstractmethod
    def value(self, answers: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a scalar."""

    @abstractmethod
    def gradient(self, answers: Tensor, target: Tensor) -> Tensor:
        """Return the gradient [n] of the loss by the answers, a new tensor."""


class SquaredError(Loss):
    """The mean squared error."""

    def value(self, answers: Tensor, target: Tensor) -> Tensor:
        """See Loss."""
        return nn.functional.mse_loss(answers, target)

    def gradient(self, answers: Tensor, target: Tensor) -> Tensor:
        """See Loss."""
        return (answers - target).mul_(2 / len(target))


class Perceptron(nn.Sequential):
    """Inputs [n, k] to one number each [n]: [Linear, activation, dropout] for each width, then Linear.

    Its output is linear. A sigmoid belongs to the loss: a second one would keep the loss from falling, and could not
    reach the negative values of a standardised target.
    """

    def __init__(self, n_inputs: int, widths: Sequence[int], activation: str, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(n_inputs, width), ACTIVATIONS[activation](), Dropout(dropout)]
            n_inputs = width
        # [n, 1] against a target of [n] would silently broadcast to [n, n] in a loss.
        super().__init__(*layers, nn.Linear(n_inputs, 1), nn.Flatten(0))
        self.activation = activation
        self.dropout = dropout

    def linears(self) -> list[nn.Linear]:
        """Return the linear layers, first to last."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]

    def flattened(self) -> nn.Parameter:
        """Return all weights and their gradients as one vector; each layer's weights become a view of it."""
        parameters = list(self.parameters())
        whole = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
        whole.grad = torch.zeros_like(whole)
        begin = 0
        for parameter in parameters:
            part = slice(begin, begin + parameter.numel())
            parameter.data = whole.data[part].view_as(parameter)
            parameter.grad = whole.grad[part].view_as(parameter)
            begin += parameter.numel()
        return whole


class Gradients:
    """What a perceptron answers to a batch in training, and the gradient of the loss by its weights.

    The chain rule for [Linear, activation, dropout] and a last linear layer, without an autograd graph. Call the
    model's `flattened` before: it allocates the gradients that are written here.
    """

    def __init__(self, model: Perceptron, loss: Loss) -> None:
        linears = model.linears()
        self._weights = [layer.weight.data for layer in linears]  # [n_out, n_in]
        self._transposed = [weight.t() for weight in self._weights]
        self._biases = [layer.bias.data for layer in linears]
        self._weight_gradients = [_gradient_of(layer.weight) for layer in linears]
        self._bias_gradients = [_gradient_of(layer.bias) for layer in linears]
        self._relu = model.activation == "relu"
        self._dropout = model.dropout
        self._loss = loss

    def __call__(self, inputs: Tensor, target: Tensor) -> Tensor:
        """Write the gradients for inputs [n, k] and target [n]; return the answers [n]."""
        last = len(self._weights) - 1
        active: list[Tensor] = []  # what each activation gave, [n, width]
        masks: list[Tensor] = []
        given = [inputs]  # what each linear layer was given, [n, width]
        for layer in range(last):
            hidden = torch.addmm(self._biases[layer], given[-1], self._transposed[layer])
            active.append(hidden.relu_() if self._relu else hidden.sigmoid_())
            if self._dropout:
                masks.append(scaled_mask(hidden, self._dropout))
                hidden = hidden * masks[-1]
            given.append(hidden)
        answers = torch.addmm(self._biases[last], given[-1], self._transposed[last]).squeeze_(1)
        gradient = self._loss.gradient(answers, target).unsqueeze_(1)
        for layer in range(last, -1, -1):
            torch.mm(gradient.t(), given[layer], out=self._weight_gradients[layer])
            torch.sum(gradient, 0, out=self._bias_gradients[layer])
            if layer:
                gradient = gradient @ self._weights[layer]
                if self._dropout:
                    gradient.mul_(masks[layer - 1])
                before = active[layer - 1]
                gradient = (
                    torch.ops.aten.threshold_backward(gradient, before, 0)
                    if self._relu
                    else torch.ops.aten.sigmoid_backward(gradient, before)
                )
        return answers


class VectorOptimizer:
    """Adam or SGD on one vector of weights; formulas and defaults are torch's.

    torch's own, fused, takes five times as long for so few weights, most of it outside its kernel.
    params: `optimizer`, `learning_rate`, for sgd `momentum`, and `weight_decay` (default: 0).
    """

    def __init__(self, weights: nn.Parameter, params: Mapping[str, Any]) -> None:
        self._weights = weights.data
        self._gradient = _gradient_of(weights)
        self._adam = params["optimizer"] == "adam"
        self._rate = params["learning_rate"]
        self._decay = params.get("weight_decay", 0.0)
        self._momentum = params.get("momentum", 0.0)
        self._moments = [torch.zeros_like(self._weights) for _ in range(2 if self._adam else 1)]
        self._n_steps = 0

    def zero_grad(self) -> None:
        """Do nothing: each step overwrites the gradients."""

    @torch.no_grad()
    def step(self) -> None:
        """Update the weights from their gradient."""
        gradient = self._gradient.add(self._weights, alpha=self._decay) if self._decay else self._gradient
        self._n_steps += 1
        if self._adam:
            mean, square = self._moments
            mean.lerp_(gradient, 1 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            scale = square.sqrt().div_(math.sqrt(1 - BETA_2**self._n_steps)).add_(EPSILON)
            self._weights.addcdiv_(mean, scale, value=-self._rate / (1 - BETA_1**self._n_steps))
        elif self._momentum:
            self._weights.add_(self._moments[0].mul_(self._momentum).add_(gradient), alpha=-self._rate)
        else:
            self._weights.add_(gradient, alpha=-self._rate)

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next step depends on."""
        return {"moments": self._moments, "n_steps": self._n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""
        for moment, saved in zip(self._moments, state["moments"], strict=True):
            moment.copy_(saved)
        self._n_steps = state["n_steps"]


class PerceptronFit(Fit):
    """A training of a perceptron; the same numbers as `Fit` with autograd, up to rounding.

    model: on the device. params: of the optimizer (see VectorOptimizer) and `batch_size`. tables: the rows of each
    role.
    score(answers, target, role): metrics of a role's rows, from numbers [n] on the device.
    """

    def __init__(
        self,
        model: Perceptron,
        params: Mapping[str, Any],
        tables: Mapping[str, Table],
        loss: Loss,
        score: Callable[[Tensor, Tensor, str], dict[str, float]],
        *,
        seed: int,
        device: str,
    ) -> None:
        def scored(role: str) -> dict[str, float]:
            answers, target = tables[role].answers(model), tables[role].target
            found = score(answers, target, role)
            found["validation_loss"] = loss.value(answers, target).item()
            return found

        def mean_loss(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
            return loss.value(model(batch[0]), batch[1]), len(batch[1])

        super().__init__(
            model,
            [VectorOptimizer(model.flattened(), params)],
            batches=lambda order: tables["train"].shuffled(params["batch_size"], order),
            loss=mean_loss,
            score=scored,
            seed=seed,
            device=device,
        )
        self._gradients = Gradients(model, loss)
        self._value = loss.value

    @torch.no_grad()
    def _train(self) -> tuple[float, int]:
        [optimizer] = self._optimizers
        answers, targets = [], []
        for inputs, target in self._batches(self._order):
            answers.append(self._gradients(inputs, target))
            targets.append(target)
            optimizer.step()
        # The loss of each batch before its step, as in Fit, but computed for all batches at once.
        return self._value(torch.cat(answers), torch.cat(targets)).item(), sum(map(len, targets))


def _gradient_of(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        raise ValueError("the perceptron is not flattened; call flattened() first")
    return parameter.grad
