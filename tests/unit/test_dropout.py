"""Cheap masks are masks: the chance, the scale, independence, the gradient, and whose randomness they are."""

from __future__ import annotations

import pytest
import torch

from objectives._dropout import Dropout, scaled_mask


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.7])
def test_each_value_stays_by_chance_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(0)
    n = 4_000_000
    mask = scaled_mask(torch.empty(n), p)
    assert mask.unique().numel() == 2
    assert mask.max().item() == pytest.approx(1 / (1 - p), rel=1e-4)
    spread = (p * (1 - p) / n) ** 0.5
    assert (mask == 0).float().mean().item() == pytest.approx(p, abs=5 * spread + 1 / 65536)
    assert mask.mean().item() == pytest.approx(1, abs=5 * spread / (1 - p))


def test_neighbours_are_independent() -> None:
    """The four masks of one draw, and those of the next."""
    torch.manual_seed(0)
    kept = (scaled_mask(torch.empty(4_000_000), 0.3) > 0).float() - 0.7
    for step in range(1, 9):
        correlation = (kept[:-step] * kept[step:]).mean() / 0.21
        assert abs(correlation.item()) < 5 / 2000


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (3, 7), (2, 3, 5)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert scaled_mask(torch.empty(shape), 0.5).shape == shape


def test_a_layer_in_training_and_out_of_it() -> None:
    layer, values = Dropout(0.4), torch.randn(50, 40)
    dropped = layer(values)
    kept = dropped != 0
    assert 0 < kept.sum() < kept.numel()
    torch.testing.assert_close(dropped[kept], values[kept] / 0.6, rtol=1e-4, atol=0)
    assert torch.equal(layer.eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)


def test_the_gradient_is_that_of_what_stayed() -> None:
    values = torch.randn(30, 20, requires_grad=True)
    dropped = Dropout(0.5)(values)
    dropped.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad != 0, dropped != 0)
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())


def test_the_same_seed_gives_the_same_masks() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(scaled_mask(torch.empty(999), 0.5))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
