"""Which GPUs a worker gets."""

from __future__ import annotations

import pytest

from studies.errors import WrongInput
from studies.run.launchers.local import groups_of


@pytest.mark.parametrize(
    ("gpus", "n", "expected"),
    [
        (["0", "1", "2", "3"], 1, ["0", "1", "2", "3"]),
        (["0", "1", "2", "3"], 2, ["0,1", "2,3"]),
        (["4", "5", "6"], 2, ["4,5"]),  # the last one has no partner
        (["GPU-a", "GPU-b"], 0, []),
        ([], 2, []),  # a machine without GPUs trains on its CPU
    ],
)
def test_gpus_are_given_in_groups(gpus: list[str], n: int, expected: list[str]) -> None:
    assert groups_of(gpus, n) == expected


def test_too_few_are_refused() -> None:
    with pytest.raises(WrongInput, match=r"resources\.gpus_per_worker is 2, and this machine has 1 GPU"):
        groups_of(["0"], 2)
