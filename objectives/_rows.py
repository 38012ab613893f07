"""An embedding where a batch reads only a few rows, and an optimizer that updates only those.

A dense gradient makes every step read and write the whole table several times: for 50,000 words of 300 numbers that
is 60 MB a pass, while a batch of 128 titles uses about 1,000 rows. Here a batch's distinct words are looked up once,
the model computes on those rows, and the optimizer updates only them.

A dense optimizer also keeps moving the rows that a batch does not use, by their remaining moments: with Adam a word
that occurs once moves ten times as far as in the step of its own batch. torch's SparseAdam leaves that out, and learns
rare words more slowly: the title CNN's validation balanced accuracy on the bundled titles is then .976 after two
epochs, not .980 (`benchmarks/results/training-titles.md`). Here a row catches up on the steps it missed when it is next
read, all at once, since without a gradient they are a geometric series. Only weight decay is left out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from objectives._rules import make_rule

# torch's own embedding draws from N(0, 1). Words seen in few titles then keep a large random part that hides what was
# learnt about them. On the bundled titles, the CNN's best validation balanced accuracy over 6 epochs (batch 256,
# learning rate 2e-3, dropout 0.5, seed 1) is .983 with 1, .986 with 0.3 and .987 with 0.1.
INITIAL_SPREAD = 0.1

SETTLE_ROWS = 1024  # at a time, so that what is computed on stays in the cache


class Gathered:
    """Memory for a batch's rows that the next batch uses again: megabytes of new pages cost more than the copy."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def rows(self, table: Tensor, places: Tensor) -> Tensor:
        """Return the rows [n, width] at places [n] of a table, valid until the next call."""
        if self._memory is None or len(self._memory) < len(places) or self._memory.device != table.device:
            self._memory = table.new_empty(len(places) * 5 // 4, table.shape[1])
        return torch.index_select(table, 0, places, out=self._memory[: len(places)])


class RowEmbedding(nn.Module):
    """A table [n_words, width] whose row `pad` is always zero. It is trained once it has a RowOptimizer.

    weight: a tensor of that shape, which the module then owns, or None for rows drawn from N(0, INITIAL_SPREAD^2).
    """

    def __init__(self, n_words: int, width: int, *, pad: int, weight: Tensor | None = None) -> None:
        super().__init__()
        if weight is None:
            weight = torch.randn(n_words, width, out=_zeros(n_words, width)).mul_(INITIAL_SPREAD)
        weight[pad] = 0
        # A buffer, not a parameter: the gradient belongs to the rows of a batch.
        self.register_buffer("weight", weight)
        self.weight: Tensor
        self.pad = pad
        self.optimizer: RowOptimizer | None = None

    @property
    def learns(self) -> bool:
        """Whether rows that are read now get a gradient."""
        return self.training and self.optimizer is not None

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows [n_distinct, width] of the words of a batch, and each word's place [*words.shape] in them."""
        distinct, place = torch.unique(words, return_inverse=True)
        if self.training and self.optimizer is not None:
            return self.optimizer.read(distinct), place
        return self.weight.index_select(0, distinct), place

    def train(self, mode: bool = True) -> RowEmbedding:
        """See nn.Module. Before an evaluation every row catches up on the steps that it missed."""
        if not mode and self.optimizer is not None:
            self.optimizer.settle()
        return super().train(mode)


class RowOptimizer:
    """Adam, RMSprop or SGD on the rows that the last batch read."""

    def __init__(self, embedding: RowEmbedding, params: Mapping[str, Any]) -> None:
        embedding.optimizer = self
        self._weight = embedding.weight
        self._pad = embedding.pad
        self._rule = make_rule(params)
        shape, device = embedding.weight.shape, embedding.weight.device
        self._moments = [_zeros(*shape, device=device) for _ in range(self._rule.n_moments)]
        self._gathered = [Gathered() for _ in (self._weight, *self._moments)]
        self._n_steps = 0
        self._last = torch.zeros(shape[0], dtype=torch.long, device=device)  # step of each row, 0 before its first
        self._batch: tuple[Tensor, Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def read(self, words: Tensor) -> Tensor:
        """Return the rows [n, width] of distinct words [n], for the model to compute on until the next step."""
        rows, *moments = self._up_to_date(words)
        self._batch = words, rows.requires_grad_(), moments
        return rows

    def zero_grad(self) -> None:
        """Do nothing: a batch's rows are new tensors, without a gradient."""

    @torch.no_grad()
    def step(self) -> None:
        """Update the rows of the last batch."""
        if self._batch is None:
            return
        (words, rows, moments), self._batch = self._batch, None
        gradient = rows.grad
        assert gradient is not None
        rows = rows.detach()
        self._n_steps += 1
        self._rule.step(rows, gradient, moments, self._n_steps)
        self._keep(words, rows, *moments)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring every row up to date. Rows that no batch has read yet already are."""
        behind = (self._last > 0) & (self._last < self._n_steps)
        for words in torch.split(behind.nonzero()[:, 0], SETTLE_ROWS):
            self._keep(words, *self._up_to_date(words))

    def state_dict(self) -> dict[str, Any]:
        """Return everything the next step depends on."""
        self.settle()
        return {"moments": self._moments, "n_steps": self._n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was taken."""
        for moment, saved in zip(self._moments, state["moments"], strict=True):
            moment.copy_(saved)
        self._n_steps = state["n_steps"]
        self._last.fill_(self._n_steps)

    def _up_to_date(self, words: Tensor) -> list[Tensor]:
        """Return the rows of words [n] and their moments, after the steps they missed: valid until the next call."""
        tables = (self._weight, *self._moments)
        read = [memory.rows(table, words) for memory, table in zip(self._gathered, tables, strict=True)]
        rows, *moments = read
        self._rule.rest(rows, moments, self._last[words][:, None], self._n_steps)
        return read

    def _keep(self, words: Tensor, *changed: Tensor) -> None:
        """Write back what `_up_to_date` returned."""
        for table, rows in zip((self._weight, *self._moments), changed, strict=True):
            _put(table, words, rows)
            table[self._pad] = 0  # padding gets gradients, too
        self._last[words] = self._n_steps


def _zeros(n_words: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Return a table of zeros, on a CPU in memory from numpy, which unlike torch asks for huge pages.

    A batch's rows are all over the table, and with small pages each costs a walk through the page tables: reading and
    writing 1,850 rows of three tables of 60 MB takes 2.5 ms, not 3.1.
    """
    if device is None or device.type == "cpu":
        return torch.from_numpy(np.zeros((n_words, width), dtype=np.float32))
    return torch.zeros(n_words, width, device=device)


def _put(table: Tensor, places: Tensor, rows: Tensor) -> None:
    """Write rows [n, width] to places [n] of a table; on a CPU with numpy, since torch takes three times as long."""
    if table.device.type == "cpu":
        table.numpy()[places.numpy()] = rows.numpy()
    else:
        table.index_copy_(0, places, rows)
