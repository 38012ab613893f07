"""Which images train, validate and test: by digit, so that the split is the same whichever of them is the target.

It is the split of Moros's course project: ceil(20 %) of each digit of the training images validate (12,005 of MNIST's
60,000). MNIST's own 10,000 test images test; from a file without test images another ceil(20 %) of each digit test.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from objectives._data.digits.readers import N_DIGITS

SPLIT_SEED = 2019
HELD_OUT = 0.2  # of each digit


def split(digits: NDArray[np.uint8], roles: tuple[str, ...]) -> NDArray[np.uint8]:
    """The role of each image, an index into `roles`, uint8 (n,): ceil(20 %) of each digit for each but the first.

    digits: (n,). The draw is of images in the file's order, by numpy's frozen generator (NEP 19).
    """
    draw = np.random.RandomState(SPLIT_SEED)
    role_of = np.zeros(len(digits), dtype=np.uint8)
    for digit in range(N_DIGITS):
        own = draw.permutation(np.flatnonzero(digits == digit))
        n_held_out = int(np.ceil(HELD_OUT * len(own)))
        for role in range(1, len(roles)):
            role_of[own[(role - 1) * n_held_out : role * n_held_out]] = role
    return role_of
