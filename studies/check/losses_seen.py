"""What losses are given: outputs, labels and targets, of torch's own losses and of those written by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from studies.check.own_code import OwnCode
from studies.check.tensors import BOUNDS, bounded_by, broadcasts, is_tensor

if TYPE_CHECKING:
    from torch import Tensor

CLASS_LOSSES = {"cross_entropy", "nll_loss"}
LAST_LAYER_LOSS = "linear_cross_entropy"  # of (input, weight, target): torch's, and objectives/_output's
BINARY_LOSSES = {"binary_cross_entropy_with_logits"}
DISTANCES = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}
MOST_LABELS = 1_000_000


class Rows(Enum):
    """What rows are for."""

    TRAINED_ON = "trained on"
    SCORED = "only scored"

    @classmethod
    def of(cls, answer: Tensor) -> Rows:
        """Return what the rows are for that a model has answered: with a gradient it learns of them."""
        return cls.TRAINED_ON if answer.requires_grad else cls.SCORED


@dataclass
class Seen:
    """One kind of mistake at one place. n: how often."""

    name: str
    where: str | None
    facts: dict[str, Any] = field(default_factory=dict)
    n: int = 1


class LossesSeen:
    """Notes what losses are given.

    note: called with the name, the place and the facts of a mistake. loss_at: the first place that computed a loss with
    a gradient. last_rows: rows of the largest such loss since this was last set to 0.
    """

    def __init__(self, source: OwnCode, note: Callable[..., Seen]) -> None:
        self.n_classes = 0
        self.labels: dict[Rows, list[Any]] = {rows: [] for rows in Rows}
        self.targets: dict[Rows, list[Any]] = {rows: [] for rows in Rows}
        self.loss_at: str | None = None
        self.last_rows = 0
        self._source = source
        self._note = note
        self._n_labels = dict.fromkeys(Rows, 0)
        self._activations: dict[str, str | None] = {}
        self._differences: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=4)

    def before(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at a call of a torch function before it is made."""
        if name in CLASS_LOSSES | BINARY_LOSSES | DISTANCES:
            self._loss(name, *_pair(args, kwargs))
        elif name == LAST_LAYER_LOSS:
            self._last_layer_loss(*args[:3])

    def after(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Look at a call of a torch function and at what it returned."""
        if name in BOUNDS and getattr(result, "requires_grad", False):
            self._activations[name] = self._source.here()
        elif name in ("sub", "rsub"):
            self._difference(args, result)
        elif name in ("pow", "square", "abs", "mul"):
            self._distance(args)

    def _loss(self, name: str, answer: Any, target: Any) -> None:
        if not is_tensor(answer) or not is_tensor(target):
            return
        if answer.requires_grad:
            self.loss_at = self.loss_at or self._source.here()
            self.last_rows = max(self.last_rows, len(target) if target.dim() else 1)
        if name in DISTANCES:
            self._regression(answer, target)
            return
        if name in CLASS_LOSSES:
            self._class_labels(answer, target)
            sums_to_one = bool(((answer.detach().sum(dim=min(1, answer.dim() - 1)) - 1).abs() < 1e-3).all())
            if sums_to_one and bool((answer.detach() >= 0).all()) and answer.dim() > 1 and answer.shape[1] > 1:
                self._note(
                    "bounded-logits",
                    self._source.here(),
                    activation="softmax",
                    loss=name,
                    n=answer.shape[1],
                    trained_on=answer.requires_grad,
                )
                return
        elif target.dim() and target.numel() == len(target):
            self._keep_labels(target.flatten(), Rows.of(answer), 2)
        activation = bounded_by(answer)
        if activation in ("sigmoid", "softmax", "tanh") and not (name == "nll_loss" and activation == "tanh"):
            self._note(
                "bounded-logits",
                self._source.here(),
                activation=activation,
                made=self._activations.get(activation),
                loss=name,
                trained_on=answer.requires_grad,
                n=answer.shape[1] if name in CLASS_LOSSES and answer.dim() > 1 else 2,
                positives=float(target.float().mean()) if name in BINARY_LOSSES else None,
            )

    def _last_layer_loss(self, features: Any, weight: Any = None, target: Any = None) -> None:
        """There are no logits to look at."""
        if not is_tensor(features) or not is_tensor(weight) or not is_tensor(target) or target.is_floating_point():
            return
        if features.requires_grad:
            self.loss_at = self.loss_at or self._source.here()
            self.last_rows = max(self.last_rows, target.numel())
        self._keep_labels(target.flatten(), Rows.of(features), len(weight))

    def _class_labels(self, answer: Tensor, target: Tensor) -> None:
        if target.dtype.is_floating_point or target.dim() != 1 or answer.dim() != 2:
            return
        self._keep_labels(target, Rows.of(answer), answer.shape[1])

    def _keep_labels(self, target: Tensor, rows: Rows, n_classes: int) -> None:
        self.n_classes = max(self.n_classes, n_classes)
        if self._n_labels[rows] < MOST_LABELS:
            self._n_labels[rows] += target.numel()
            self.labels[rows].append(target.detach().cpu().numpy().copy())

    def _regression(self, answer: Tensor, target: Tensor) -> None:
        where = self._source.here()
        if broadcasts(answer, target):
            self._note("loss-broadcasts", where, answer=tuple(answer.shape), target=tuple(target.shape))
            return
        targets = self.targets[Rows.of(answer)]
        if len(targets) * max(1, target.numel()) < MOST_LABELS:
            targets.append(target.detach().cpu().float().flatten().numpy().copy())
        activation = bounded_by(answer)
        if activation is None:
            return
        low, high = BOUNDS[activation]
        outside = int(((target < low) | (target > high)).sum())
        seen = self._note("bounded-output", where, activation=activation, made=self._activations.get(activation))
        seen.facts["outside"] = seen.facts.get("outside", 0) + outside
        seen.facts["of"] = seen.facts.get("of", 0) + target.numel()

    def _difference(self, args: tuple[Any, ...], result: Any) -> None:
        """Keep a difference between something with a gradient and something without: the beginning of a loss."""
        if len(args) < 2 or not all(is_tensor(arg) and arg.dtype.is_floating_point for arg in args[:2]):
            return
        with_gradient, without = sorted(args[:2], key=lambda arg: not arg.requires_grad)
        if with_gradient.requires_grad and not without.requires_grad and with_gradient.dim() and without.dim():
            self._differences.append((result, with_gradient, without))

    def _distance(self, args: tuple[Any, ...]) -> None:
        """A squared or absolute difference is a loss written by hand."""
        if len(args) > 1 and is_tensor(args[1]) and args[1] is not args[0]:
            return
        for result, answer, target in self._differences:
            one_per_row = {answer.dim(), target.dim()} == {1, 2} and answer.numel() == target.numel() == len(answer)
            if result is args[0] and (answer.shape == target.shape or (one_per_row and answer.numel() > 1)):
                self.last_rows = max(self.last_rows, len(target))
                self._regression(answer, target)
                return


def _pair(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    named = [kwargs.get("input"), kwargs.get("target")]
    return (*args[:2], *named[len(args[:2]) :])
