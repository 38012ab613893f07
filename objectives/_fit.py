"""The training loop that the shipped objectives share: one epoch, its metrics, and a state to continue from.

Everything random is drawn from a state that belongs to the training. So two trainings in one process, or one that is
moved to another process, give the values they would give alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from objectives._evidence import Scores


class Optimizer(Protocol):
    """What the loop needs of an optimizer; torch's own and `RowOptimizer` have it."""

    def step(self) -> Any:
        """Update the parameters from their gradients."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""


class Fit:
    """A training: see `objectives.Training`.

    batches(generator): yields one epoch's batches, in an order drawn from the generator.
    loss(batch): the mean loss of a batch, a scalar that carries a gradient, and the number of its examples.
    score(role): metrics over the rows of "validation" or "test", in evaluation mode and without gradients; `Scores`
    if there is evidence for them.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        *,
        batches: Callable[[torch.Generator], Iterator[Any]],
        loss: Callable[[Any], tuple[Tensor, int]],
        score: Callable[[str], dict[str, float]],
        seed: int,
        device: str,
    ) -> None:
        self.model = model
        self._optimizers = optimizers
        self._batches = batches
        self._loss = loss
        self._score = score
        self._device = device
        self._evidence: Callable[[], dict[str, Any]] = dict
        self._order = torch.Generator().manual_seed(seed)
        with seeded(seed, device):
            self._random = random_state(device)

    def epoch(self) -> dict[str, float]:
        """Train one epoch; return train_loss (mean over examples), the validation metrics and the speed."""
        started = time.perf_counter()
        self.model.train()
        with self._own_randomness():
            train_loss, n_examples = self._train()
        seconds = time.perf_counter() - started
        scores = self._scored("validation")
        self._evidence = scores.evidence if isinstance(scores, Scores) else dict
        return {"train_loss": train_loss, **scores, "examples_per_s": n_examples / seconds}

    def evidence(self) -> dict[str, Any]:
        """Return the evidence for the last epoch's validation metrics; empty before the first epoch."""
        return self._evidence()

    def _train(self) -> tuple[float, int]:
        """Train on every batch; return the mean loss over examples and how many there were."""
        total = torch.zeros((), device=self._device)
        n_examples = 0
        for batch in self._batches(self._order):
            loss, size = self._loss(batch)
            for optimizer in self._optimizers:
                optimizer.zero_grad()
            torch.autograd.backward(loss)
            for optimizer in self._optimizers:
                optimizer.step()
            total += loss.detach() * size  # stays on the device: reading it would wait
            n_examples += size
        return total.item() / n_examples, n_examples

    def test(self) -> dict[str, float]:
        """Return the metrics over the test rows."""
        return self._scored("test")

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next epoch depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "order": self._order.get_state(),
            "random": self._random,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._order.set_state(state["order"])
        self._random = state["random"]

    def weights(self) -> dict[str, Any]:
        """Return the model's tensors by name."""
        return self.model.state_dict()

    def _scored(self, role: str) -> dict[str, float]:
        self.model.eval()
        with torch.inference_mode(), repeatable():
            return self._score(role)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        with torch.random.fork_rng(_cuda(self._device)), repeatable():
            set_random_state(self._random, self._device)
            yield
            self._random = random_state(self._device)


@contextmanager
def repeatable() -> Iterator[None]:
    """Let cuDNN use what gives the same bits each time, and not what was fastest when it tried."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@contextmanager
def seeded(seed: int, device: str) -> Iterator[None]:
    """Draw everything inside from this seed; the process's own random state does not change."""
    with torch.random.fork_rng(_cuda(device)):
        torch.manual_seed(seed)
        yield


def random_state(device: str) -> list[Tensor]:
    """Return the state of the generators that layers draw from."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in _cuda(device))]


def set_random_state(state: list[Tensor], device: str) -> None:
    """Set the generators to `state`."""
    torch.set_rng_state(state[0])
    for cuda, saved in zip(_cuda(device), state[1:], strict=False):
        torch.cuda.set_rng_state(saved, cuda)


def _cuda(device: str) -> list[str]:
    return [device] if device.startswith("cuda") else []


def make_optimizer(parameters: Iterator[nn.Parameter], params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return the optimizer for `optimizer`, `learning_rate`, `weight_decay` (default: 0) and, for sgd, `momentum`."""
    rate, decay = params["learning_rate"], params.get("weight_decay", 0.0)
    if params["optimizer"] == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
    if params["optimizer"] == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=params["momentum"], fused=True)
