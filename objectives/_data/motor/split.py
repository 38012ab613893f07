"""Which sessions train, validate and test. A session stays whole: its neighbouring rows are nearly equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from objectives._data.kit.split import ROLES

SPLIT_SEED = 2021
HELD_OUT = 0.15  # of the sessions, for validation and again for test


def split(n_sessions: int) -> NDArray[np.uint8]:
    """The role of each of three sessions or more, an index into ROLES: 15 % validate, 15 % test, at least one each."""
    n_held_out = max(1, round(HELD_OUT * n_sessions))
    order = np.random.RandomState(SPLIT_SEED).permutation(n_sessions)
    roles = np.zeros(n_sessions, dtype=np.uint8)
    roles[order[:n_held_out]] = ROLES.index("validation")
    roles[order[n_held_out : 2 * n_held_out]] = ROLES.index("test")
    return roles
