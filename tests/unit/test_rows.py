"""An embedding that is read and updated a few rows at a time is, in the end, the one that is updated whole."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from objectives import _rows
from objectives._rows import RowEmbedding, RowOptimizer

OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "adam"},
    {"optimizer": "rmsprop"},
    {"optimizer": "sgd", "momentum": 0.0},
    {"optimizer": "sgd", "momentum": 0.9},
]
N_WORDS, WIDTH, PAD = 40, 4, 0


class Pair:
    """The same table twice: ours, and a parameter under torch's own optimizer."""

    def __init__(self, params: dict[str, Any]) -> None:
        torch.manual_seed(0)
        params = {"learning_rate": 0.01} | params
        self.embedding = RowEmbedding(N_WORDS, WIDTH, pad=PAD)
        self.dense = nn.Parameter(self.embedding.weight.clone())
        self.ours = RowOptimizer(self.embedding, params)
        options = {"lr": params["learning_rate"], "weight_decay": params.get("weight_decay", 0.0)}
        if "momentum" in params:
            options["momentum"] = params["momentum"]
        kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
        self.theirs = kinds[params["optimizer"]]([self.dense], **options)

    def step(self, words: Tensor, target: Tensor) -> None:
        """Train both on words [n] and targets [n, WIDTH]."""
        rows, place = self.embedding(words)
        torch.autograd.backward(((rows[place] - target) ** 2).sum())
        self.ours.step()
        self.theirs.zero_grad()
        read = nn.functional.embedding(words, self.dense, padding_idx=PAD)
        torch.autograd.backward(((read - target) ** 2).sum())
        self.theirs.step()

    def compare(self) -> None:
        """Assert that an evaluation now would find both the same."""
        self.embedding.eval()
        torch.testing.assert_close(self.embedding.weight[1:], self.dense.detach()[1:], rtol=1e-4, atol=1e-5)
        assert not self.embedding.weight[PAD].any()
        self.embedding.train()


def some_words(n_batches: int, *, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a few words with targets: some words in nearly every batch, others once in a hundred, and padding."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(n_batches):
        words = (torch.rand(6, generator=draw) ** 4 * N_WORDS).long()
        yield words, torch.randn(6, WIDTH, generator=draw)


@pytest.mark.parametrize("params", OPTIMIZERS)
def test_with_every_row_in_each_batch_it_is_torchs_with_weight_decay(params: dict[str, Any]) -> None:
    pair = Pair(params | {"weight_decay": 0.1})
    for _ in range(5):
        pair.step(torch.arange(1, N_WORDS), torch.randn(N_WORDS - 1, WIDTH))
    pair.compare()


@pytest.mark.parametrize("params", OPTIMIZERS)
def test_rows_that_batches_leave_out_go_on_as_in_torchs(params: dict[str, Any]) -> None:
    pair = Pair(params)
    for step, batch in enumerate(some_words(300)):
        pair.step(*batch)
        if step in (0, 10, 100):
            pair.compare()
    pair.compare()


@pytest.mark.parametrize("n_missed", [1, 30, 25_000])
def test_a_row_goes_on_for_as_long_as_it_was_left_out(n_missed: int) -> None:
    """From its first step, where Adam's correction is greatest, and over more steps than the table of it has."""
    pair = Pair({"optimizer": "adam", "learning_rate": 1e-3})
    pair.step(torch.tensor([5]), torch.ones(1, WIDTH))
    for _ in range(n_missed):
        pair.theirs.zero_grad(set_to_none=False)
        pair.theirs.step()
    pair.ours._n_steps += n_missed
    pair.compare()


@pytest.mark.parametrize("params", OPTIMIZERS)
def test_it_goes_on_from_its_state_to_the_same_numbers(params: dict[str, Any]) -> None:
    whole, first, resumed = Pair(params), Pair(params), Pair(params)
    batches = list(some_words(40))
    for at, batch in enumerate(batches):
        whole.step(*batch)
        if at == 19:
            whole.compare()  # as an evaluation at the end of an epoch
    for batch in batches[:20]:
        first.step(*batch)
    first.compare()
    resumed.embedding.load_state_dict(first.embedding.state_dict())
    resumed.ours.load_state_dict(first.ours.state_dict())
    for batch in batches[20:]:
        resumed.step(*batch)
    assert torch.equal(resumed.embedding.eval().weight, whole.embedding.eval().weight)


def test_only_rows_that_a_batch_read_are_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors may be a file that several workers map: what nobody wrote to is shared."""
    written: set[int] = set()

    def noted(table: Tensor, places: Tensor, rows: Tensor) -> None:
        written.update(places.tolist())
        put(table, places, rows)

    put = _rows._put
    monkeypatch.setattr(_rows, "_put", noted)
    pair = Pair({"optimizer": "adam"})
    for words in ([3, 5], [5], [7]):
        pair.step(torch.tensor(words), torch.ones(len(words), WIDTH))
    pair.compare()
    assert written == {3, 5, 7}


def test_a_model_that_is_dropped_frees_its_tables_at_once() -> None:
    """Without a cycle that waits for the collector: a worker trains one such model after the other."""
    embedding = RowEmbedding(N_WORDS, WIDTH, pad=PAD)
    optimizer = RowOptimizer(embedding, {"optimizer": "adam", "learning_rate": 0.01})
    gc.disable()
    try:
        gone = weakref.ref(optimizer)
        del optimizer, embedding
        assert gone() is None
    finally:
        gc.enable()
