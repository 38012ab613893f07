"""The parts that make the title CNN fast give what the plain ones give."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from objectives.meli_cnn import Cnn, LargestWindow, largest_window

PARAMS: dict[str, Any] = {
    "filter_lengths": [2, 3], "n_filters": 5, "hidden_layers": [7], "dropout": 0.0, "freeze_embeddings": False,
}  # fmt: skip


def plain(model: Cnn, words: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Conv1d and max over time, one title at a time."""
    longest = max(model.filter_lengths)
    logits = []
    for title, length in zip(words, lengths, strict=True):
        embedded = model.embedding.weight[title[: max(int(length), longest)]].T[None]
        features = [
            nn.functional.conv1d(embedded, filters.permute(2, 0, 1), bias).amax(dim=2).relu()
            for filters, bias in zip(model.filters, model.biases, strict=True)
        ]
        logits.append(model.head(torch.cat(features, dim=1)))
    return torch.cat(logits)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([1, 3, 6, 2])
    words = torch.randint(1, 9, (4, 6)) * (torch.arange(6) < lengths[:, None])
    return words, lengths


def test_forward_is_convolution_and_maximum(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = Cnn(PARAMS, n_words=9, n_classes=4, pad=0).eval()
    torch.testing.assert_close(model(*batch), plain(model, *batch))


def test_a_title_does_not_depend_on_its_batch(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = Cnn(PARAMS, n_words=9, n_classes=4, pad=0).eval()
    words, lengths = batch
    alone = model(words[1:2, :3], lengths[1:2])
    torch.testing.assert_close(model(words, lengths)[1:2], alone)


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    parts = torch.randn(6, 3, 4, dtype=torch.double, requires_grad=True)
    place = torch.randint(0, 6, (5, 7))
    n_windows = torch.tensor([1, 2, 5, 3, 4])
    assert torch.autograd.gradcheck(lambda p: LargestWindow.apply(p, place, n_windows), (parts,))


def test_what_a_gpu_does_gives_the_same_values_and_gradients() -> None:
    torch.manual_seed(0)
    place, n_windows = torch.randint(0, 6, (5, 7)), torch.tensor([1, 2, 5, 3, 4])
    found = []
    for on_gpu in (False, True):
        torch.manual_seed(1)
        rows, filters = (torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in ((6, 8), (8, 3, 4)))
        if on_gpu:
            largest = largest_window(rows[place], filters, n_windows)
        else:
            largest = LargestWindow.apply((rows @ filters.flatten(1)).view(6, 3, 4), place, n_windows)
        found.append((largest, *torch.autograd.grad(largest.square().sum(), (rows, filters))))
    torch.testing.assert_close(found[0], found[1])
