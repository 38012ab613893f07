"""The last layer and its loss as one step: torch's own value and gradients, and seen by what watches losses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from objectives._output import PADDING, linear_cross_entropy
from studies.check.losses_seen import LossesSeen, Rows
from studies.check.own_code import OwnCode
from studies.check.watch import seeing

Given = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def given() -> Given:
    draw = torch.Generator().manual_seed(0)
    features, weight, bias = (torch.randn(size, generator=draw) for size in ((40, 16), (90, 16), (90,)))
    targets = torch.randint(90, (40,), generator=draw)
    targets[-5:] = PADDING
    return features.requires_grad_(), weight.requires_grad_(), targets, bias.requires_grad_()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_it_is_what_torch_computes_step_by_step(given: Given, dtype: torch.dtype, error: float) -> None:
    features, weight, targets, bias = given
    wanted = F.cross_entropy(features @ weight.t() + bias, targets, ignore_index=PADDING, reduction="sum")
    found = linear_cross_entropy(*given, dtype)
    assert found.item() == pytest.approx(wanted.item(), rel=error)
    asked = (features, weight, bias)
    for ours, torchs in zip(torch.autograd.grad(found / 7, asked), torch.autograd.grad(wanted / 7, asked), strict=True):
        assert ours.dtype is torch.float32
        assert (ours - torchs).norm() <= error * torchs.norm()


def test_a_target_that_is_next_to_impossible_has_a_finite_loss(given: Given) -> None:
    features, weight, targets, bias = given
    found = linear_cross_entropy(features, weight * 1e4, targets, bias, torch.bfloat16)
    assert found.isfinite()


def test_the_check_of_losses_sees_its_targets(given: Given) -> None:
    features, weight, targets, bias = given
    losses = LossesSeen(OwnCode(), lambda *_, **__: pytest.fail("nothing is wrong here"))

    def called(function, args, kwargs):  # type: ignore[no-untyped-def]
        losses.before(function.__name__, args, kwargs)
        return function(*args, **kwargs)

    with seeing(called):
        linear_cross_entropy(*given, torch.float32)
        linear_cross_entropy(features.detach()[:3], weight, targets[:3], bias, torch.float32)
    assert losses.n_classes == 90
    assert losses.last_rows == 40
    assert [labels.tolist() for labels in losses.labels[Rows.TRAINED_ON]] == [targets.tolist()]
    assert [labels.tolist() for labels in losses.labels[Rows.SCORED]] == [targets[:3].tolist()]
